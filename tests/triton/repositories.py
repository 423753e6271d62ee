"""Repositories whose servers start with half the work."""

from __future__ import annotations

import shutil
from pathlib import Path

from respray.triton.repository.build_repository import SOURCES, build
from respray.triton.repository.targets import target

WARM_UP = "        warm_up()\n"


def cold_sources(folder: Path) -> Path:
    """A copy of the Python models, whose applier loads what it needs with its first photo."""
    shutil.copytree(SOURCES, folder)
    applier = folder / "applier" / "1" / "model.py"
    code = applier.read_text()
    assert code.count(WARM_UP) == 1
    applier.write_text(code.replace(WARM_UP, ""))
    return folder


def cold_repository(graphs: Path, folder: Path) -> Path:
    """One of each model, and none warms up: for tests of how a server starts and ends, in which few photos or none are edited."""
    chosen = target("embedded", pipeline_instances=1, applier_instances=1, warm_up=False)
    return build(graphs, chosen, folder / "repository", cold_sources(folder / "sources"))
