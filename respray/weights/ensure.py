"""Make sure that the model a worker is asked for lies complete on its volume, wherever it comes from."""

from __future__ import annotations

import logging
from pathlib import Path

from respray.segmentation.spec import SPEC_FILE
from respray.weights import hub
from respray.weights.errors import WeightsError
from respray.weights.hub_cache import find_snapshot, link_snapshot
from respray.weights.manifest import MANIFEST, Manifest, describe
from respray.weights.model_presets import PRESETS_FILE, ModelPreset, Weights
from respray.weights.s3_sync import Sync, SyncSource
from respray.weights.volume_errors import explained
from respray.weights.volume_lock import VolumeLock

log = logging.getLogger(__name__)

# Inside a model folder: what the server runs (written by the exporter), and what it was exported from.
GRAPHS = "graphs"
CHECKPOINT = "checkpoint"


def model_folder(preset: ModelPreset, root: Path) -> Path:
    """Where the model's files are: in this package for the demo, `root/<name>` for the others."""
    if preset.weights.folder is not None:
        return PRESETS_FILE.parent / preset.weights.folder
    return root / preset.name


def problems(preset: ModelPreset, root: Path, full: bool = False) -> list[str]:
    """What is wrong with the model on this volume; empty where it is complete. `full` compares checksums too (reads all files)."""
    folder = model_folder(preset, root)
    if not folder.is_dir():
        return [f"{folder} does not exist"]
    try:
        manifest = Manifest.read(folder)
    except ValueError as error:
        return [str(error)]
    if manifest is None and preset.weights.folder is not None:
        return _graph_problems(folder / GRAPHS, full)
    if manifest is None:
        # Exported graphs describe themselves, and they are all that a server reads.
        if (folder / GRAPHS / SPEC_FILE).is_file():
            return _graph_problems(folder / GRAPHS, full, demo=preset.demo)
        return [f"{folder} has no {MANIFEST}: it was never completed"]
    if not manifest.files:
        return [f"{folder}/{MANIFEST} names no file: it was written before there were any"]
    if manifest.model != preset.name:
        return [f"{folder}/{MANIFEST} describes {manifest.model!r}, not {preset.name!r}"]
    return manifest.problems(folder, full)


def _graph_problems(graphs: Path, full: bool, demo: bool = True) -> list[str]:
    """What is wrong with exported graphs, by sizes and checksums in their own specification. `demo`: whether the demo's are accepted."""
    from respray.segmentation.errors import SpecError
    from respray.segmentation.spec import load_spec, verify_files

    try:
        spec = load_spec(graphs)
        if spec.is_demo and not demo:
            return [f"{graphs} holds the demo's graphs"]
        if full:
            verify_files(spec, graphs)
    except SpecError as error:
        return [str(error)]
    return []


def ensure(
    preset: ModelPreset,
    root: Path,
    *,
    sync: SyncSource | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    cached: str | None = None,
    wait: float = 3600.0,
) -> Path:
    """Return the model's folder after fetching what is missing. Several workers may call this on one volume at once.

    Args:
        preset: the model.
        root: the models' volume.
        sync: a private bucket to fetch from (`MODEL_SYNC_ENABLED`); None means the hub.
        token: of the hub.
        endpoint: another hub than the public one.
        cached: a repository with exported graphs (`hub_push`): the one in Runpod's cache of models is used where it lies there, else it is
            fetched from the hub, in place of the checkpoint.
        wait: seconds to wait for a worker that fetches already.

    Raises:
        WeightsError: or one of its kinds; it says what to do.
    """
    folder = model_folder(preset, root)
    if cached is not None and (folder.is_symlink() or not folder.exists()) and (snapshot := find_snapshot(cached)) is not None:
        link_snapshot(snapshot, folder)
        log.info("%s: %s in Runpod's cache of models", preset.name, snapshot)
    found = problems(preset, root)
    if not found:
        return folder
    if preset.weights.folder is not None:
        restore = "installing respray again restores it (in a checkout: `git checkout -- respray/weights`)"
        raise WeightsError(f"{preset.name} ships with the package and is not whole: {'; '.join(found)}; {restore}")
    with VolumeLock(root / f".{preset.name}.lock", wait=wait):
        if not problems(preset, root):  # whoever held the lock before us has done it
            return folder
        log.info("%s: %s", preset.name, "; ".join(found[:3]))
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(preset, folder, sync, token, endpoint, cached).write(folder)
    left = problems(preset, root)
    if left:
        raise WeightsError(f"{preset.name} is still not whole after fetching it: {'; '.join(left)}")
    return folder


def _fetch(
    preset: ModelPreset, folder: Path, sync: SyncSource | None, token: str | None, endpoint: str | None, exported: str | None
) -> Manifest:
    if sync is not None:
        return Sync(sync, preset.name, folder).run(preset.name)
    if exported is not None:
        commit = hub.download(Weights(repository=exported, patterns=[f"{GRAPHS}/*"]), folder, token, endpoint)
        if not (folder / GRAPHS / SPEC_FILE).is_file():
            what = f"MODEL_HUB_REPOSITORY={exported} has no {GRAPHS}/{SPEC_FILE}"
            raise WeightsError(f"{what}; `respray weights push --hub` puts graphs there")
        return describe(folder, preset.name, f"https://huggingface.co/{exported}@{commit}")
    commit = hub.download(preset.weights, folder / CHECKPOINT, token, endpoint)
    return describe(folder, preset.name, f"https://huggingface.co/{preset.weights.repository}@{commit}")
