"""The models' whole Triton configurations, for any target, from one description.

They are built as tritonclient's own `ModelConfig` messages, so that a misspelt field fails here and not on the pod, and written out in
protobuf's text form. Shapes come from the exported graphs' `ModelSpec`; tensor names from `docs/architecture.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from respray.contract import parameters, tensors
from respray.contract.parameters import DeviceKind
from respray.contract.request import MAX_BOXES, ObjectSource
from respray.segmentation.spec import FED_AS, GraphName, ModelSpec
from respray.triton.repository import tensorrt
from respray.triton.repository.targets import Target

MODELS = ("sam3_image_encoder", "sam3_text_encoder", "sam3_concept_decoder", "sam3", "applier", "pipeline_bls")
JOINED: tuple[GraphName, ...] = ("sam3_image_encoder", "sam3_concept_decoder")
BOX_MODELS = ("sam3_geometry_encoder", "sam3_boxes")
"""Where the graphs take boxes."""
PLAN_CONFIG = "plan"
ANY = -1


@dataclass(frozen=True)
class Tensor:
    """One tensor as Triton sees it: `dims` without the batch dimension, -1 where it varies."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Signature:
    """A model's inputs and outputs."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def signatures(spec: ModelSpec) -> dict[str, Signature]:
    """Inputs and outputs of every model for graphs of this spec. `docs/architecture.md` explains the tensors."""
    side, grid, channels = spec.image_size, spec.grid, spec.channels
    length, width, queries, mask = spec.text_length, spec.text_width, spec.queries, spec.mask_size
    floating = "FP16" if spec.precision == "fp16" else "FP32"
    image = Tensor(tensors.IMAGE, "UINT8", (side, side, 3))
    sides = (4 * grid, 2 * grid, grid)
    features = tuple(Tensor(name, floating, (channels, size, size)) for name, size in zip(tensors.FEATURES, sides, strict=True))
    texts = (Tensor(tensors.TEXT_FEATURES, "FP32", (ANY, length, width)), Tensor(tensors.TEXT_MASK, "INT32", (ANY, length)))
    decoded = (
        Tensor(tensors.MASKS, "UINT8", (ANY, queries, mask, mask)),
        Tensor(tensors.SCORES, "FP32", (ANY, queries)),
        Tensor(tensors.BOXES, "FP32", (ANY, queries, 4)),
        Tensor(tensors.PRESENCE, "FP32", (ANY,)),
        Tensor(tensors.REGION, "UINT8", (ANY, mask, mask)),
    )
    vectors = ("UINT8", "UINT8", "INT64")
    passed_on = tuple(Tensor(name, dtype, (ANY,)) for name, dtype in zip(tensors.PASSED_ON, vectors, strict=True))
    results = (Tensor(tensors.FILES, "UINT8", (ANY,)), Tensor(tensors.FILE_SIZES, "INT64", (ANY,)), Tensor(tensors.REPORT, "UINT8", (ANY,)))
    # Optional: a photo whose concepts all bring their own masks has nothing segmented.
    # Kept segments have fewer instances than the decoder answers.
    fewer = {tensors.MASKS: (ANY, ANY, mask, mask), tensors.SCORES: (ANY, ANY), tensors.BOXES: (ANY, ANY, 4)}
    segments = tuple(Tensor(tensor.name, tensor.dtype, fewer.get(tensor.name, tensor.dims), optional=True) for tensor in decoded)
    # Optional: most photos are opaque, and facts are what a file says beside its pixels.
    photo = (
        Tensor(tensors.PHOTO, "UINT8", (ANY, ANY, 3)),
        Tensor(tensors.ALPHA, "UINT8", (ANY, ANY), optional=True),
        Tensor(tensors.FACTS, "UINT8", (ANY,), optional=True),
    )
    prompts, encoded = texts, features
    if spec.boxes:
        prompts = (Tensor(tensors.TEXT_FEATURES, "FP32", (ANY, ANY, width)), Tensor(tensors.TEXT_MASK, "INT32", (ANY, ANY)))
    plain = Tensor(tensors.FEATURES_PLAIN, floating, (channels, grid, grid))
    if spec.plain_features:
        encoded = (*features, plain)
    shown = (Tensor(tensors.BOX_PROMPTS, "FP32", (ANY, MAX_BOXES, 4)), Tensor(tensors.BOX_LABELS, "INT32", (ANY, MAX_BOXES)))
    longer = length + MAX_BOXES + 1
    joined = (Tensor(tensors.PROMPT_FEATURES, "FP32", (ANY, longer, width)), Tensor(tensors.PROMPT_MASK, "INT32", (ANY, longer)))
    tokens = (Tensor(tensors.INPUT_IDS, "INT32", (length,)), Tensor(tensors.ATTENTION_MASK, "INT32", (length,)))
    return {
        "sam3_image_encoder": Signature((image,), encoded),
        "sam3_text_encoder": Signature(tokens, (Tensor(tensors.TEXT_FEATURES, "FP32", (length, width)),)),
        "sam3_concept_decoder": Signature((*features, *prompts), decoded),
        "sam3_geometry_encoder": Signature((plain, *shown, *texts), joined),
        "sam3": Signature((image, *texts), decoded),
        "sam3_boxes": Signature((image, *shown, *texts), decoded),
        "applier": Signature((*photo, *segments, *passed_on), results),
        "pipeline_bls": Signature((Tensor(tensors.PHOTO, "UINT8", (ANY,)), *passed_on), results),
    }


def configs(spec: ModelSpec, target: Target, plans: bool = False) -> dict[str, pb.ModelConfig]:
    """Every model's configuration by name. `plans`: encoder and decoder as TensorRT engines (built on the pod) in place of ONNX graphs."""
    signed = signatures(spec)
    built = {
        "sam3_image_encoder": _graph(spec, target, signed, "sam3_image_encoder", plans),
        "sam3_text_encoder": _graph(spec, target, signed, "sam3_text_encoder", plans=False),
        "sam3_concept_decoder": _graph(spec, target, signed, "sam3_concept_decoder", plans),
        "sam3": _joined(spec, target, signed) if target.joined else _ensemble(target, signed),
        "applier": _python("applier", signed["applier"], target.applier_instances),
        "pipeline_bls": _python("pipeline_bls", signed["pipeline_bls"], target.pipeline_instances),
    }
    if spec.boxes:
        built["sam3_geometry_encoder"] = _graph(spec, target, signed, "sam3_geometry_encoder", plans=False)
        built["sam3_boxes"] = _box_ensemble(spec, target, signed)
    built["pipeline_bls"].parameters[parameters.BUCKETS].string_value = ",".join(map(str, target.buckets))
    built["pipeline_bls"].parameters[parameters.MODEL].string_value = model_digest(spec)
    built["applier"].parameters[parameters.OBJECTS].string_value = object_source(spec)
    return {name: built[name] for name in (*MODELS, *BOX_MODELS) if name in built}


