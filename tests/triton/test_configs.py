"""The generated configurations: parsed back, and held against the ONNX files' real inputs and outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from respray.contract import tensors
from respray.contract.request import MAX_BOXES
from respray.segmentation.spec import GRAPH_NAMES, GraphName, ModelSpec, load_spec
from respray.triton.errors import BuildError
from respray.triton.repository import tensorrt
from respray.triton.repository.build_repository import SOURCES
from respray.triton.repository.configs import BOX_MODELS, MODELS, configs, signatures, to_text
from respray.triton.repository.targets import DEFAULTS, TARGETS, Target, target
from tools.docs.model_reference import committed

ONNX_TYPES = {
    onnx.TensorProto.UINT8: "TYPE_UINT8",
    onnx.TensorProto.INT32: "TYPE_INT32",
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.FLOAT16: "TYPE_FP16",
}


@pytest.fixture(scope="module")
def spec(demo_graphs: Path) -> ModelSpec:
    return load_spec(demo_graphs)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("plans", [False, True])
def test_every_configuration_parses_back_as_itself(spec: ModelSpec, name: str, plans: bool) -> None:
    built = configs(spec, target(name), plans)
    assert tuple(built) == MODELS
    for config in built.values():
        assert text_format.Parse(to_text(config), pb.ModelConfig()) == config


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_graph_configurations_match_the_onnx_files(spec: ModelSpec, demo_graphs: Path, name: str, graph: GraphName) -> None:
    model = onnx.load(demo_graphs / spec.graphs[graph].model.file, load_external_data=False)
    config = configs(spec, target(name))[graph]

    def real(values: Iterable[Any]) -> dict[str, tuple[str, list[int]]]:
        found = {}
        for value in values:
            tensor = value.type.tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            assert dims[0] == -1, f"{graph}.{value.name} has no dynamic batch"
            found[value.name] = (ONNX_TYPES[tensor.elem_type], dims[1:])
        return found

    def described(tensors: Iterable[Any]) -> dict[str, tuple[str, list[int]]]:
        return {tensor.name: (pb.DataType.Name(tensor.data_type), list(tensor.dims)) for tensor in tensors}

    assert described(config.input) == real(model.graph.input)
    assert described(config.output) == real(model.graph.output)


def test_targets_differ_only_where_they_must(spec: ModelSpec) -> None:
    """Same names, tensors and Python models everywhere."""
    embedded, gpu, rt = (configs(spec, target(name)) for name in ("embedded", "onnxruntime", "tensorrt"))
    for name in MODELS:
        for other in (gpu, rt):
            assert list(embedded[name].input) == list(other[name].input)
            assert list(embedded[name].output) == list(other[name].output)
    assert {config.backend for config in embedded.values()} == {"python", ""}
    assert {name: gpu[name].backend for name in GRAPH_NAMES} == dict.fromkeys(GRAPH_NAMES, "onnxruntime")


def test_only_the_text_encoder_is_cached_and_it_is_on_the_cpu(spec: ModelSpec) -> None:
    for name in TARGETS:
        built = configs(spec, target(name))
        assert [model for model, config in built.items() if config.response_cache.enable] == ["sam3_text_encoder"]
        assert built["sam3_text_encoder"].instance_group[0].kind == pb.ModelInstanceGroup.KIND_CPU


def test_encoder_and_decoder_take_every_gpu(spec: ModelSpec) -> None:
    built = configs(spec, target("onnxruntime", gpus=3))
    for name in ("sam3_image_encoder", "sam3_concept_decoder"):
        assert list(built[name].instance_group[0].gpus) == [0, 1, 2]


def test_the_ensemble_feeds_every_input_of_its_steps(spec: ModelSpec) -> None:
    built = configs(spec, target("embedded"))
    known = {tensor.name for tensor in built["sam3"].input}
    for step in built["sam3"].ensemble_scheduling.step:
        assert set(step.input_map) == {tensor.name for tensor in built[step.model_name].input}
        assert set(step.input_map.values()) <= known
        known |= set(step.output_map.values())
    assert {tensor.name for tensor in built["sam3"].output} <= known


def test_warm_up_covers_every_bucket_on_a_gpu(spec: ModelSpec) -> None:
    built = configs(spec, target("onnxruntime", max_concepts=16))
    decoder = built["sam3_concept_decoder"]
    assert [warm.inputs[tensors.TEXT_MASK].dims[0] for warm in decoder.model_warmup] == [16, 8, 4, 2, 1]
    for model in GRAPH_NAMES:
        for warm in built[model].model_warmup:
            assert set(warm.inputs) == {tensor.name for tensor in built[model].input}
    assert not configs(spec, target("onnxruntime", warm_up=False))["sam3_image_encoder"].model_warmup


@pytest.mark.parametrize("graph", ["sam3_image_encoder", "sam3_concept_decoder"])
def test_tensorrt_profiles_cover_every_dynamic_input(spec: ModelSpec, graph: str) -> None:
    """A dynamic input without a profile, or a batch or bucket outside it, would rebuild the engine for minutes."""
    chosen = target("tensorrt", max_photos=8, max_concepts=16, max_decoded=128)
    config = configs(spec, chosen)[graph]
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    shapes = {}
    for point in ("min", "opt", "max"):
        entries = dict(entry.split(":") for entry in accelerator.parameters[f"trt_profile_{point}_shapes"].split(","))
        assert set(entries) == {tensor.name for tensor in config.input}
        shapes[point] = {name: [int(size) for size in text.split("x")] for name, text in entries.items()}
    for tensor in signatures(spec)[graph].inputs:
        for point, photos, concepts in (("min", 1, 1), ("max", 8, 16)):
            assert shapes[point][tensor.name] == [photos, *[concepts if dim == -1 else dim for dim in tensor.dims]]
        triples = zip(*(shapes[point][tensor.name] for point in ("min", "opt", "max")), strict=True)
        assert all(low <= middle <= high for low, middle, high in triples)


@pytest.mark.parametrize(("concepts", "photos"), [(1, 4), (4, 4), (8, 2), (16, 1), (32, 1)])
def test_a_gpus_decoder_takes_a_bounded_number_of_photos_times_concepts(spec: ModelSpec, concepts: int, photos: int) -> None:
    for name in ("onnxruntime", "tensorrt"):
        chosen = target(name, max_concepts=concepts)
        built = configs(spec, chosen)
        assert built["sam3_concept_decoder"].max_batch_size == photos
        # Triton refuses an ensemble of larger batches than one of its models takes.
        assert built["sam3"].max_batch_size == photos
        assert built["sam3_image_encoder"].max_batch_size == 4
        assert f"text_features:{photos}x{concepts}x" in tensorrt.profile(spec, chosen, "sam3_concept_decoder")["max"]
    assert configs(spec, target("embedded"))["sam3_concept_decoder"].max_batch_size == 4


def test_onnx_runtimes_engine_cache_lies_directly_on_the_volume(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime makes one folder and none above it, and would take an engine of other weights for its own."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    monkeypatch.setenv("MODEL_CACHE_DIR", "/volume")

    def cache(spec: ModelSpec, concepts: int) -> str:
        config = configs(spec, target("tensorrt", max_concepts=concepts))["sam3_concept_decoder"]
        (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
        assert accelerator.parameters["trt_timing_cache_path"] == accelerator.parameters["trt_engine_cache_path"]
        return str(accelerator.parameters["trt_engine_cache_path"])

    retrained = json.loads(spec.model_dump_json())
    retrained["graphs"]["sam3_concept_decoder"]["model"]["sha256"] = "0" * 64
    caches = [cache(spec, 16), cache(spec, 8), cache(ModelSpec.model_validate(retrained), 16)]
    assert {Path(path).parent for path in caches} == {Path("/volume")}
    assert len(set(caches)) == 3 and cache(spec, 16) == caches[0]


def test_plans_replace_graphs_in_the_plan_configuration_only(spec: ModelSpec) -> None:
    plain, plans = configs(spec, target("tensorrt")), configs(spec, target("tensorrt"), plans=True)
    assert [name for name in MODELS if plans[name].backend == "tensorrt"] == ["sam3_image_encoder", "sam3_concept_decoder"]
    assert plans["sam3_image_encoder"].default_model_filename == tensorrt.PLAN_FILE
    assert all(plain[name] == plans[name] for name in ("sam3_text_encoder", "sam3", "applier", "pipeline_bls"))


@pytest.mark.parametrize(("largest", "buckets"), [(1, (1,)), (2, (1, 2)), (16, (1, 2, 4, 8, 16)), (12, (1, 2, 4, 8, 12))])
def test_buckets(largest: int, buckets: tuple[int, ...]) -> None:
    assert target("tensorrt", max_concepts=largest).buckets == buckets
    assert target("embedded", max_concepts=largest).buckets == tuple(range(1, largest + 1))


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("gpu", {}, "Unknown target 'gpu'; there is: embedded, onnxruntime, tensorrt"),
        ("embedded", {"max_photos": 0}, "max_photos is 0; a whole number of at least 1"),
        ("embedded", {"encoder_delay": -1}, "encoder_delay is -1; a whole number of at least 0"),
        ("embedded", {"batch": 3}, "Unknown setting batch; there is: .*encoder_delay.*warm_up"),
    ],
)
def test_wrong_settings_are_named(name: str, settings: dict[str, int], says: str) -> None:
    with pytest.raises(BuildError, match=says):
        target(name, **settings)


def test_defaults_are_named_as_their_keys() -> None:
    assert {name: chosen.name for name, chosen in DEFAULTS.items()} == {name: name for name in TARGETS}
    assert re.match(r"Target\(name='embedded'", repr(Target("embedded")))


def test_the_committed_configurations_are_what_the_description_gives() -> None:
    for path, text in committed().items():
        assert (SOURCES / path).read_text() == text, f"model_repository/{path} is stale: run python -m tools.docs.model_reference"


def test_the_gpu_s_memory_is_taken_as_needed_and_can_be_limited(spec: ModelSpec) -> None:
    """By itself ONNX Runtime doubles its arena and searches convolutions exhaustively, which 16 GB cards feel."""

    def parameters(**settings: int) -> dict[str, dict[str, str]]:
        built = configs(spec, target("onnxruntime", **settings))
        return {name: {key: entry.string_value for key, entry in built[name].parameters.items()} for name in GRAPH_NAMES}

    plain = parameters()
    assert plain["sam3_image_encoder"] == {"cudnn_conv_algo_search": "1", "arena_extend_strategy": "1"}
    assert plain["sam3_text_encoder"] == {}, "it is on the CPU"
    limited = parameters(gpu_memory=6_000_000_000, conv_search=0)["sam3_concept_decoder"]
    assert limited == {"cudnn_conv_algo_search": "0", "arena_extend_strategy": "1", "gpu_mem_limit": "6000000000"}
    with pytest.raises(BuildError, match=r"conv_search is 3; a whole number from 0 to 2 is accepted"):
        target("onnxruntime", conv_search=3)


@pytest.fixture(scope="module", params=["transformers", "meta"])
def taking_boxes(spec: ModelSpec, request: pytest.FixtureRequest) -> ModelSpec:
    """A spec with a geometry encoder."""
    graphs = {**spec.graphs, "sam3_geometry_encoder": spec.graphs["sam3_text_encoder"]}
    return spec.model_copy(update={"graphs": graphs, "cls_token": request.param})


@pytest.mark.parametrize("name", TARGETS)
def test_graphs_that_take_boxes_bring_two_models(taking_boxes: ModelSpec, name: str) -> None:
    built = configs(taking_boxes, target(name))
    assert tuple(built) == (*MODELS, *BOX_MODELS)
    for config in built.values():
        assert text_format.Parse(to_text(config), pb.ModelConfig()) == config
    known = {tensor.name for tensor in built["sam3_boxes"].input}
    for step in built["sam3_boxes"].ensemble_scheduling.step:
        assert set(step.input_map) == {tensor.name for tensor in built[step.model_name].input}
        assert set(step.input_map.values()) <= known
        known |= set(step.output_map.values())
    assert {tensor.name for tensor in built["sam3_boxes"].output} <= known
    assert dict(built["sam3_boxes"].ensemble_scheduling.step[2].input_map)[tensors.TEXT_MASK] == tensors.PROMPT_MASK
    encoded = {tensor.name for tensor in built["sam3_image_encoder"].output}
    assert (tensors.FEATURES_PLAIN in encoded) == (taking_boxes.cls_token == "transformers")
    assert all(tensors.FEATURES_PLAIN not in step.output_map for step in built["sam3"].ensemble_scheduling.step)
    # Warm-up is of text alone, in every bucket.
    for warm in built["sam3_concept_decoder"].model_warmup:
        assert warm.inputs[tensors.TEXT_MASK].dims[1] == taking_boxes.text_length


def test_tensorrt_profiles_reach_from_text_to_text_with_all_boxes(taking_boxes: ModelSpec) -> None:
    chosen = target("tensorrt")
    points = tensorrt.profile(taking_boxes, chosen, "sam3_concept_decoder")
    tokens = {point: dict(entry.split(":") for entry in text.split(","))[tensors.TEXT_MASK].split("x")[2] for point, text in points.items()}
    length = taking_boxes.text_length
    assert tokens == {"min": str(length), "opt": str(length), "max": str(length + MAX_BOXES + 1)}
    built = configs(taking_boxes, chosen, plans=True)
    assert built["sam3_concept_decoder"].backend == "tensorrt" and built["sam3_geometry_encoder"].backend == "onnxruntime"
    assert not built["sam3_geometry_encoder"].optimization.execution_accelerators.gpu_execution_accelerator
