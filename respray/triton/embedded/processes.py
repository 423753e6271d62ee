"""What a process and all that descend from it use, from Linux's /proc (proc(5)); processes that end meanwhile count as nothing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process]
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(process: int) -> float:
    """Processor time that a process and its living descendants have used so far, in seconds."""
    ticks = 0
    for member in family(process):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_bytes(process: int) -> int:
    """Memory of one process in bytes, shared pages by share; 0 where it has ended or may not be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
