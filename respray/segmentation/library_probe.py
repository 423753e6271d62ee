"""Try a shared library in a process of its own.

A broken CUDA installation does not raise, it aborts: cuDNN calls abort() when one of its sub-libraries is missing, and takes the
worker along. Loading it in a child first turns that SIGABRT into a sentence.

The doctor uses this module, `cuda_needs` and `accelerator` before anything is installed, with whatever Python there is (3.8 or later).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Runs in the child. argv: library name, JSON list of [function, kind]. `number` functions return a size_t,
# `property` functions are cublasGetProperty(type, int *value) with 0, 1, 2 for major, minor, patch.
_CHILD = """
import ctypes, json, sys
name, functions = sys.argv[1], json.loads(sys.argv[2])
library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
version = ""
for function, kind in functions:
    call = getattr(library, function)
    if kind == "number":
        call.restype = ctypes.c_size_t
        version = str(call())
    else:
        value, parts = ctypes.c_int(), []
        for part in range(3):
            call(part, ctypes.byref(value))
            parts.append(str(value.value))
        version = ".".join(parts)
wanted = name.split("/")[-1]
with open("/proc/self/maps") as maps:
    paths = [line.split(None, 5)[5].strip() for line in maps if len(line.split(None, 5)) == 6 and wanted in line]
print(json.dumps({"version": version, "path": paths[0] if paths else name}))
"""


@dataclass(frozen=True)
class Probe:
    """What came of loading one library: its version and path, or the loader's words, or the signal that killed the child."""

    library: str
    loaded: bool
    version: str = ""
    path: str = ""
    error: str = ""
    crashed: str = ""


def probe(
    library: str, environment: Mapping[str, str], functions: tuple[tuple[str, str], ...] = (), folders: tuple[Path, ...] = ()
) -> Probe:
    """Load `library` (a soname or a path) in a child and call its version functions. `folders` are searched after the environment's own."""
    child_environment = dict(environment)
    search = [part for part in [child_environment.get("LD_LIBRARY_PATH", ""), *map(str, folders)] if part]
    if search:
        child_environment["LD_LIBRARY_PATH"] = os.pathsep.join(search)
    command = [sys.executable, "-c", _CHILD, library, json.dumps(functions)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=child_environment)
    except subprocess.TimeoutExpired:
        return Probe(library, loaded=False, error="loading it did not end within 60 s")
    if done.returncode < 0:
        return Probe(library, loaded=False, crashed=signal.Signals(-done.returncode).name, error=_last_line(done.stderr))
    if done.returncode:
        return Probe(library, loaded=False, error=_last_line(done.stderr))
    found = json.loads(done.stdout.splitlines()[-1])
    return Probe(library, loaded=True, version=found["version"], path=found["path"])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def wheel_folders(site_packages: list[str], *parts: str) -> tuple[Path, ...]:
    """Library folders of NVIDIA's pip wheels (`nvidia/cublas/lib` and the like), which ONNX Runtime can load from."""
    folders = (Path(site) / "nvidia" / part / "lib" for site in site_packages for part in parts)
    return tuple(folder for folder in folders if folder.is_dir())