def model_digest(spec: ModelSpec) -> str:
    """SHA-256 of all that decides what is found in a photo: the graphs' and the tokenizer's digests, sizes, and `FED_AS`."""
    served = spec.model_dump_json(exclude={"probe", "islands"})  # which only ask and tell
    return hashlib.sha256(f"{FED_AS}\0{served}".encode()).hexdigest()


def object_source(spec: ModelSpec) -> ObjectSource:
    """Where the applier takes objects' masks from (`respray.editing.mask.select.select`)."""
    return "region" if spec.is_demo else "instances"


def to_text(config: pb.ModelConfig) -> str:
    """The `config.pbtxt` of a configuration."""
    return str(text_format.MessageToString(config))


def _base(name: str, signature: Signature, max_batch: int) -> pb.ModelConfig:
    config = pb.ModelConfig(name=name, max_batch_size=max_batch)
    for tensor in signature.inputs:
        config.input.add(name=tensor.name, data_type=f"TYPE_{tensor.dtype}", dims=tensor.dims, optional=tensor.optional)
    for tensor in signature.outputs:
        config.output.add(name=tensor.name, data_type=f"TYPE_{tensor.dtype}", dims=tensor.dims)
    return config


def _python(name: str, signature: Signature, instances: int) -> pb.ModelConfig:
    """A Python model that takes one photo at a time: photos differ in size, so there is nothing to batch."""
    config = _base(name, signature, 0)
    config.backend = "python"
    config.instance_group.add(kind="KIND_CPU", count=instances)
    return config


