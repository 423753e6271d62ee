"""Where TensorRT engines are kept: a folder for everything that makes an engine unusable when it changes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from respray.weights.manifest import sha256_of


def graph_files(folder: Path) -> list[Path]:
    """The files of an export that engines are made from."""
    return sorted(path for path in folder.glob("*") if path.name.endswith((".onnx", ".data")))


def graph_hash(graphs: list[Path]) -> str:
    """One hash of several graph files (ONNX and their external data), independent of where they lie and of their order."""
    lines = sorted(f"{path.name} {sha256_of(path)}" for path in graphs)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def engine_folder(root: Path, graphs: list[Path], *, gpu: str, compute_capability: str, tensorrt: str, precision: str) -> Path:
    """`root/<gpu>-sm<cc>/trt-<version>/<precision>-<graph hash>`, for example `engines/nvidia-l4-sm89/trt-10.13.3/fp16-3f...`.

    An engine serves one GPU model, one TensorRT version and one graph. Pods of different kinds can share a volume: each finds
    its own engines and none overwrites another's. What an engine was built with besides (its profile) is in its file's name.
    """
    for name, value, pattern in (("compute capability", compute_capability, r"\d+\.\d+"), ("TensorRT version", tensorrt, r"\d+(\.\d+)+")):
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{name} {value!r}: accepted are numbers with dots, such as 8.9 or 10.13.3")
    device = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    if not device:
        raise ValueError(f"GPU name {gpu!r} has no letter or digit; nvidia-smi --query-gpu=name gives the right one")
    return root / f"{device}-sm{compute_capability.replace('.', '')}" / f"trt-{tensorrt}" / f"{precision}-{graph_hash(graphs)}"
