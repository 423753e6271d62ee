"""FP32 islands in an FP16 graph: the nodes around values that FP16 might not hold compute in FP32, all others stay as they are.

Which values those are is measured (`float_twin.peaks`). A value that is too large is made, carried and read in FP32, so its producer and
all its readers are of the island; what else they read is cast up, and what else they make is cast down.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from respray.segmentation.errors import ParityError
from respray.segmentation.export.float_twin import HALF_MAX, half_values

MARGIN = 3.0
"""Another photo may bring values as many times larger than those that were measured. The limit lies above what masks add to scores by
design: -10,000 for padding, and as much again for what comes later (`attention.PADDING_BIAS`)."""
LIMIT = HALF_MAX / MARGIN


@dataclass(frozen=True)
class Island:
    """One node that computes in FP32, and the largest of its values that FP16 might not hold."""

    graph: str
    node: str
    value: str
    peak: float

    def __str__(self) -> str:
        return f"{self.graph}: {self.node} -> {self.value} ({self.peak:,.0f})"


def widen(model: ir.Model, name: str, peaks: dict[str, float], limit: float = LIMIT) -> list[Island]:
    """Let the nodes around each value above `limit` compute in FP32. The model is changed; without such values it is not.

    Args:
        model: a graph with FP16 values. name: what to call it.
        peaks: largest absolute values by name.

    Raises:
        ParityError: what is too large is an input or output of the graph, whose type is FP16 for whoever calls it.
    """
    graph = model.graph
    hot = {value for value in half_values(model) if peaks.get(str(value.name), 0.0) > limit}
    edges = sorted(str(value.name) for value in hot if value in graph.outputs)
    if edges:
        largest = max(peaks[edge] for edge in edges)
        raise ParityError(
            f"{name} answers {', '.join(edges)} with values up to {largest:,.0f}, and FP16, which ends at {HALF_MAX:,.0f}, carries them to "
            "the next graph; export with --precision fp32"
        )
    nodes = {value.producer() for value in hot} | {use.node for value in hot for use in value.uses()}
    island = [node for node in graph if node in nodes]
    found = [_island(name, node, hot, peaks) for node in island]
    wide: dict[ir.Value, ir.Value] = {}
    for node in island:
        _raise_inputs(graph, node, hot, wide)
        _lower_outputs(graph, node, hot, nodes, wide)
    for value in hot:
        value.dtype = ir.DataType.FLOAT
    return found


def _island(name: str, node: ir.Node, hot: set[ir.Value], peaks: dict[str, float]) -> Island:
    values = [value for value in (*node.outputs, *node.inputs) if value in hot]
    largest = max(values, key=lambda value: peaks[str(value.name)])
    return Island(name, f"{node.op_type} {node.outputs[0].name}", str(largest.name), peaks[str(largest.name)])


def _raise_inputs(graph: ir.Graph, node: ir.Node, hot: set[ir.Value], wide: dict[ir.Value, ir.Value]) -> None:
    """Cast up what the node reads in FP16; once per value, before its first reader of the island."""
    for index, value in enumerate(node.inputs):
        if value is None or value in hot or value.dtype != ir.DataType.FLOAT16:
            continue
        if value not in wide:
            cast = _cast(value, ir.DataType.FLOAT, f"{value.name}_wide")
            graph.insert_before(node, cast)
            wide[value] = cast.outputs[0]
        node.replace_input_with(index, wide[value])


def _lower_outputs(graph: ir.Graph, node: ir.Node, hot: set[ir.Value], nodes: set[ir.Node | None], wide: dict[ir.Value, ir.Value]) -> None:
    """Cast down what the node makes and FP16 holds; readers of the island take it as it is."""
    if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT16 and node.outputs[0] in hot:
        node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT))
    for value in node.outputs:
        if value in hot or value.dtype != ir.DataType.FLOAT16 or node.op_type == "Cast":
            continue
        cast = _cast(value, ir.DataType.FLOAT16, f"{value.name}_half")
        half = cast.outputs[0]
        for use in list(value.uses()):
            if use.node is not cast and use.node not in nodes:
                use.node.replace_input_with(use.idx, half)
        for index, output in enumerate(graph.outputs):
            if output is value:
                # The graph's output keeps its name.
                value.name, half.name = f"{value.name}_wide", value.name
                graph.outputs[index] = half
        value.dtype = ir.DataType.FLOAT
        graph.insert_after(node, cast)
        wide[half] = value


def _cast(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    node = ir.node("Cast", [value], {"to": int(dtype)})
    output = node.outputs[0]
    output.name, output.dtype, output.shape = name, dtype, value.shape
    return node
