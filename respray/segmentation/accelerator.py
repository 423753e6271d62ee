"""May this process use CUDA? Asked before anything loads it: a broken installation does not raise, it aborts the process."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from respray.segmentation.cuda_needs import CUDA_MAJORS, CUDNN_MAJORS, accepted_majors, site_packages
from respray.segmentation.library_probe import Probe, probe, wheel_folders

# Each library with the functions that tell its version, and how they are called (`library_probe`).
CUBLAS: dict[str, tuple[tuple[str, str], ...]] = {
    "libcublasLt": (("cublasLtGetVersion", "number"),),
    "libcublas": (("cublasGetProperty", "property"),),
}
CUDNN: dict[str, tuple[tuple[str, str], ...]] = {"libcudnn": (("cudnnGetVersion", "number"),)}
# Opened with dlopen on first use: their absence is what ends a worker with SIGABRT although libcudnn itself loads.
CUDNN_PARTS = ("libcudnn_ops", "libcudnn_graph", "libcudnn_engines_precompiled")


def cuda_problem(environment: Mapping[str, str] | None = None) -> str | None:
    """Why CUDA cannot be used here (the caller takes the CPU path and says so), or None where every library loads.

    Each library is loaded in a child process first; costs a fraction of a second, so the answer for this process's own environment
    (`None`) is kept.
    """
    if environment is None:
        return _of_this_process()
    for library, functions in CUBLAS.items():
        _, problem = _first_that_loads(library, functions, CUDA_MAJORS, environment)
        if problem:
            return problem
    major = ""
    for library, functions in CUDNN.items():
        major, problem = _first_that_loads(library, functions, CUDNN_MAJORS, environment)
        if problem:
            return problem
    for part in CUDNN_PARTS:
        attempt = probe(f"{part}.so.{major}", environment, (), _folders())
        if not attempt.loaded:
            return _why(attempt)
    return None


@functools.lru_cache
def _of_this_process() -> str | None:
    return cuda_problem(dict(os.environ))


def _first_that_loads(
    library: str, functions: tuple[tuple[str, str], ...], default: Sequence[int], environment: Mapping[str, str]
) -> tuple[str, str | None]:
    """The major version of `library` that loads here, or what is wrong with the versions that ONNX Runtime would take."""
    attempts = []
    for major in accepted_majors(library, tuple(default), site_packages()):
        attempt = probe(f"{library}.so.{major}", environment, functions, _folders())
        if attempt.loaded:
            return str(major), None
        attempts.append(attempt)
    # A library that kills its process tells more than one that is not there.
    told = next((attempt for attempt in attempts if attempt.crashed), attempts[0])
    return "", _why(told)


def _why(attempt: Probe) -> str:
    return f"{attempt.library} does not load ({attempt.crashed or attempt.error})"


def _folders() -> tuple[Path, ...]:
    return wheel_folders(site_packages(), "cudnn", "cublas", "cuda_runtime", "cuda_nvrtc", "cu13", "cu12")
