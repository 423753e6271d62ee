"""Checks of the machine before the embedded server starts, each with an error that says what to change."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from respray.triton.errors import HostError

LOOPBACK = "127.0.0.1"
MIN_GLIBC = (2, 35)  # what the wheel's binaries were linked against [readelf -V]: Debian 12, Ubuntu 22.04
SHARED_MEMORY = Path("/dev/shm")
SEGMENT_PREFIX = "respray_"
MEBIBYTE = 1 << 20


def check_platform(machine: str | None = None, glibc: str | None = None) -> None:
    """HostError unless this is x86-64 Linux with a glibc that the server's binaries can use."""
    machine = machine or platform.machine()
    if sys.platform != "linux" or machine not in {"x86_64", "AMD64"}:
        raise HostError(f"The embedded server runs on x86-64 Linux; this is {sys.platform} on {machine}. Use Docker, or set TRITON_URL.")
    name, found = (glibc or _glibc()).split(" ", 1)
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if name != "glibc" or numbers < MIN_GLIBC:
        wanted = ".".join(map(str, MIN_GLIBC))
        raise HostError(
            f"The embedded server needs glibc {wanted} or later (Debian 12, Ubuntu 22.04); this machine has {name} {found}. "
            "Use Docker, or set TRITON_URL."
        )


def _glibc() -> str:
    """The C library's name and version, such as `glibc 2.36`."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown 0"
    except ValueError:
        return "musl 0"


def check_shared_memory(needed: int, folder: Path = SHARED_MEMORY) -> None:
    """HostError unless `needed` bytes are free in the folder through which the server hands tensors to the Python models.

    Checked beforehand because the server's own message, when a segment cannot grow in the middle of a photo, names neither.
    """
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise HostError(f"The embedded server needs a writable {folder}; mount one with: mount -t tmpfs -o size=1g tmpfs {folder}")
    usage = os.statvfs(folder)
    free = usage.f_bavail * usage.f_frsize
    if free < needed:
        total = usage.f_blocks * usage.f_frsize
        want = -(-needed // MEBIBYTE)
        raise HostError(
            f"{folder} has {free // MEBIBYTE} MiB free of {total // MEBIBYTE}; this model repository needs {want} MiB. "
            f"Docker: --shm-size={want + total // MEBIBYTE - free // MEBIBYTE}m; otherwise: mount -o remount,size={want * 2}m {folder}. "
            "That is for one photo of 12 megapixels; each further megapixel, and each at the same time, takes about 6 MiB more."
        )


def sweep_segments(folder: Path = SHARED_MEMORY) -> int:
    """Remove segments of servers whose owner is gone (a machine that lost power, a guard that was killed); how many there were."""
    removed = 0
    for segment in folder.glob(SEGMENT_PREFIX + "*"):
        owner = segment.name.removeprefix(SEGMENT_PREFIX).split("_")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            segment.unlink(missing_ok=True)
            removed += 1
    return removed


def claim_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """The wanted port for each purpose, or a free one where it is 0. All are held until each is found: one freed is soon given out again.

    Raises:
        HostError: a port cannot be listened on.
    """
    with ExitStack() as held:
        return {purpose: _claim(port, purpose, held) for purpose, port in wanted.items()}


def _claim(wanted: int, purpose: str, held: ExitStack) -> int:
    probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    # As the server does: a port whose last connections are still in TIME_WAIT is free.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((LOOPBACK, wanted))
        probe.listen()
    except (OSError, OverflowError) as error:
        raise HostError(
            f"Port {wanted} on {LOOPBACK} cannot be used for {purpose} ({error}). "
            "Stop what listens there, choose another port, or give 0 for any free one."
        ) from error
    return int(probe.getsockname()[1])
