"""Check 7: which model this machine would serve, and whether its files are present, complete and undamaged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from respray.doctor import connections, probe
from respray.doctor.finding import FAIL, PASS, WARN, Finding, Status
from respray.doctor.situation import Situation

if TYPE_CHECKING:  # what an environment without packages has not
    from orchestrator.settings import Settings
    from respray.contract.parameters import DeviceKind

NAME = "model"
TITLE = "Model files"

# What an empty volume needs before the first download: 3.4 GB of weights, their graphs, and engines.
_ROOM_GB = 12


def run(situation: Situation) -> list[Finding]:
    """Which model, is it refused, is it whole."""
    try:
        from orchestrator.errors import SettingsError
        from orchestrator.settings import load_settings
        from respray.launch.chosen_model import chosen_model
        from respray.segmentation.spec import SPEC_FILE
        from respray.weights import ensure as weights
        from respray.weights.errors import OperationsError
        from respray.weights.manifest import Manifest
        from respray.weights.model_presets import choose_preset, refuse_demo
    except ImportError as error:
        return [Finding(FAIL, f"not checked: {error}", "install the packages first: see the check of Python packages")]
    try:
        # Where nobody has set up an intake yet, what runs is local work: `respray run` and the demo.
        settings = load_settings(situation.environment, env_file=None, adapter=None if situation.adapter else "local")
    except SettingsError as error:
        return [Finding(FAIL, str(error), "correct them in the environment or in .env; docs/reference/settings.md lists what each accepts")]
    name, root = chosen_model(settings), settings.model_path
    findings = []
    try:
        preset = choose_preset(name)
    except OperationsError as error:
        return [Finding(FAIL, str(error), "MODEL_NAME=sam3, or another of these")]
    try:
        refuse_demo(preset, settings.require_real_model)
    except OperationsError as error:
        findings.append(Finding(FAIL, str(error), "MODEL_NAME=sam3 (or REQUIRE_REAL_MODEL=false to try the demo)"))
    if preset.demo and not situation.adapter and settings.require_real_model_setting is None:
        what = "ADAPTER is not set: `respray run` takes the demo model, `respray work` means ADAPTER=runpod and refuses it"
        findings.append(Finding(WARN, what, "ADAPTER=local to work with the demo model; for a worker, ADAPTER and MODEL_NAME=sam3"))
    folder = weights.model_folder(preset, root)
    found = weights.problems(preset, root, full=situation.full_checksums)
    manifest = None if found else Manifest.read(folder)
    if manifest is not None:
        size = sum(entry.size for entry in manifest.files.values())
        how = "checksums right" if situation.full_checksums else "sizes right"
        findings.append(
            Finding(PASS, f"{name} ({preset.description}) in {folder}: {len(manifest.files)} files, {size / 1e6:.1f} MB, {how}")
        )
        if not (folder / weights.GRAPHS / SPEC_FILE).is_file():
            findings.append(_no_graphs(situation, folder / weights.CHECKPOINT, folder / weights.GRAPHS, preset.precision))
    elif not found:
        findings.append(Finding(PASS, f"{name} ({preset.description}) in {folder}: graphs as their specification describes them"))
    elif preset.weights.folder is not None:
        fix = "install respray again (in a checkout: git checkout -- respray/weights)"
        findings.append(Finding(FAIL, f"{name}: {'; '.join(found)}", fix))
    else:
        findings.append(
            Finding(FAIL, f"{name}: {'; '.join(found[:5])}", f"respray weights fetch (fetches what is missing or damaged into {folder})")
        )
        findings.extend(_volume(root))
    graphs = folder / weights.GRAPHS
    # A server that runs is asked in the check of the connections: a second copy of the graphs would not fit beside it.
    if not found and situation.full_checksums and (graphs / SPEC_FILE).is_file() and not connections.triton_address(situation):
        findings.append(probe.of_graphs(graphs, _device(settings)))
    return findings


def _device(settings: Settings) -> DeviceKind:
    """Where a server that a worker starts here would run the graphs."""
    from orchestrator.errors import SettingsError
    from respray.launch.local_server import embedded_device

    try:
        return embedded_device(settings)
    except (SettingsError, ImportError):  # said by the checks of the GPU
        return "cpu"


def _no_graphs(situation: Situation, checkpoint: Path, graphs: Path, precision: str) -> Finding:
    """The hub has a checkpoint only, and no server runs that. Where Triton is elsewhere, it is that one's folder that counts."""
    attention = "explicit" if situation.environment.get("TRITON_TARGET") == "tensorrt" else "ort"
    options = f"--checkpoint {checkpoint} --precision {precision} --attention {attention} --out {graphs}"
    export = f"pip install {situation.install('export')} && python -m respray.segmentation.export {options}"
    fix = f"{export} (without torch: docs/weights.md, From a private bucket)"
    severity: Status = WARN if situation.environment.get("TRITON_URL") else FAIL
    return Finding(severity, f"the weights were never exported: no graphs in {graphs}, and Triton serves nothing else", fix)


def _volume(root: Path) -> list[Finding]:
    """Can the weights be put there at all."""
    existing = root
    while not existing.exists():
        existing = existing.parent
    room = shutil.disk_usage(existing).free / 1e9
    if room < _ROOM_GB:
        fix = f"a larger volume (50 GB is the template's value), or MODEL_PATH=a folder with {_ROOM_GB} GB"
        return [Finding(FAIL, f"{existing} has {room:.1f} GB free; a model with its graphs and engines needs {_ROOM_GB} GB", fix)]
    if root != existing:
        return [Finding(WARN, f"{root} does not exist: no volume is mounted, so weights would be fetched at every start",
                        f"docker run -v models:{root} ...; on Runpod a network volume mounted at {root}")]  # fmt: skip
    return []
