"""A mounted inpainting network is found, checked and used. The graph here is a stand-in that paints the hole grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from respray.contract.errors import EditError
from respray.editing.fill.inpaint_onnx import find_inpainter

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def save_graph(path: Path, mask_channels: int = 1) -> None:
    """image * (1 - mask) + 0.5 * mask."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    image = helper.make_tensor_value_info("image", kind, [1, 3, 64, 64])
    mask = helper.make_tensor_value_info("mask", kind, [1, mask_channels, 64, 64])
    out = helper.make_tensor_value_info("out", kind, [1, 3, 64, 64])
    constants = [helper.make_tensor("one", kind, [], [1.0]), helper.make_tensor("half", kind, [], [0.5])]
    nodes = [
        helper.make_node("Sub", ["one", "mask"], ["rest"]),
        helper.make_node("Mul", ["image", "rest"], ["kept"]),
        helper.make_node("Mul", ["mask", "half"], ["grey"]),
        helper.make_node("Add", ["kept", "grey"], ["out"]),
    ]
    graph = helper.make_graph(nodes, "stand_in", [image, mask], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def test_a_mounted_model_is_found_and_fills(tmp_path: Path) -> None:
    assert find_inpainter(tmp_path) is None
    save_graph(tmp_path / "inpaint" / "lama_fp32.onnx")
    network = find_inpainter(tmp_path)
    assert network is not None
    hole = np.zeros((100, 140), bool)
    hole[30:70, 40:90] = True
    filled = network.fill(np.full((100, 140, 3), 200, np.uint8), hole)
    assert filled.shape == (100, 140, 3)
    assert abs(int(filled[50, 65, 0]) - 128) <= 2


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_graph(tmp_path / "inpaint.onnx", mask_channels=3)
    with pytest.raises(EditError, match=r"must take an image \[1,3,h,w\] and a mask"):
        find_inpainter(tmp_path)