def _graph(spec: ModelSpec, target: Target, signed: dict[str, Signature], name: GraphName, plans: bool) -> pb.ModelConfig:
    is_text = name == "sam3_text_encoder"
    # The geometry encoder is small, and few photos come with boxes: an engine of its own would not pay.
    is_large = name in ("sam3_image_encoder", "sam3_concept_decoder")
    largest = {
        "sam3_image_encoder": target.max_photos,
        "sam3_text_encoder": target.max_texts,
        "sam3_concept_decoder": target.decoder_photos,
        "sam3_geometry_encoder": target.decoder_photos,
    }
    config = _base(name, signed[name], largest[name])
    file = spec.graphs[name].model.file
    if target.name == "embedded":
        # The text encoder stays on the CPU everywhere: its answers are cached.
        _embed(config, target, file, "cpu" if is_text else target.device)
        late = target.joined and not is_text
        config.parameters[parameters.LATE].string_value = str(late).lower()
    elif plans:
        config.backend = "tensorrt"
        config.default_model_filename = tensorrt.PLAN_FILE
    else:
        config.backend = "onnxruntime"
        config.default_model_filename = file
        if target.name == "tensorrt" and is_large:
            tensorrt.accelerate(config, spec, target, name)
        if not is_text:
            _limit_cuda(config, target)
    _place(config, target, name)
    config.dynamic_batching.max_queue_delay_microseconds = {
        "sam3_image_encoder": target.encoder_delay,
        "sam3_text_encoder": 0,
        "sam3_concept_decoder": target.decoder_delay,
        "sam3_geometry_encoder": 0,
    }[name]
    # The response cache only ever hits for models whose tensors are in CPU memory.
    if is_text:
        config.response_cache.enable = True
    if target.warm_up and not (target.joined and not is_text):
        _warm_up(config, target, signed[name], spec.text_length)
    return config


def _embed(config: pb.ModelConfig, target: Target, file: str, device: DeviceKind) -> None:
    """A Python model around a graph, or around two."""
    config.backend = "python"
    config.parameters[parameters.GRAPH].string_value = file
    config.parameters[parameters.THREADS].string_value = str(target.graph_threads)
    config.parameters[parameters.DEVICE].string_value = device if device == "cpu" else f"{device}:0"
    config.parameters[parameters.GPU_MEMORY].string_value = str(target.gpu_memory)


def _limit_cuda(config: pb.ModelConfig, target: Target) -> None:
    """Options of ONNX Runtime's CUDA provider, as parameters of Triton's backend.

    Names and numbers: https://github.com/triton-inference-server/onnxruntime_backend#onnx-runtime-with-cuda-execution-provider-optimization.
    The page calls this form deprecated and the accelerator `cuda` the new one. The backend (`src/onnxruntime.cc`, June 2026) sets these
    options from the parameters after the accelerator's, to its own defaults where they are missing: only this form has the last word.
    """
    config.parameters["cudnn_conv_algo_search"].string_value = str(target.conv_search)
    config.parameters["arena_extend_strategy"].string_value = str(target.arena_growth)
    if target.gpu_memory:
        config.parameters["gpu_mem_limit"].string_value = str(target.gpu_memory)


def _place(config: pb.ModelConfig, target: Target, name: GraphName) -> None:
    """One instance group: on the CPU for the text encoder (its answers are cached) and for everything embedded, else on every GPU."""
    if name == "sam3_text_encoder" or target.name == "embedded":
        embedded = {"sam3_image_encoder": target.encoder_instances, "sam3_concept_decoder": target.decoder_instances}
        config.instance_group.add(kind="KIND_CPU", count=embedded.get(name, target.text_instances))
        return
    count = target.encoder_instances if name == "sam3_image_encoder" else target.decoder_instances
    config.instance_group.add(kind="KIND_GPU", count=count, gpus=range(target.gpus))


