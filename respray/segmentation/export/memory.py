"""Whether an export fits this machine's memory: the kernel would end it after ten minutes, without a word."""

from __future__ import annotations

from pathlib import Path

from respray.segmentation.errors import SegmentationError

# Times the checkpoint's size. SAM3 (3.4 GB) took 11.3 GiB in FP16, most of it while the image encoder's values are measured beside
# PyTorch's model (docs/full-size.md). FP32 took 4.1 GB beside the weights on a two-core machine.
FP16_TIMES = 14 / 3.4
FP32_TIMES = 2.5
# Small models fit everywhere.
ALWAYS = 4e9
# Limit, use and what the use is made of, in both versions of cgroups.
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


class ExportMemoryError(SegmentationError):
    """There is not enough memory for an export."""


def check_memory(weights: int, *, half: bool, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
    """Refuse to begin what will not end.

    Args:
        weights: bytes of the checkpoint.
        half: export in FP16.
        proc: where the kernel shows the machine's memory.
        cgroups: where it shows the container's (`man 7 cgroups`).

    Raises:
        ExportMemoryError: says how much there is and how much is needed.
    """
    needed = weights * (FP16_TIMES if half else FP32_TIMES)
    there = available(proc, cgroups)
    if needed > ALWAYS and there is not None and there < needed:
        precision = "FP16" if half else "FP32"
        raise ExportMemoryError(
            f"exporting {weights / 1e9:.1f} GB of weights in {precision} needs about {needed / 1e9:.0f} GB of memory, and "
            f"{there / 1e9:.1f} GB are free here: "
            "export on a larger machine and push the graphs (respray weights push), or try it with --skip-memory-check"
        )


def available(proc: Path, cgroups: Path) -> int | None:
    """Bytes that may still be taken, by the machine and by the container's limit; None where nothing is known."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines() if ":" in line)
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError, IndexError):
        pass
    for limit, used, parts in CGROUPS:
        try:
            found.append(int((cgroups / limit).read_text()) - int((cgroups / used).read_text()) + _droppable(cgroups / parts))
        except (OSError, ValueError):  # no such version of cgroups, or "max"
            continue
    return min(found, default=None)


def _droppable(statistics: Path) -> int:
    """Bytes of files that were read and can be dropped: free, as the kubelet counts `memory.available`.

    https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
    """
    try:
        parts = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(parts.get("total_inactive_file", parts.get("inactive_file", "0")))
