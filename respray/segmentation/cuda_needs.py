"""Which CUDA and cuDNN major versions the installed ONNX Runtime was linked against, read from its own binary."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

# Where no GPU build of ONNX Runtime is installed, either of the majors that current builds use will do.
CUDA_MAJORS = (13, 12)
CUDNN_MAJORS = (9,)


def site_packages() -> list[str]:
    """Folders that packages are imported from."""
    return [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]


def cuda_provider(sites: list[str]) -> Path | None:
    """ONNX Runtime's CUDA provider library, present only in its GPU builds."""
    for site in sites:
        candidate = Path(site) / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so"
        if candidate.is_file():
            return candidate
    return None


def linked_major(binary: Path, library: str) -> int | None:
    """Major version of `library` (such as `libcublas`) that `binary` names as a dependency; None where it names none."""
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        match = re.search(re.escape(library.encode()) + rb"\.so\.(\d+)\0", content)
    return int(match.group(1)) if match else None


def accepted_majors(library: str, default: tuple[int, ...], sites: list[str]) -> tuple[int, ...]:
    """The one major that the installed ONNX Runtime needs, or `default`."""
    binary = cuda_provider(sites)
    major = linked_major(binary, library) if binary and binary.stat().st_size else None
    return (major,) if major else default
