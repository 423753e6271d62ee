"""Check 5: the Python version, and whether this is the project's virtual environment."""

from __future__ import annotations

import os
import sys

from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation

NAME = "python"
TITLE = "Python and virtual environment"

# pyproject's requires-python; read here too because tomllib came with 3.11 and this must run on less.
MIN_VERSION = (3, 11)
END_VERSION = (3, 14)


def run(situation: Situation) -> list[Finding]:
    """Version, then environment."""
    return [_version(situation), _environment(situation)]


def _version(situation: Situation) -> Finding:
    version = sys.version_info[:3]
    text = ".".join(map(str, version))
    if MIN_VERSION <= version[:2] < END_VERSION:
        return Finding(PASS, f"Python {text} at {sys.executable}")
    accepted = f"{MIN_VERSION[0]}.{MIN_VERSION[1]} to {END_VERSION[0]}.{END_VERSION[1] - 1}"
    fix = f"apt-get install -y python3.12 python3.12-venv (Ubuntu 24.04), then {_recreate(situation)}"
    return Finding(FAIL, f"Python {text} at {sys.executable}; Respray needs {accepted}", fix)


def _environment(situation: Situation) -> Finding:
    folder = situation.repository / ".venv"
    interpreter = folder / "bin" / "python"
    if os.path.lexists(interpreter) and not interpreter.exists():
        fix = f"the Python it was made with is gone: {_recreate(situation)}"
        return Finding(FAIL, f"{interpreter} points to {os.readlink(interpreter)}, which does not exist", fix)
    if sys.prefix != sys.base_prefix:
        return Finding(PASS, f"virtual environment {sys.prefix}")
    if os.path.exists("/.dockerenv") or situation.environment.get("container"):
        return Finding(PASS, "no virtual environment, and none needed: this is a container")
    if interpreter.exists():
        return Finding(WARN, f"{folder} exists and is not in use", f"source {folder}/bin/activate, or run .venv/bin/respray doctor")
    return Finding(WARN, "no virtual environment", f"python3 -m venv .venv; .venv/bin/pip install {situation.install('embedded')}")


def _recreate(situation: Situation) -> str:
    return f"rm -rf .venv; python3.12 -m venv .venv; .venv/bin/pip install {situation.install('embedded')}"
