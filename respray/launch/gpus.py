"""Which GPUs this container sees, and which of them GPU_DEVICE chooses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from respray.triton.errors import HostError

# The first branch that runs CUDA 13: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
CUDA_13_DRIVER = 580
MIN_CAPABILITY = (7, 5)
_COMMAND = ["nvidia-smi", "--query-gpu=index,uuid,name,compute_cap", "--format=csv,noheader"]


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi: number in this container, UUID, product name, compute capability such as "8.9"."""

    index: str
    uuid: str
    name: str
    capability: str


def visible() -> list[Gpu]:
    """The GPUs in this container. HostError where there is none."""
    try:
        answer = subprocess.run(_COMMAND, capture_output=True, text=True, check=True)
        rows = [line.split(", ") for line in answer.stdout.splitlines() if line.strip()]
        found = [Gpu(*map(str.strip, row)) for row in rows]
    except (OSError, subprocess.CalledProcessError, TypeError) as error:
        raise HostError(
            "no GPU is visible in this container; start it with --gpus all on a host with NVIDIA's container toolkit"
        ) from error
    if not found:
        raise HostError("nvidia-smi lists no GPU in this container; start it with --gpus all")
    return found


def check_capability(used: Sequence[Gpu]) -> None:
    """HostError where a GPU is older than what CUDA 13 runs on (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/)."""
    for gpu in used:
        numbers = gpu.capability.split(".")
        if all(part.isdecimal() for part in numbers) and tuple(map(int, numbers)) < MIN_CAPABILITY:
            least = ".".join(map(str, MIN_CAPABILITY))
            what = f"{gpu.name} has compute capability {gpu.capability}, and the image's CUDA 13 runs on {least} or later"
            raise HostError(f"{what} (Turing: T4, RTX 20); choose a newer GPU, or another one here with GPU_DEVICE")


def old_driver() -> str:
    """What a driver older than CUDA 13's means for a server that did not start; empty where it is new enough, or nothing is known.

    Data centre cards get by with older ones through the image's forward-compatibility libraries
    (https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html), others do not.
    """
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        version = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip().splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""
    major = version.partition(".")[0]
    if not re.fullmatch(r"\d+(\.\d+)+", version) or int(major) >= CUDA_13_DRIVER:
        return ""
    return (
        f"the driver of this host is {version}, and the image's CUDA 13 needs {CUDA_13_DRIVER} or newer: update it, or choose another host "
        "(on Runpod by its CUDA version: minCudaVersion 13.0)"
    )


def choose(there: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """The GPUs that GPU_DEVICE means: all without it, else its numbers (`1`, `0,2`, `cuda:1`) or UUIDs (their beginning is enough).

    As many numbers as there are GPUs mean all of them: `docker run --gpus device=2` numbers the host's second one 0 in here.

    Raises:
        HostError: a part of the setting means no GPU, or means two.
    """
    parts = [part.strip().removeprefix("cuda:") for part in (setting or "").split(",") if part.strip()]
    if not parts or (all(part.isdecimal() for part in parts) and len(set(parts)) == len(there)):
        return list(there)
    chosen: list[Gpu] = []
    for part in parts:
        meant = [gpu for gpu in there if part == gpu.index or (part.startswith("GPU-") and gpu.uuid.startswith(part))]
        if len(meant) != 1:
            known = ", ".join(f"{gpu.index} ({gpu.uuid}, {gpu.name})" for gpu in there)
            raise HostError(f"GPU_DEVICE={setting!r}: {part!r} means {len(meant)} GPUs; accepted are numbers or UUIDs of: {known}")
        chosen += [gpu for gpu in meant if gpu not in chosen]
    return chosen


def of_one_kind(used: Sequence[Gpu]) -> Gpu:
    """Any of these GPUs, for which TensorRT engines are built. HostError where they differ: an engine runs on one kind only."""
    kinds = {(gpu.name, gpu.capability) for gpu in used}
    if len(kinds) > 1:
        names = " and ".join(sorted({gpu.name for gpu in used}))
        raise HostError(f"TRITON_TARGET=tensorrt needs GPUs of one kind, and this container sees {names}; choose with GPU_DEVICE")
    return used[0]
