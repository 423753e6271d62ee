"""How many cores this process may use: a container's quota does not change what `os.cpu_count()` says."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(environment: Mapping[str, str] | None = None, cgroups: Path = CGROUPS) -> int:
    """RESPRAY_THREADS, else the least of the cores this process may run on and its container's quota (rounded up); at least 1.

    Args:
        environment: where RESPRAY_THREADS may stand; None: the process's own.
        cgroups: where the kernel shows the container's quota (`man 7 cgroups`: `cpu.max` of version 2, `cpu.cfs_*` of version 1).

    Raises:
        ValueError: RESPRAY_THREADS is no whole number of at least 1.
    """
    given = (os.environ if environment is None else environment).get("RESPRAY_THREADS", "").strip()
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(f"RESPRAY_THREADS={given!r}: a whole number of at least 1 is accepted")
        return int(given)
    quota = _quota(cgroups)
    allowed = len(os.sched_getaffinity(0))
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota(cgroups: Path) -> float | None:
    """Cores' worth of time that the container is given; None where it is not limited or nothing is known."""
    try:
        if (file := cgroups / "cpu.max").is_file():
            quota, period = file.read_text().split()
        else:
            quota = (cgroups / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroups / "cpu" / "cpu.cfs_period_us").read_text().strip()
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
