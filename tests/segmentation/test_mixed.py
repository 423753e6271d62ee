"""FP16 exports whose values FP16 cannot hold: plain ones give no answer on a GPU, mixed ones give PyTorch's."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from respray.contract import tensors
from respray.imaging.arrays import UInt8Array
from respray.segmentation.errors import ParityError
from respray.segmentation.export.export_graphs import export_graph, plan_graphs
from respray.segmentation.export.float_twin import as_float, half_values, overflowing, peaks
from respray.segmentation.export.graphs import build_graphs
from respray.segmentation.export.graphs.exact import Exact, fits_half
from respray.segmentation.export.islands import widen
from respray.segmentation.export.mixed import mix_precision
from respray.segmentation.probe import PROBE_FILE, Probe, ProbeResult, compare
from respray.segmentation.runner import Segmenter
from respray.segmentation.spec import GraphName, load_spec, verify_files, write_spec
from tests.segmentation.conftest import GRAPHS

DECODER: GraphName = "sam3_concept_decoder"
TIMES = 20_000.0


def spread(model: Any, times: float = TIMES) -> Any:
    """The same function in FP32: one layer's hidden values `times` larger, and what reads them so many times smaller.

    ReLU lets a factor through; the encoder's GELU does not.
    """
    changed = copy.deepcopy(model)
    mlp = changed.detr_encoder.layers[1].mlp
    for part in (mlp.fc1.weight, mlp.fc1.bias):
        part.mul_(times)
    mlp.fc2.weight.div_(times)
    return changed


@pytest.fixture(scope="module")
def exported(model: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The demo's export with an FP16 decoder of such a model, mixed as the exporter does it; and that decoder as it was before."""
    folder = Path(shutil.copytree(GRAPHS, tmp_path_factory.mktemp("mixed") / "graphs"))
    spec = load_spec(folder)
    with torch.no_grad():
        graphs = build_graphs(spread(model), "fp16", "explicit", spec.queries, "transformers")
    files = export_graph(plan_graphs(graphs, spec.text_length)[DECODER], folder / f"{DECODER}.onnx", half_storage=False)
    plain = Path(shutil.copyfile(folder / f"{DECODER}.onnx", tmp_path_factory.mktemp("plain") / "plain.onnx"))
    half = spec.model_copy(update={"graphs": {**spec.graphs, DECODER: files}, "precision": "fp16"})
    spec, islands = mix_precision(half, folder, lambda _text: None, threads=1)
    assert spec.islands == [str(island) for island in islands]
    write_spec(spec, folder)
    return folder, plain


def asked(segmenter: Segmenter, decoder: Path, twins: Path) -> ProbeResult:
    """The probe's question, with a decoder that overflows as it does on a GPU."""
    probe = Probe.load(GRAPHS / PROBE_FILE, segmenter.spec)
    maps = segmenter.encode_images(probe.image[None])
    tokens = {tensors.INPUT_IDS: probe.input_ids, tensors.ATTENTION_MASK: probe.attention_mask}
    text = segmenter.text_encoder(tokens)[tensors.TEXT_FEATURES]
    prompts = {tensors.TEXT_FEATURES: text[None], tensors.TEXT_MASK: probe.attention_mask[None]}
    found = overflowing(decoder, twins, 1)({**{name: maps[name] for name in tensors.FEATURES}, **prompts})
    return compare(probe, {name: value[0] for name, value in (maps | found).items()})


def test_a_mixed_export_answers_the_probe_where_a_plain_one_overflows(
    segmenter: Segmenter, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, plain = exported
    spec = load_spec(folder)
    verify_files(spec, folder)
    assert 3 <= len(spec.islands) <= 15 and all(line.startswith(f"{DECODER}: ") for line in spec.islands)
    assert len(half_values(ir.load(folder / f"{DECODER}.onnx"))) > 20 * len(spec.islands), "an island is no continent"
    assert any(problem.startswith(("scores", "masks")) for problem in asked(segmenter, plain, tmp_path).problems)
    result = asked(segmenter, folder / f"{DECODER}.onnx", tmp_path)
    assert result.problems == [], result


def test_real_half_arithmetic_overflows_where_the_twin_says_so(model: Any, square: UInt8Array) -> None:
    """PyTorch computes FP16 on a CPU as a GPU does: a plain export's values are infinite there."""
    with torch.no_grad():
        decoder: Any = build_graphs(spread(model), "fp16", "explicit", 8, "transformers").concept_decoder
        seen: list[float] = []
        decoder.layers[1].mlp.register_forward_hook(lambda _module, _given, result: seen.append(float(result.abs().max())))
        rng = np.random.default_rng(0)
        maps = [torch.from_numpy(rng.standard_normal((1, 96, side, side), np.float32)).half() for side in (120, 60, 30)]
        decoder(*maps, torch.from_numpy(rng.standard_normal((1, 1, 32, 96), np.float32)), torch.ones(1, 1, 32, dtype=torch.int32))
    assert not np.isfinite(seen[0])


def chain() -> ir.Model:
    """y = relu(x @ w) @ v in FP16, as `y`."""
    half = TensorProto.FLOAT16
    nodes = [("MatMul", ["x", "w"], ["a"]), ("Relu", ["a"], ["b"]), ("MatMul", ["b", "v"], ["y"])]
    weights = {"w": np.full((4, 4), 100.0, np.float16), "v": np.full((4, 4), 1e-3, np.float16)}
    sides = [helper.make_tensor_value_info(name, half, [1, 4]) for name in ("x", "y", "a", "b")]
    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes], "chain", sides[:1], sides[1:2],
        [numpy_helper.from_array(value, name) for name, value in weights.items()], value_info=sides[2:],
    )  # fmt: skip
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


