"""Check 7: which model this machine would serve, and whether its files are present, complete and undamaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from operations.doctor.finding import FAIL, PASS, WARN, Finding
from operations.doctor.situation import Situation

NAME = "model"
TITLE = "Model files"

_TRUE = ("1", "true", "yes", "on")
# What an empty volume needs before the first download: 3.4 GB of weights, their graphs, and engines.
_ROOM_GB = 12


def run(situation: Situation) -> list[Finding]:
    """Which model, is it refused, is it whole."""
    try:
        from operations import weights
        from operations.errors import OperationsError
        from operations.manifest import Manifest
        from operations.model_presets import choose_preset, refuse_demo
    except ImportError as error:
        return [Finding(FAIL, f"not checked: {error}", "install the packages first: see the check of Python packages")]
    environment = situation.environment
    name = environment.get("MODEL_NAME") or "demo"
    root = Path(environment.get("MODEL_PATH") or environment.get("MODEL_CACHE_DIR") or "/models")
    findings = []
    try:
        preset = choose_preset(name)
    except OperationsError as error:
        return [Finding(FAIL, str(error), "MODEL_NAME=sam3, or another of these")]
    try:
        refuse_demo(preset, _real_required(situation))
    except OperationsError as error:
        findings.append(Finding(FAIL, str(error), "MODEL_NAME=sam3 (or REQUIRE_REAL_MODEL=false to try the demo)"))
    folder = weights.model_folder(preset, root)
    found = weights.problems(preset, root, full=situation.full_checksums)
    manifest = None if found else Manifest.read(folder)
    if manifest is not None:
        size = sum(entry.size for entry in manifest.files.values())
        how = "checksums right" if situation.full_checksums else "sizes right"
        findings.append(
            Finding(PASS, f"{name} ({preset.description}) in {folder}: {len(manifest.files)} files, {size / 1e6:.1f} MB, {how}")
        )
    elif not found:
        findings.append(Finding(PASS, f"{name} ({preset.description}) in {folder}: graphs as their specification describes them"))
    elif preset.weights.folder is not None:
        findings.append(Finding(FAIL, f"{name}: {'; '.join(found)}", f"git checkout -- {preset.weights.folder}"))
    else:
        findings.append(
            Finding(FAIL, f"{name}: {'; '.join(found[:5])}", f"respray weights fetch (fetches what is missing or damaged into {folder})")
        )
        findings.extend(_volume(root))
    return findings


def _real_required(situation: Situation) -> bool:
    """REQUIRE_REAL_MODEL with its default: on wherever an intake other than `local` is set up."""
    value = situation.environment.get("REQUIRE_REAL_MODEL", "").lower()
    return value in _TRUE if value else situation.adapter not in ("", "local")


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
