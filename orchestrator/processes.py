"""Processes by names that stand in files on the store: what a dead process of this very machine held is free before its lease ends."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import psutil


def process_name(name: str) -> str:
    """A worker's name with which process of which machine it is, for `is_dead`."""
    return f"{_machine()}/{os.getpid()}/{psutil.Process().create_time():.2f}/{name}"


def is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that does not run any more; False where that cannot be known."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[0] != _machine() or not parts[1].isdigit():
        return False
    try:
        return f"{psutil.Process(int(parts[1])).create_time():.2f}" != parts[2]
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@cache
def _machine() -> str:
    """One boot of one machine, and the names of its processes as this one sees them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return "unknown"
