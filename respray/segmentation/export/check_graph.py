"""Static check of exported graphs: what could break or blunt TensorRT, found without a GPU.

    python -m respray.segmentation.export.check_graph DIR [--target tensorrt|onnxruntime]

Operators and their limits are those of the ONNX parser's table (onnx/onnx-tensorrt, docs/operators.md) plus the normalisation and
GELU operators that TensorRT 10 added. Needs the `onnx` package.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import onnx
import typer
from onnx import TensorProto

from respray.segmentation.errors import SegmentationError
from respray.segmentation.spec import load_spec

Target = Literal["tensorrt", "onnxruntime"]
Severity = Literal["error", "warning"]
MAX_PROTOBUF_BYTES = 2_147_483_647
MAX_OPSET = 20  # TensorRT 10.0's parser
MAX_TOPK = 3840
DYNAMIC_AXES = {"batch", "concepts", "tokens"}
# A running FP16 sum of values around one loses its last bit here.
MAX_HALF_SUM_TERMS = 2048

_TABLE = (resources.files("respray.segmentation.export") / "tensorrt_operators.txt").read_text(encoding="utf-8")
SUPPORTED = {operator for line in _TABLE.splitlines() if not line.startswith("#") for operator in line.split()}
DATA_DEPENDENT = {"NonZero", "Unique", "Compress", "NonMaxSuppression", "If", "Loop", "Scan", "SequenceAt", "SplitToSequence"}
FUSED_ATTENTION = {"Attention", "MultiHeadAttention", "GroupQueryAttention", "PackedMultiHeadAttention", "ScaledDotProductAttention"}
SHAPE_MATHS = {
    *("Shape", "Size", "Gather", "Concat", "Add", "Sub", "Mul", "Div", "Squeeze", "Unsqueeze", "Slice", "Cast", "Min", "Max", "Identity"),
    *("Constant", "ConstantOfShape", "Equal", "Where", "Reshape"),
}
REDUCTIONS = {"ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL2"}
WEIGHT_INPUTS = {"Conv": (1,), "ConvTranspose": (1,), "InstanceNormalization": (1, 2)}


@dataclass(frozen=True)
class Finding:
    """One hazard. `error` findings would stop an engine from being built or make it wrong; `warning` ones cost speed or are odd."""

    graph: str
    severity: Severity
    rule: str
    message: str


class _Graph:
    """An ONNX model with the look-ups that the rules share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = onnx.load(str(path), load_external_data=False)
        self.graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.producer = {name: node for node in self.graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.inputs = [value for value in self.graph.input if value.name not in self.initializers]
        self.outputs = {value.name for value in self.graph.output}
        # Shape inference on a copy without the weights: they may exceed what a protobuf holds.
        bare = onnx.ModelProto()
        bare.CopyFrom(self.model)
        for tensor in bare.graph.initializer:
            if tensor.raw_data and len(tensor.raw_data) > 4096:
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
        try:
            inferred = onnx.shape_inference.infer_shapes(bare).graph
        except Exception:  # types given in the file are then all there is
            inferred = bare.graph
        self.types: dict[str, onnx.TypeProto.Tensor] = {
            value.name: value.type.tensor_type for value in [*inferred.value_info, *inferred.input, *inferred.output]
        }

    def dtype(self, name: str) -> int:
        """Element type of a tensor, 0 where it is unknown."""
        if name in self.initializers:
            return int(self.initializers[name].data_type)
        return int(self.types[name].elem_type) if name in self.types else 0

    def constant(self, name: str) -> bool:
        """Whether a tensor is known when the engine is built: an initialiser, or made from nothing but initialisers."""
        if not name or name in self.initializers:
            return True
        node = self.producer.get(name)
        return node is not None and all(self.constant(source) for source in node.input)


Rule = Callable[[_Graph], Iterator[tuple[Severity, str]]]


def _operators(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for domain, op in sorted({(node.domain, node.op_type) for node in graph.graph.node}):
        if domain not in ("", "ai.onnx"):
            yield "error", f"{domain}::{op} exists in ONNX Runtime only; export with --attention explicit"
        elif op not in SUPPORTED and op not in DATA_DEPENDENT and op not in FUSED_ATTENTION:
            yield "error", f"operator {op} is not in the ONNX parser's table"
    for opset in graph.model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > MAX_OPSET:
            yield "error", f"opset {opset.version} is newer than TensorRT 10.0's {MAX_OPSET}"


def _attention(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for node in graph.graph.node:
        if node.op_type in FUSED_ATTENTION:
            half = graph.dtype(node.input[0]) == TensorProto.FLOAT16
            yield (
                "error" if half else "warning",
                f"fused attention {node.name or node.op_type}: TensorRT loses its accuracy in FP16",
            )


def _dynamic_shapes(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for op in sorted({node.op_type for node in graph.graph.node} & DATA_DEPENDENT):
        yield "error", f"{op} makes shapes or control flow depend on data"
    for value in [*graph.inputs, *graph.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value") and size.dim_param not in DYNAMIC_AXES:
                name = size.dim_param or "?"
                yield "error", f"axis {axis} of {value.name} is dynamic ({name}); only {' and '.join(sorted(DYNAMIC_AXES))} have profiles"
    for node in graph.graph.node:
        if node.op_type == "TopK":
            count = graph.initializers.get(node.input[1])
            if count is None:
                yield "error", f"{node.name}: K of TopK is not an initialiser"
            elif (k := int(onnx.numpy_helper.to_array(count).ravel()[0])) > MAX_TOPK:
                yield "error", f"{node.name}: K = {k} is above TensorRT's {MAX_TOPK}"


def _types(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for value in [*graph.inputs, *graph.graph.output]:
        if value.type.tensor_type.elem_type in (TensorProto.INT64, TensorProto.DOUBLE, TensorProto.STRING):
            yield "error", f"{value.name} is {TensorProto.DataType.Name(value.type.tensor_type.elem_type)}; use INT32 or FLOAT at the edge"
    edge = {value.name for value in graph.inputs} | graph.outputs
    users = graph.users
    topk = {name for node in graph.graph.node if node.op_type == "TopK" for name in node.output}
    for node in graph.graph.node:
        for name in node.output:
            kind = graph.dtype(name)
            if kind == TensorProto.DOUBLE:
                yield "error", f"{node.op_type} {node.name} computes in DOUBLE"
            elif kind == TensorProto.UINT8 and name not in edge:
                yield "error", f"{node.op_type} {node.name} makes UINT8 inside the graph; TensorRT has it at the edges only"
            elif kind == TensorProto.INT64 and node.op_type not in SHAPE_MATHS and not graph.constant(name):
                # TopK gives INT64 by definition, and its indices only travel to the Gather that uses them.
                indices = name in topk or (
                    node.op_type == "Expand" and all(user.op_type == "GatherElements" for user in users.get(name, []))
                )
                if not indices:
                    yield "warning", f"{node.op_type} {node.name} computes INT64 data"
    for value in graph.inputs:
        if value.type.tensor_type.elem_type == TensorProto.UINT8 and any(user.op_type != "Cast" for user in users.get(value.name, [])):
            yield "error", f"UINT8 input {value.name} is used before a Cast"


def _weights(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for node in graph.graph.node:
        for index in WEIGHT_INPUTS.get(node.op_type, ()):
            name = node.input[index]
            if name in graph.initializers:
                continue
            if graph.constant(name):
                yield "warning", f"weights of {node.op_type} {node.name} are behind a Cast; for TensorRT export with --weights plain"
            else:
                yield "error", f"weights of {node.op_type} {node.name} are not a constant"


def _half_sums(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    for node in graph.graph.node:
        half = bool(node.input) and graph.dtype(node.input[0]) == TensorProto.FLOAT16
        if half and node.op_type in ("InstanceNormalization", "GroupNormalization"):
            yield "error", f"{node.op_type} {node.name} sums whole feature maps in FP16"
        elif half and node.op_type in REDUCTIONS and _reduced(graph, node) > MAX_HALF_SUM_TERMS:
            yield "error", f"{node.op_type} {node.name} sums more than {MAX_HALF_SUM_TERMS} values in FP16"
        elif half and node.op_type == "LayerNormalization":
            stash = next((attribute.i for attribute in node.attribute if attribute.name == "stash_type"), 1)
            if stash != TensorProto.FLOAT:
                yield "error", f"LayerNormalization {node.name} keeps its sums in FP16"


def _reduced(graph: _Graph, node: onnx.NodeProto) -> int:
    """How many values one output of a reduction sums: its input's size over its output's, fixed axes only."""
    sizes = []
    for name in (node.input[0], node.output[0]):
        size = 1
        for axis in graph.types[name].shape.dim if name in graph.types else []:
            size *= axis.dim_value or 1
        sizes.append(size)
    return sizes[0] // max(sizes[1], 1)


def _files(graph: _Graph) -> Iterator[tuple[Severity, str]]:
    size = graph.path.stat().st_size
    if size > MAX_PROTOBUF_BYTES:
        yield "error", f"{graph.path.name} has {size / 1e9:.1f} GB; a protobuf holds 2 GB, so weights belong into an external file"
    for tensor in graph.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        location = next(entry.value for entry in tensor.external_data if entry.key == "location")
        if Path(location).is_absolute() or ".." in Path(location).parts or not (graph.path.parent / location).is_file():
            yield "error", f"the weights of {tensor.name} are in {location}, which does not lie beside the graph"
            return


RULES: dict[str, Rule] = {
    "operators": _operators,
    "attention": _attention,
    "dynamic-shapes": _dynamic_shapes,
    "types": _types,
    "weights": _weights,
    "half-sums": _half_sums,
    "files": _files,
}
FOR_EVERY_TARGET = {"dynamic-shapes", "half-sums", "files"}


def check_file(path: Path, target: Target = "tensorrt") -> list[Finding]:
    """Apply every rule that matters for `target` to one `.onnx` file."""
    graph = _Graph(path)
    names = RULES if target == "tensorrt" else FOR_EVERY_TARGET
    return [Finding(path.name, severity, name, message) for name in RULES if name in names for severity, message in RULES[name](graph)]


def check_folder(folder: Path, target: Target = "tensorrt") -> list[Finding]:
    """Check the graphs of an export.

    Raises:
        SpecError: `folder` is not an export.
    """
    spec = load_spec(folder)
    return [finding for files in spec.graphs.values() for finding in check_file(folder / files.model.file, target)]


def main(
    folder: Annotated[Path, typer.Argument(help="Folder written by the exporter.")],
    target: Annotated[Target, typer.Option(help="What is to run the graphs.")] = "tensorrt",
) -> None:
    """Print every finding; exit code 1 if one of them is an error."""
    try:
        findings = check_folder(folder, target)
    except SegmentationError as error:
        sys.exit(f"error: {error}")
    for finding in findings:
        print(f"{finding.severity}: {finding.graph}: {finding.rule}: {finding.message}")
    errors = sum(finding.severity == "error" for finding in findings)
    print(f"{folder}: {errors} errors, {len(findings) - errors} warnings for {target}")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    typer.run(main)
