"""Build a whole Triton model repository for a target from a folder of exported graphs.

    build(Path("respray/weights/demo/graphs"), target("embedded"), Path("build/embedded"))

`model_repository/` in git holds the Python models; weights are linked and configurations generated into the build folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from respray.segmentation.errors import SpecError
from respray.segmentation.spec import SPEC_FILE, ModelSpec, load_spec
from respray.triton.errors import BuildError
from respray.triton.repository import configs as model_configs
from respray.triton.repository import tensorrt
from respray.triton.repository.targets import Target

log = logging.getLogger(__name__)

SOURCES = Path(str(resources.files("respray"))) / "model_repository"
STAMP = "respray-build.json"
ENGINE_SCRIPT = "build_engines.sh"
VERSION = "1"
TRITON_POOL = 64 << 20  # its default
STUB_MEMORY = 1 << 20  # what the Python backend reserves per instance
PHOTO_MEMORY = 12_000_000 * 3
DETR_HEADS = 8
LARGE_ATTENTION_BYTES = 100 << 20  # bytes of one matrix of attention, for each concept, that are worth a warning


def build(graphs: Path, target: Target, out: Path, sources: Path = SOURCES, *, symlinks: bool = False) -> Path:
    """Write the model repository to `out` and return it, as a whole or not at all.

    What is already there for the same graphs and target is reused.

    Args:
        graphs: a folder written by the exporter.
        target: where the repository will run.
        out: a new or empty folder, or one that an earlier build has written.
        sources: the Python models.
        symlinks: point to the weights where they lie, for a repository that is used on this machine only and may be on another file
            system than its weights.

    Raises:
        BuildError: the graphs are missing or damaged, `out` holds something else, cannot be written, or the disk is full.
    """
    try:
        spec = load_spec(graphs)
    except SpecError as error:
        raise BuildError(f"No model repository can be built from {graphs}: {error}") from error
    _check_attention(spec, target, graphs)
    files = _texts(spec, target, sources)
    stamp = _stamp(spec, graphs, files)
    if _built(out).get("stamp") == stamp:
        return out
    record = {
        "stamp": stamp,
        "shared_memory": shared_memory(spec, target),
        "gpu_pool": gpu_pool(spec, target),
        "target": target.name,
        "device": target.device if target.name == "embedded" else "cuda",
    }
    try:
        if out.exists() and any(out.iterdir()) and not (out / STAMP).is_file():
            raise BuildError(f"{out} is not empty and was not built by this command; give an empty or new folder.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as folder:
            staging = Path(folder) / out.name
            _write(staging, spec, graphs, target, files, symlinks)
            (staging / STAMP).write_text(json.dumps(record))
            staging.chmod(0o755)
            if out.exists():
                shutil.rmtree(out)
            staging.rename(out)
    except OSError as error:
        why = error.strerror or error
        raise BuildError(f"The model repository could not be written to {out}: {why}; give a folder that can be written") from error
    return out


def shared_memory(spec: ModelSpec, target: Target) -> int:
    """Bytes of /dev/shm that the Python models of this repository need for full batches and one 12-megapixel photo (an estimate).

    Every tensor lies there twice, once as one model's output and once as the next one's input (measured with the demo model).
    """
    features, masks = _features(spec), _masks(spec, target)
    instances = target.pipeline_instances + target.applier_instances + 3
    batch = masks
    if target.name == "embedded":
        # Joined graphs hand no features on.
        batch = target.max_photos * (masks if target.joined else features + masks)
    return instances * STUB_MEMORY + 2 * (batch + PHOTO_MEMORY)


def gpu_pool(spec: ModelSpec, target: Target) -> int:
    """Bytes of Triton's own memory on each GPU for what passes from model to model there (an estimate); 0 where there is no GPU.

    Two batches of features (one made, one used) and one more to put a batch together in, two batches of masks, and Triton's default for
    the rest. What does not fit takes the way over the CPU's memory.
    """
    if target.name == "embedded":
        return 0
    features = (2 * target.max_photos + target.decoder_photos) * _features(spec)
    return features + 2 * target.decoder_photos * _masks(spec, target) + TRITON_POOL


def _features(spec: ModelSpec) -> int:
    """Bytes of one photo's feature maps."""
    maps = 16 + 4 + 1 + spec.plain_features  # grids of 4g, 2g and g, and the lowest once more for the boxes
    return spec.channels * maps * spec.grid**2 * (2 if spec.precision == "fp16" else 4)


