"""What the GPU image does before Triton: fetch the weights, export the graphs, build the engines."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.settings import load_settings
from respray.launch.chosen_model import chosen_model
from respray.launch.gpus import Gpu
from respray.launch.model_sync import sync_source
from respray.segmentation.spec import SPEC_FILE, Attention
from respray.triton.errors import HostError
from respray.triton.repository.build_repository import ENGINE_SCRIPT
from respray.triton.repository.targets import Target
from respray.volumes import models_root
from respray.weights import ensure as weights
from respray.weights.engine_cache import engine_folder, graph_files
from respray.weights.engine_sync import ENGINES, PLANS, fetch_engines
from respray.weights.model_presets import ModelPreset, choose_preset
from respray.weights.volume_lock import VolumeLock

# What a container is stopped with.
ENDING = (signal.SIGTERM, signal.SIGINT)


def prepare_graphs(environment: Mapping[str, str], chosen: Target) -> tuple[ModelPreset, Path]:
    """Bring the model to the volume and export it where graphs for this target are missing. HostError when a step fails; it has told why.

    `graphs` holds them in one form of attention, `graphs-ort` or `graphs-explicit` in the other one where a second target came later.
    """
    run_step(["respray", "weights", "fetch"], "the model's weights could not be fetched")
    preset = choose_preset(chosen_model(load_settings(environment)))  # the one that the step above has fetched
    folder = weights.model_folder(preset, models_root(environment))
    command = [sys.executable, "-m", "respray.segmentation.export", "--checkpoint", str(folder / weights.CHECKPOINT)]
    command += ["--precision", preset.precision, "--attention", chosen.attention]
    graphs, there = _find_graphs(folder, chosen.attention)
    if not there and _may_export(preset, folder):
        with VolumeLock(folder / ".export.lock"):
            graphs, there = _find_graphs(folder, chosen.attention)
            if not there:
                run_step([*command, "--out", str(graphs)], f"{preset.name} could not be exported")
        return preset, graphs
    # In the other form, which costs memory or is refused: building the repository says which.
    return preset, graphs if there else folder / weights.GRAPHS


def _find_graphs(folder: Path, attention: Attention) -> tuple[Path, bool]:
    """Where graphs with this attention are or belong, and whether they are there."""
    usual, other = folder / weights.GRAPHS, folder / f"{weights.GRAPHS}-{attention}"
    for graphs in (usual, other):
        if _attention_of(graphs) == attention:
            return graphs, True
    return (other if (usual / SPEC_FILE).exists() else usual), False


def _attention_of(graphs: Path) -> str | None:
    """The attention of exported graphs; None where there are none, or their description is damaged (building says so)."""
    try:
        return str(json.loads((graphs / SPEC_FILE).read_text())["attention"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _may_export(preset: ModelPreset, folder: Path) -> bool:
    """Whether graphs are to be exported here: where there are none at all (an error tells what is missing), or where a second form can be.

    The demo comes with its graphs, which are small in either form; images without the `export` extra have no torch.
    """
    if not (folder / weights.GRAPHS / SPEC_FILE).exists():
        return True
    return preset.weights.folder is None and (folder / weights.CHECKPOINT).is_dir() and importlib.util.find_spec("torch") is not None


def prepare_engines(repository: Path, preset: ModelPreset, graphs: Path, gpu: Gpu, environment: Mapping[str, str]) -> None:
    """Fetch TensorRT engines for this kind of GPU from the private bucket or build them, where the volume has none, and link them in."""
    version = re.match(r"\d+(\.\d+)*", environment.get("TRT_VERSION", ""))
    root = models_root(environment) / ENGINES
    folder = engine_folder(
        root,
        graph_files(graphs),
        gpu=gpu.name,
        compute_capability=gpu.capability,
        tensorrt=version.group() if version else "0.0",
        precision=preset.precision,
    )
    source = sync_source(load_settings(environment))
    with VolumeLock(folder / ".lock"):
        if source is not None and not any(folder.glob(PLANS)):
            fetch_engines(source, root, folder)
        # Builds what is not there: nothing, where the engines are those of this profile.
        run_step(["sh", str(repository / ENGINE_SCRIPT)], "TensorRT engines could not be built", ENGINE_CACHE=str(folder))


def run_step(command: list[str], failure: str, **extra: str) -> None:
    """Run a command to its end; what ends this process ends it, too.

    Args:
        command: The command, whose words go to stderr.
        failure: What is wrong where it fails.
        extra: Variables of its environment beside ours.

    Raises:
        HostError: It failed.
    """
    # A signal within Popen would leave behind a process that nobody knows of. Blocking signals would not do: the heartbeat of a volume's
    # lock is a thread, and takes them.
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: held.append(number)) for number in ENDING}

    def let_through() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        while held:
            signal.raise_signal(held.pop())

    try:
        # In a session of its own, so that what a step has started itself (trtexec) ends with it.
        step = subprocess.Popen(command, env={**os.environ, **extra}, stdout=sys.stderr, start_new_session=True)
    except BaseException:
        let_through()
        raise
    with step:
        try:
            let_through()
            status = step.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(step.pid, signal.SIGKILL)
            raise
    if status != 0:
        raise HostError(f"{failure}; the reason stands above")