def _warm_up(config: pb.ModelConfig, target: Target, signature: Signature, text_length: int) -> None:
    """Zeros through every bucket of concepts, so that no photo pays for memory and kernel selection. On a CPU one shape is enough.

    Prompts are of text alone, as most are.

    The largest first: the memory that it takes serves the smaller ones, which could not join theirs to make room for it.
    """
    varies = any(ANY in tensor.dims for tensor in signature.inputs)
    sizes: Sequence[int] = target.buckets[::-1] if varies and target.name != "embedded" else (1,)
    for size in sizes:
        sample = config.model_warmup.add(name=f"{config.name}_{size}", batch_size=1)
        for tensor in signature.inputs:
            varying = iter((size, text_length))
            dims = [next(varying) if dim == ANY else dim for dim in tensor.dims]
            sample.inputs[tensor.name].CopyFrom(pb.ModelWarmup.Input(data_type=f"TYPE_{tensor.dtype}", dims=dims, zero_data=True))


def _ensemble(target: Target, signed: dict[str, Signature]) -> pb.ModelConfig:
    """Encoder and decoder joined: the feature maps (56 MB per photo in FP16 at full size) never leave the server's memory.

    Triton takes no ensemble with larger batches than its smallest model. That costs nothing: requests are of one photo, and the batches of
    encoder and decoder are made behind it.
    """
    config = _base("sam3", signed["sam3"], target.decoder_photos)
    config.platform = "ensemble"
    for name in ("sam3_image_encoder", "sam3_concept_decoder"):
        step = config.ensemble_scheduling.step.add(model_name=name, model_version=-1)
        for tensor in signed[name].inputs:
            step.input_map[tensor.name] = tensor.name
        for tensor in signed[name].outputs:
            if tensor.name != tensors.FEATURES_PLAIN:
                step.output_map[tensor.name] = tensor.name
    return config


def _joined(spec: ModelSpec, target: Target, signed: dict[str, Signature]) -> pb.ModelConfig:
    """Encoder and decoder in one Python model. It can answer the features too: the probe asks the graphs that photos go through, with
    prompts that have boxes, too, where the decoder takes them.
    """
    encoder, decoder = (signed[name] for name in JOINED)
    prompts = decoder.inputs[len(tensors.FEATURES) :]
    signature = Signature((*encoder.inputs, *prompts), (*signed["sam3"].outputs, *encoder.outputs))
    config = _base("sam3", signature, target.max_photos)
    files = ",".join(spec.graphs[name].model.file for name in JOINED)
    _embed(config, target, files, target.device)
    config.parameters[parameters.MAX_DECODED].string_value = str(target.max_decoded)
    config.instance_group.add(kind="KIND_CPU", count=target.encoder_instances)
    config.dynamic_batching.max_queue_delay_microseconds = target.encoder_delay
    if target.warm_up:
        _warm_up(config, target, signature, spec.text_length)
    return config


def _box_ensemble(spec: ModelSpec, target: Target, signed: dict[str, Signature]) -> pb.ModelConfig:
    """The same with boxes: the geometry encoder between the two puts their tokens behind the text's."""
    config = _base("sam3_boxes", signed["sam3_boxes"], target.decoder_photos)
    config.platform = "ensemble"
    names = {} if spec.plain_features else {tensors.FEATURES_PLAIN: tensors.FEATURES_LOW}
    prompts = {tensors.TEXT_FEATURES: tensors.PROMPT_FEATURES, tensors.TEXT_MASK: tensors.PROMPT_MASK}
    renamed = {"sam3_image_encoder": {}, "sam3_geometry_encoder": names, "sam3_concept_decoder": prompts}
    for name, taken in renamed.items():
        step = config.ensemble_scheduling.step.add(model_name=name, model_version=-1)
        for tensor in signed[name].inputs:
            step.input_map[tensor.name] = taken.get(tensor.name, tensor.name)
        for tensor in signed[name].outputs:
            step.output_map[tensor.name] = tensor.name
    return config