def _masks(spec: ModelSpec, target: Target) -> int:
    """Bytes of one photo's masks and regions, with all concepts."""
    return target.max_concepts * (spec.queries + 1) * spec.mask_size**2


def _check_attention(spec: ModelSpec, target: Target, graphs: Path) -> None:
    """BuildError for graphs that the target cannot run, a warning for those that need far more memory there than they have to."""
    again = f"export the checkpoint again with --attention {target.attention}"
    if target.attention == "explicit" and spec.attention == "ort":
        raise BuildError(f"The graphs in {graphs} hold ONNX Runtime's own attention, which TensorRT cannot read; {again}.")
    matrix = DETR_HEADS * spec.grid**4 * (2 if spec.precision == "fp16" else 4)
    if spec.attention != target.attention and matrix > LARGE_ATTENTION_BYTES:
        log.warning(
            "The graphs in %s write attention out: on the target %s each concept of a run takes %.1f GB for one matrix and its copies; %s.",
            *(graphs, target.name, matrix / 1e9, again),
        )


def needed_pool(repository: Path) -> int:
    """What `gpu_pool` said when the repository was built; 0 for a repository from elsewhere."""
    return int(_built(repository).get("gpu_pool", 0))


def needed_shared_memory(repository: Path) -> int:
    """What `shared_memory` said when the repository was built; 0 for a repository from elsewhere."""
    return int(_built(repository).get("shared_memory", 0))


def built_for(repository: Path) -> tuple[str, str]:
    """The target that a repository was built for, and where its large graphs run, a `DeviceKind`; ("unknown", "cpu") of others."""
    record = _built(repository)
    return str(record.get("target", "unknown")), str(record.get("device", "cpu"))


def _built(repository: Path) -> dict[str, Any]:
    """The record that a build leaves, or nothing."""
    try:
        record = json.loads((repository / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _texts(spec: ModelSpec, target: Target, sources: Path) -> dict[str, str]:
    """Every small file of the repository by its path: configurations, Python models, the engine script."""
    texts: dict[str, str] = {}
    for name, config in model_configs.configs(spec, target).items():
        texts[f"{name}/config.pbtxt"] = model_configs.to_text(config)
        if config.backend == "python":
            source = sources / name / VERSION / "model.py"
            if not source.is_file():
                raise BuildError(f"{source} is missing; install respray again.")
            texts[f"{name}/{VERSION}/model.py"] = source.read_text()
    if target.name == "tensorrt":
        # Triton reads configs/plan.pbtxt in place of config.pbtxt when it is started with --model-config-name=plan.
        for name, config in model_configs.configs(spec, target, plans=True).items():
            if config.backend == "tensorrt":
                texts[f"{name}/configs/{model_configs.PLAN_CONFIG}.pbtxt"] = model_configs.to_text(config)
        texts[ENGINE_SCRIPT] = tensorrt.engine_script(spec, target)
    texts[f"pipeline_bls/{VERSION}/{SPEC_FILE}"] = spec.model_dump_json(indent=2) + "\n"
    return texts


def _stamp(spec: ModelSpec, graphs: Path, texts: dict[str, str]) -> str:
    """Changes whenever anything in the repository would: the small files, the weights' hashes, and where the weights come from."""
    parts = [str(graphs.resolve()), *(f"{file.file} {file.sha256}" for file in spec.files())]
    parts += [f"{path}\0{text}" for path, text in sorted(texts.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _write(folder: Path, spec: ModelSpec, graphs: Path, target: Target, texts: dict[str, str], symlinks: bool) -> None:
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name in ("sam3", "sam3_boxes") if spec.boxes else ("sam3",):
        (folder / name / VERSION).mkdir(parents=True, exist_ok=True)  # Triton wants a version folder of an ensemble too
    for name, graph in spec.graphs.items():
        for stored in (graph.model, graph.data):
            if stored is not None:
                _link(graphs / stored.file, folder / name / VERSION / stored.file, symlinks)
                if target.joined and name in model_configs.JOINED:
                    _link(graphs / stored.file, folder / "sam3" / VERSION / stored.file, symlinks)
    for stored in (spec.tokenizer, spec.probe):
        if stored is not None:
            _link(graphs / stored.file, folder / "pipeline_bls" / VERSION / stored.file, symlinks)
    if target.name == "tensorrt":
        (folder / ENGINE_SCRIPT).chmod(0o755)


def _link(source: Path, destination: Path, symlink: bool) -> None:
    """A hard link where the file system allows, so that gigabytes are not written twice; otherwise a copy. Or a symbolic link."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if symlink:
        destination.symlink_to(source.resolve())
        return
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
