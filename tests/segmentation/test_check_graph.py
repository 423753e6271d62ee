"""The static check finds nothing in our exports, and finds each hazard where there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from respray.segmentation.export.check_graph import check_file, check_folder
from tests.segmentation.conftest import GRAPHS, PROJECT

# Names to (type, shape).
Ends: TypeAlias = dict[str, tuple[int, list[Any]]]
Weights: TypeAlias = dict[str, npt.NDArray[Any]]


def graph_file(
    folder: Path, nodes: list[onnx.NodeProto], inputs: Ends, outputs: Ends, weights: Weights | None = None, opset: int = 20
) -> Path:
    """An ONNX file; inputs and outputs map names to (type, shape)."""
    entries, exits = ([helper.make_tensor_value_info(name, *about) for name, about in ends.items()] for ends in (inputs, outputs))
    tensors = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "test", entries, exits, initializer=tensors)
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path = folder / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


FLOAT, HALF, INT64, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.UINT8
HAZARDS: dict[str, tuple[list[onnx.NodeProto], Ends, Ends, Weights]] = {
    "operators": ([helper.make_node("Rope", ["x"], ["y"], domain="com.microsoft")], {"x": (FLOAT, [4])}, {"y": (FLOAT, [4])}, {}),
    "operators-unknown": ([helper.make_node("Det", ["x"], ["y"])], {"x": (FLOAT, [4, 4])}, {"y": (FLOAT, [])}, {}),
    "dynamic-shapes": ([helper.make_node("NonZero", ["x"], ["y"])], {"x": (FLOAT, [4])}, {"y": (INT64, [1, None])}, {}),
    "dynamic-shapes-axis": ([helper.make_node("Relu", ["x"], ["y"])], {"x": (FLOAT, ["width"])}, {"y": (FLOAT, ["width"])}, {}),
    "types": ([helper.make_node("Add", ["x", "x"], ["y"])], {"x": (INT64, [4])}, {"y": (INT64, [4])}, {}),
    "types-uint8": (
        [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("Cast", ["r"], ["y"], to=FLOAT)],
        {"x": (UINT8, [4])},
        {"y": (FLOAT, [2, 2])},
        {"s": np.array([2, 2])},
    ),
    "types-double": (
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.DOUBLE)],
        {"x": (FLOAT, [4])},
        {"y": (TensorProto.DOUBLE, [4])},
        {},
    ),
    "weights": (
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": (FLOAT, [1, 1, 4, 4]), "w": (FLOAT, [1, 1, 1, 1])},
        {"y": (FLOAT, [1, 1, 4, 4])},
        {},
    ),
    "half-sums": ([helper.make_node("ReduceMean", ["x"], ["y"])], {"x": (HALF, [1, 4000])}, {"y": (HALF, [1, 1])}, {}),
    "half-sums-norm": (
        [helper.make_node("InstanceNormalization", ["x", "s", "s"], ["y"])],
        {"x": (HALF, [1, 2, 9])},
        {"y": (HALF, [1, 2, 9])},
        {"s": np.ones(2, np.float16)},
    ),
    "half-sums-layer": (
        [helper.make_node("LayerNormalization", ["x", "s"], ["y"], stash_type=int(HALF))],
        {"x": (HALF, [1, 2])},
        {"y": (HALF, [1, 2])},
        {"s": np.ones(2, np.float16)},
    ),
}


@pytest.mark.parametrize("name", HAZARDS)
def test_each_hazard_is_an_error(tmp_path: Path, name: str) -> None:
    findings = check_file(graph_file(tmp_path, *HAZARDS[name]))
    rule = next(rule for rule in ("half-sums", "dynamic-shapes", "operators", "types", "weights") if name.startswith(rule))
    assert [finding for finding in findings if finding.severity == "error" and finding.rule == rule], findings


def test_fused_attention_in_half_precision_is_an_error(tmp_path: Path) -> None:
    node = helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["y"], domain="com.microsoft", num_heads=2)
    ends: tuple[Ends, Ends] = {"x": (HALF, [1, 4, 8])}, {"y": (HALF, [1, 4, 8])}
    rules = {finding.rule for finding in check_file(graph_file(tmp_path, [node], *ends)) if finding.severity == "error"}
    assert rules == {"operators", "attention"}
    assert not check_file(graph_file(tmp_path, [node], *ends), "onnxruntime")


def test_new_opsets_and_weights_that_are_not_there_are_errors(tmp_path: Path) -> None:
    relu = [helper.make_node("Add", ["x", "w"], ["y"])]
    path = graph_file(tmp_path, relu, {"x": (FLOAT, [4])}, {"y": (FLOAT, [4])}, {"w": np.ones(4, np.float32)}, opset=23)
    assert "opset 23" in check_file(path)[0].message
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.data", size_threshold=0)
    (tmp_path / "weights.data").unlink()
    assert any(finding.rule == "files" and "weights.data" in finding.message for finding in check_file(path))


def test_the_demo_export_has_no_error() -> None:
    findings = check_folder(GRAPHS)
    assert not [finding for finding in findings if finding.severity == "error"]
    # FP16 storage puts Casts before the convolutions' weights: harmless on the CPU, and the message says what TensorRT wants.
    assert {finding.rule for finding in findings} <= {"weights"}


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "respray.segmentation.export.check_graph"]
    good = subprocess.run([*command, str(GRAPHS), "--target", "onnxruntime"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert good.returncode == 0 and "0 errors, 0 warnings" in good.stdout
    bad = subprocess.run([*command, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and "holds no spec.json" in bad.stderr and "Traceback" not in bad.stderr