@pytest.mark.parametrize(("x", "hot"), [(1.0, set[str]()), (200.0, {"a", "b"})])
def test_values_are_measured_and_only_what_needs_it_is_widened(tmp_path: Path, x: float, hot: set[str]) -> None:
    path = tmp_path / "chain.onnx"
    ir.save(chain(), path)
    given = {"x": np.full((1, 4), x, np.float32)}
    found, answers = peaks(path, tmp_path, [given], 1)
    assert found == pytest.approx({"a": 400 * x, "b": 400 * x, "y": 1.6 * x}, rel=1e-3) and answers[0]["y"].dtype == np.float32
    model = ir.load(path)
    islands = widen(model, "chain", found)
    assert {island.value for island in islands} == hot and len(islands) == (3 if hot else 0)
    wide = {str(value.name) for node in model.graph for value in node.outputs if value.dtype == ir.DataType.FLOAT}
    assert wide >= hot and bool(wide) == bool(hot)
    assert model.graph.outputs[0].name == "y" and model.graph.outputs[0].dtype == ir.DataType.FLOAT16
    ir.save(model, path)
    np.testing.assert_allclose(overflowing(path, tmp_path, 1)(given)["y"], answers[0]["y"], rtol=1e-3)
    if hot:
        ir.save(chain(), path)
        assert not np.isfinite(overflowing(path, tmp_path, 1)(given)["y"]).all()


def test_what_passes_between_graphs_cannot_be_widened_and_is_said() -> None:
    with pytest.raises(ParityError, match=r"answers y with values up to 90,000, .*--precision fp32"):
        widen(chain(), "chain", {"y": 9e4})


def test_a_twin_has_no_half_left(exported: tuple[Path, Path]) -> None:
    model = ir.load(exported[1])
    as_float(model)
    assert half_values(model) == [] and not any(value.dtype == ir.DataType.FLOAT16 for value in model.graph.initializers.values())


def test_weights_that_half_cannot_hold_stay_float(model: Any) -> None:
    assert fits_half(model.detr_encoder.layers[1].mlp)
    with torch.no_grad():
        changed = spread(model, 1e7)
        graphs = build_graphs(changed, "fp16", "explicit", 8, "transformers")
    layers: Any = graphs.concept_decoder.layers
    mlp = layers[1].mlp
    assert isinstance(mlp.fc1, Exact) and isinstance(mlp.fc2, Exact)
    assert mlp.fc1.inner.weight.dtype == torch.float32 and layers[0].mlp.fc1.weight.dtype == torch.float16
    assert changed.detr_encoder.layers[1].mlp.fc1.weight.dtype == torch.float32, "the model must be left as it was"


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from respray.segmentation.export.float_twin import peaks
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
given = {"x": np.ones((4096, 4096), np.float32)}
before = most()
found, _ = peaks(Path(sys.argv[1]), Path(sys.argv[1]).parent, [given], 1)
print(len(found), most() - before)
"""


def test_a_value_is_let_go_when_it_was_measured(tmp_path: Path) -> None:
    """At full size the values of all layers together have 30 GB."""
    half, count = TensorProto.FLOAT16, 16
    values = [helper.make_tensor_value_info(f"v{number}", half, [4096, 4096]) for number in range(count + 1)]
    nodes = [helper.make_node("Sin", [values[number].name], [values[number + 1].name]) for number in range(count)]
    values[0].name = nodes[0].input[0] = "x"
    graph = helper.make_graph(nodes, "long", values[:1], values[-1:], value_info=values[1:-1])
    file = tmp_path / "long.onnx"
    ir.save(ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)), file)
    run = subprocess.run([sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    measured, grown = map(int, run.stdout.split())
    assert measured == count
    assert grown < count / 2 * 64 * 1024, f"{grown} KiB for values of 64 MiB"
