"""What the `tensorrt` target adds: ONNX Runtime's TensorRT provider settings, and the script that builds engines with `trtexec`."""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2 as pb

from segmentation.spec import GraphName, ModelSpec
from serving.targets import Target

PLAN_FILE = "model.plan"
CACHE_FOLDER = "/models/engine-cache"
WORKSPACE = 8 << 30
OPTIMUM_CONCEPTS = 4


def shapes(spec: ModelSpec, name: GraphName, photos: int, concepts: int) -> dict[str, tuple[int, ...]]:
    """Every input of the graph with its whole shape for so many photos and concepts."""
    side, grid, channels = spec.image_size, spec.grid, spec.channels
    if name == "sam3_image_encoder":
        return {"image": (photos, side, side, 3)}
    return {
        "features_high": (photos, channels, 4 * grid, 4 * grid),
        "features_mid": (photos, channels, 2 * grid, 2 * grid),
        "features_low": (photos, channels, grid, grid),
        "text_features": (photos, concepts, spec.text_length, spec.text_width),
        "text_mask": (photos, concepts, spec.text_length),
    }


def profile(spec: ModelSpec, target: Target, name: GraphName) -> dict[str, str]:
    """`min`, `opt` and `max` shapes in the notation that trtexec and ONNX Runtime share: `input:1x2x3,other:4x5`."""
    points = {
        "min": (1, 1),
        "opt": (max(1, target.max_photos // 2), min(OPTIMUM_CONCEPTS, target.max_concepts)),
        "max": (target.max_photos, target.max_concepts),
    }
    return {
        point: ",".join(f"{key}:{'x'.join(map(str, shape))}" for key, shape in shapes(spec, name, *size).items())
        for point, size in points.items()
    }


def accelerate(config: pb.ModelConfig, spec: ModelSpec, target: Target, name: GraphName) -> None:
    """Run the graph through ONNX Runtime's TensorRT provider, with engines and kernel timings kept on the volume.

    Without a profile that covers every shape, each new shape rebuilds the engine for minutes; without the caches every start does.
    """
    points = profile(spec, target, name)
    settings = {
        "precision_mode": "FP16" if spec.precision == "fp16" else "FP32",
        "max_workspace_size_bytes": str(WORKSPACE),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": f"{CACHE_FOLDER}/{name}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": f"{CACHE_FOLDER}/{name}",
        "trt_profile_min_shapes": points["min"],
        "trt_profile_opt_shapes": points["opt"],
        "trt_profile_max_shapes": points["max"],
    }
    if spec.precision == "fp16":
        # This provider may lower what the graph keeps in FP32; layer norms are what suffers most.
        settings["trt_layer_norm_fp32_fallback"] = "1"
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    for key, value in settings.items():
        accelerator.parameters[key] = value


def engine_script(spec: ModelSpec, target: Target) -> str:
    """A shell script that builds the encoder's and the decoder's engines for the GPU on which it runs, into $ENGINE_CACHE, once.

    The graphs carry their precision themselves, hence `--stronglyTyped`: TensorRT must not lower what was kept in FP32 for accuracy.
    """
    lines = [
        "#!/bin/sh",
        "# Builds TensorRT engines for the GPU of this machine. Run inside the Triton image, once per GPU type and TensorRT version:",
        "#   sh build_engines.sh && tritonserver --model-config-name=plan ...",
        "set -eu",
        'cd "$(dirname "$0")"',
        f'cache="${{ENGINE_CACHE:-{CACHE_FOLDER}}}"',
        'mkdir -p "$cache"',
        'trtexec="$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)"',
    ]
    names: tuple[GraphName, ...] = ("sam3_image_encoder", "sam3_concept_decoder")
    for name in names:
        points = profile(spec, target, name)
        graph, plan = f"{name}/1/{spec.graphs[name].model.file}", f'"$cache/{name}.plan"'
        lines += [
            "",
            f"if [ ! -s {plan} ] || [ {graph} -nt {plan} ]; then",
            f'  "$trtexec" --onnx={graph} --saveEngine={plan}.part --stronglyTyped \\',
            f'    --memPoolSize=workspace:{WORKSPACE >> 20}M --timingCacheFile="$cache/timing.cache" --skipInference \\',
            f"    --minShapes={points['min']} \\",
            f"    --optShapes={points['opt']} \\",
            f"    --maxShapes={points['max']}",
            f"  mv {plan}.part {plan}",
            "fi",
            f"ln -sf {plan} {name}/1/{PLAN_FILE}",
        ]
    return "\n".join(lines) + "\n"
