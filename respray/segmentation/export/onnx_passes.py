"""Changes to exported graphs that do not change their answers."""

import numpy as np
import onnx_ir as ir


def clear_metadata(model: ir.Model) -> None:
    """Drop the exporter's notes (stack traces with this machine's paths, module names), so that files are small and reproducible."""
    model.metadata_props.clear()
    model.doc_string = None
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        values = [*graph.inputs, *graph.initializers.values()]
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            values.extend(node.outputs)
        for value in values:
            value.metadata_props.clear()
            value.doc_string = None


def store_as_half(model: ir.Model, min_elements: int = 1024) -> None:
    """Hold float32 initialisers that are exact in FP16 as FP16 with a Cast in front of their uses.

    ONNX Runtime folds the Casts when it loads the graph, so the computation is the same float32 one, bit for bit.
    """
    graph = model.graph
    for name in list(graph.initializers):
        value = graph.initializers[name]
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < min_elements:
            continue
        full = tensor.numpy()
        with np.errstate(over="ignore"):
            half = full.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), full):
            continue
        stored = ir.Value(
            name=f"{name}_half",
            type=ir.TensorType(ir.DataType.FLOAT16),
            shape=value.shape,
            const_value=ir.tensor(half, name=f"{name}_half"),
        )
        cast = ir.Node("", "Cast", [stored], attributes=[ir.AttrInt64("to", int(ir.DataType.FLOAT))], name=f"{name}_cast")
        result = cast.outputs[0]
        result.name, result.type, result.shape = f"{name}_full", ir.TensorType(ir.DataType.FLOAT), value.shape
        ir.convenience.replace_all_uses_with(value, result)
        graph.initializers.pop(name)
        graph.initializers.add(stored)
        graph.insert_before(graph[0], cast)
