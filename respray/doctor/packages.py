"""Check 6: the Python packages of pyproject.toml, each in a version that satisfies it."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation

NAME = "packages"
TITLE = "Python packages"

# Which extra each intake needs beyond the core.
_INTAKE_EXTRA = {"runpod": "intake", "bullmq": "intake", "celery": "intake"}


def run(situation: Situation) -> list[Finding]:
    """What is missing and what has the wrong version, each with the command that installs it; the versions where all is well."""
    if not _has_tomllib():
        return [Finding(FAIL, "not checked: this Python is too old to read pyproject.toml", "see the check of Python and its fix")]
    parse = _requirement_parser()
    if parse is None:
        return [Finding(FAIL, "neither `packaging` nor pip is installed here", f"{sys.executable} -m ensurepip")]
    extras = wanted_extras(situation)
    findings, versions = [], []
    for line in requirements(situation.repository / "pyproject.toml", extras):
        requirement = parse(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        finding = _judge(requirement)
        if finding.status == PASS:
            versions.append(finding.what)
        else:
            findings.append(finding)
    if not findings:
        findings.append(
            Finding(PASS, f"{len(versions)} requirements of {'+'.join(['core', *extras])} satisfied: {', '.join(sorted(set(versions)))}")
        )
    findings.extend(_runtime(situation))
    return findings


def _has_tomllib() -> bool:
    """It came with Python 3.11; older ones are reported by the check of Python, and must not end this one in a traceback."""
    return importlib.util.find_spec("tomllib") is not None


def wanted_extras(situation: Situation) -> list[str]:
    """The extras that this machine's settings call for."""
    extras = ["server"] if not situation.environment.get("TRITON_URL") and _version("nvidia-pytriton") else []
    extra = _INTAKE_EXTRA.get(situation.adapter)
    return [*extras, extra] if extra else extras


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Requirement lines of the project and of some of its extras: of this checkout, or of the installed package where there is none."""
    import tomllib

    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"] if pyproject.is_file() else {}
    if project.get("name") != "respray":
        marks = [f'extra == "{extra}"' for extra in extras]
        installed = metadata.requires("respray") or []
        return [line for line in installed if "extra ==" not in line or any(mark in line for mark in marks)]
    lines = list(project["dependencies"])
    for extra in extras:
        lines.extend(project["optional-dependencies"][extra])
    return lines


def _requirement_parser() -> Callable[[str], Any] | None:
    """`packaging`'s parser, or the copy inside pip where `packaging` itself is not installed."""
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return __import__(module, fromlist=["Requirement"]).Requirement  # type: ignore[no-any-return]
        except ImportError:
            continue
    return None


def _judge(requirement: Any) -> Finding:
    install = f"{sys.executable} -m pip install '{requirement}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(FAIL, f"{requirement.name} is not installed", install)
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(FAIL, f"{requirement.name} {version} is installed, {requirement.specifier} is needed", install)
    return Finding(PASS, f"{requirement.name} {version}")


def _runtime(situation: Situation) -> list[Finding]:
    """ONNX Runtime: needed only by the embedded server, and only in its GPU build with a GPU; torch is never needed here."""
    installed = {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu", "nvidia-pytriton")}
    if situation.environment.get("TRITON_URL"):
        return []
    if not installed["nvidia-pytriton"]:
        install = f"{sys.executable} -m pip install {situation.install('embedded')}"
        fix = f"{install} for the embedded server, or TRITON_URL=host:8001 for a real one"
        return [Finding(WARN, "no embedded server is installed and TRITON_URL is not set", fix)]
    library = _missing_libpython()
    if library:
        package = library.split(".so")[0]
        fix = f"apt-get install -y {package} (a Python of pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install ...)"
        return [Finding(FAIL, f"the embedded server needs {library}, which is not on this machine", fix)]
    if installed["onnxruntime"] and installed["onnxruntime-gpu"]:
        fix = f"{sys.executable} -m pip uninstall -y onnxruntime onnxruntime-gpu; {sys.executable} -m pip install onnxruntime-gpu"
        return [Finding(FAIL, "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files", fix)]
    if not installed["onnxruntime"] and not installed["onnxruntime-gpu"]:
        return [Finding(FAIL, "no ONNX Runtime for the embedded server", f"{sys.executable} -m pip install 'onnxruntime>=1.22,<2'")]
    if situation.has_gpu_hardware and not installed["onnxruntime-gpu"]:
        fix = f"{sys.executable} -m pip uninstall -y onnxruntime; {sys.executable} -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
        return [Finding(WARN, "a GPU is here and ONNX Runtime is its CPU build", fix)]
    return []


def _missing_libpython() -> str:
    """Name of Python's shared library where it is missing: Debian and Ubuntu package it on its own; empty where it is there."""
    name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"
    if (Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib") / name).exists():
        return ""
    try:
        ctypes.CDLL(name)
    except OSError:
        return name
    return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
