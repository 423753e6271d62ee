"""What the `tensorrt` target adds: ONNX Runtime's TensorRT provider settings, and the script that builds engines with `trtexec`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from tritonclient.grpc import model_config_pb2 as pb

from respray.contract import tensors
from respray.contract.request import MAX_BOXES
from respray.segmentation.spec import GraphName, ModelSpec
from respray.triton.repository.targets import Target
from respray.volumes import models_root

PLAN_FILE = "model.plan"
CACHE_FOLDER = "engine-cache"  # on the models' volume
WORKSPACE = 8 << 30
OPTIMUM_CONCEPTS = 4


def shapes(spec: ModelSpec, name: GraphName, photos: int, concepts: int, tokens: int) -> dict[str, tuple[int, ...]]:
    """Every input of the graph with its whole shape for so many photos, concepts, and tokens in a prompt."""
    side, grid, channels = spec.image_size, spec.grid, spec.channels
    if name == "sam3_image_encoder":
        return {tensors.IMAGE: (photos, side, side, 3)}
    return {
        tensors.FEATURES_HIGH: (photos, channels, 4 * grid, 4 * grid),
        tensors.FEATURES_MID: (photos, channels, 2 * grid, 2 * grid),
        tensors.FEATURES_LOW: (photos, channels, grid, grid),
        tensors.TEXT_FEATURES: (photos, concepts, tokens, spec.text_width),
        tensors.TEXT_MASK: (photos, concepts, tokens),
    }


def profile(spec: ModelSpec, target: Target, name: GraphName) -> dict[str, str]:
    """`min`, `opt` and `max` shapes in the notation that trtexec and ONNX Runtime share: `input:1x2x3,other:4x5`."""
    photos = target.max_photos if name == "sam3_image_encoder" else target.decoder_photos
    text = spec.text_length
    points = {
        "min": (1, 1, text),
        # Most prompts are text alone.
        "opt": (max(1, photos // 2), min(OPTIMUM_CONCEPTS, target.max_concepts), text),
        "max": (photos, target.max_concepts, text + MAX_BOXES + 1 if spec.boxes else text),
    }
    return {
        point: ",".join(f"{key}:{'x'.join(map(str, shape))}" for key, shape in shapes(spec, name, *size).items())
        for point, size in points.items()
    }


def identity(spec: ModelSpec, name: GraphName, settings: Iterable[str]) -> str:
    """A short hash of the graph, its weights and everything an engine is built with: another one needs another engine."""
    graph = spec.graphs[name]
    parts = [graph.model.sha256, graph.data.sha256 if graph.data is not None else "", *settings]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def accelerate(config: pb.ModelConfig, spec: ModelSpec, target: Target, name: GraphName) -> None:
    """Run the graph through ONNX Runtime's TensorRT provider, with engines and kernel timings kept on the volume.

    Names and values: https://github.com/triton-inference-server/onnxruntime_backend, "Parameter mapping between ONNX Runtime and Triton".

    Without a profile that covers every shape, each new shape rebuilds the engine for minutes; without the caches every start does.
    """
    points = profile(spec, target, name)
    settings = {
        "precision_mode": "FP16" if spec.precision == "fp16" else "FP32",
        "max_workspace_size_bytes": str(WORKSPACE),
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_profile_min_shapes": points["min"],
        "trt_profile_opt_shapes": points["opt"],
        "trt_profile_max_shapes": points["max"],
    }
    if spec.precision == "fp16":
        # This provider may lower what the graph keeps in FP32; layer norms are what suffers most.
        settings["trt_layer_norm_fp32_fallback"] = "1"
    # ONNX Runtime makes this folder, but none above it: it lies directly on the volume. It tells engines apart by the names in the graph,
    # not by the weights.
    cache = str(models_root(os.environ) / f"{CACHE_FOLDER}-{name}-{identity(spec, name, (f'{k}={v}' for k, v in settings.items()))}")
    settings |= {"trt_engine_cache_path": cache, "trt_timing_cache_path": cache}
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    for key, value in settings.items():
        accelerator.parameters[key] = value


def engine_script(spec: ModelSpec, target: Target) -> str:
    """A shell script that builds the encoder's and the decoder's engines for the GPU on which it runs, into $ENGINE_CACHE, once.

    The graphs carry their precision themselves, hence `--stronglyTyped`: TensorRT must not lower what was kept in FP32 for accuracy.
    From TensorRT 11 on that is how it always works, and the flag does nothing (sampleOptions.cpp of github.com/NVIDIA/TensorRT).
    Flags: https://docs.nvidia.com/deeplearning/tensorrt/latest/reference/command-line-programs.html.

    A plan's name holds a hash of what it was built from and with, so one of other weights, another profile or other flags is never taken.
    """
    lines = [
        "#!/bin/sh",
        "# Builds TensorRT engines for the GPU of this machine. Run inside the Triton image, once per GPU type and TensorRT version:",
        "#   sh build_engines.sh && tritonserver --model-config-name=plan ...",
        "set -eu",
        'cd "$(dirname "$0")"',
        f'cache="${{ENGINE_CACHE:-${{MODEL_PATH:-${{MODEL_CACHE_DIR:-/models}}}}/{CACHE_FOLDER}}}"',
        'mkdir -p "$cache"',
        'trtexec="$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)"',
    ]
    names: tuple[GraphName, ...] = ("sam3_image_encoder", "sam3_concept_decoder")
    for name in names:
        points = profile(spec, target, name)
        flags = ["--stronglyTyped", f"--memPoolSize=workspace:{WORKSPACE >> 20}M", *(f"--{k}Shapes={v}" for k, v in points.items())]
        graph, plan = f"{name}/1/{spec.graphs[name].model.file}", f'"$cache/{name}-{identity(spec, name, flags)}.plan"'
        lines += [
            "",
            f"if [ ! -s {plan} ]; then",
            f'  "$trtexec" --onnx={graph} --saveEngine={plan}.part --timingCacheFile="$cache/timing.cache" --skipInference \\',
            f"    {' '.join(flags)}",
            f"  mv {plan}.part {plan}",
            "fi",
            f"ln -sf {plan} {name}/1/{PLAN_FILE}",
        ]
    return "\n".join(lines) + "\n"
