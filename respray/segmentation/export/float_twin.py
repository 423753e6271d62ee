"""An FP16 graph as FP32: the same nodes and names, so that what its values are can be read on a CPU.

ONNX Runtime's CPU provider computes FP16 nodes in FP32 and drops the casts between them, so a value passes there that is infinite on a GPU.
Of the twin every value's size is measured, and with `overflowing` it turns what FP16 cannot hold into infinity as a GPU does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

from respray.segmentation.arrays import NamedArrays
from respray.segmentation.device import CPU
from respray.segmentation.runner import GraphRunner

HALF_MAX = 65504.0
PEAK = "peak of "


def half_values(model: ir.Model) -> list[ir.Value]:
    """What nodes compute in FP16."""
    return [value for node in model.graph for value in node.outputs if value.dtype == ir.DataType.FLOAT16]


def as_float(model: ir.Model) -> None:
    """FP32 in place of FP16, everywhere and in place."""
    graph = model.graph
    for value in list(graph.initializers.values()):
        if value.dtype == ir.DataType.FLOAT16 and value.const_value is not None:
            value.const_value = ir.tensor(value.const_value.numpy().astype(np.float32), name=value.name)
    for node in graph:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == ir.DataType.FLOAT16:
                node.attributes[name] = ir.AttrTensor(name, ir.tensor(attribute.as_tensor().numpy().astype(np.float32)))
        if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT16:
            node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT))
    for value in (*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)):
        if value.dtype == ir.DataType.FLOAT16:
            value.dtype = ir.DataType.FLOAT


def peaks(path: Path, folder: Path, feeds: list[NamedArrays], threads: int | None = None) -> tuple[dict[str, float], list[NamedArrays]]:
    """How large each value gets that the graph computes in FP16, and the twin's answers.

    Args:
        path: an FP16 graph. folder: where its twin may lie for the while.
        feeds: inputs, float ones in FP32. threads: of ONNX Runtime.

    Returns:
        Largest absolute value by name, and one answer per feed.
    """
    found: dict[str, float] = {}
    answers: list[NamedArrays] = []
    run = saved(_watched(path), folder, threads)
    for feed in feeds:
        answer = run(feed)
        for name in [name for name in answer if name.startswith(PEAK)]:
            # NaN counts as the largest.
            peak = float(np.nan_to_num(answer.pop(name), nan=np.inf, posinf=np.inf))
            found[name.removeprefix(PEAK)] = max(found.get(name.removeprefix(PEAK), 0.0), peak)
        answers.append(answer)
    return found, answers


def _watched(path: Path) -> ir.Model:
    """The twin of an FP16 graph, with the largest absolute value of everything that is computed in FP16 as an output more."""
    model = ir.load(path)
    watched = half_values(model)
    as_float(model)
    for value in watched:
        # No `Abs`: a copy of every value. Right behind its node, so that the value need not be kept until the end.
        highest, lowest = ir.node("ReduceMax", [value], {"keepdims": 0}), ir.node("ReduceMin", [value], {"keepdims": 0})
        negative = ir.node("Neg", [lowest.outputs[0]])
        largest = ir.node("Max", [highest.outputs[0], negative.outputs[0]])
        output = largest.outputs[0]
        output.name, output.dtype, output.shape = f"{PEAK}{value.name}", ir.DataType.FLOAT, ir.Shape([])
        producer = value.producer()
        assert producer is not None
        model.graph.insert_after(producer, [highest, lowest, negative, largest])
        model.graph.outputs.append(output)
    return model


def overflowing(path: Path, folder: Path, threads: int | None = None) -> GraphRunner:
    """The twin of an FP16 graph in which a value above `HALF_MAX` becomes infinite, as it does on a GPU. `folder` as for `peaks`."""
    model = ir.load(path)
    watched = half_values(model)
    as_float(model)
    outputs = set(model.graph.outputs)
    limit, infinite = _constant(model, "overflow_limit", HALF_MAX), _constant(model, "overflow_value", np.inf)
    for value in watched:
        if value in outputs:
            continue
        absolute = ir.node("Abs", [value])
        above = ir.node("Greater", [absolute.outputs[0], limit])
        chosen = ir.node("Where", [above.outputs[0], infinite, value])
        for use in list(value.uses()):
            if use.node is not absolute:
                use.node.replace_input_with(use.idx, chosen.outputs[0])
        chosen.replace_input_with(2, value)
        producer = value.producer()
        assert producer is not None
        model.graph.insert_after(producer, [absolute, above, chosen])
    return saved(model, folder, threads)


def _constant(model: ir.Model, name: str, number: float) -> ir.Value:
    """A number that the graph's nodes may read."""
    kept = ir.tensor(np.float32(number), name=name)
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([]), const_value=kept)
    model.graph.initializers.add(value)
    return value


def saved(model: ir.Model, folder: Path, threads: int | None) -> GraphRunner:
    """Run a changed model. Its weights lie beside it: a graph of 2 GB is none."""
    path = folder / "twin.onnx"
    ir.save(model, path, external_data="twin.data")
    try:
        return GraphRunner(path, threads, CPU, sparing=True)
    finally:
        for file in (path, folder / "twin.data"):
            file.unlink(missing_ok=True)
