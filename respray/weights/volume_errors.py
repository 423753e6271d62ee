"""What is wrong with a models' volume that cannot be written, as one sentence with the command that mends it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from respray.weights.errors import VolumeError

REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


@contextmanager
def explained(volume: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write on `volume` (or below it) into VolumeError; other errors pass."""
    try:
        yield
    except OSError as error:
        if (sentence := _sentence(error, volume)) is None:
            raise
        raise VolumeError(sentence) from error


def _sentence(error: OSError, volume: Path) -> str | None:
    there = _nearest(volume)
    if error.errno in (errno.EACCES, errno.EPERM):
        owner, user, group = there.stat(), os.getuid(), os.getgid()
        return (
            f"{volume} cannot be written by user {user}: {there} belongs to user {owner.st_uid} with mode {owner.st_mode & 0o777:o}. "
            f"As root, where it is mounted: chown -R {user}:{group} {there} (in Kubernetes: fsGroup: {group} in the pod's securityContext)"
        )
    if error.errno == errno.EROFS:
        return (
            f"{volume} is mounted read-only, and what is missing there cannot be fetched to it: mount it writable once and run "
            "respray weights fetch, or fill it where it can be written"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(there).free
        return (
            f"{volume} is full ({free / 1e9:.1f} GB free): make it larger, or see with du -sh {there}/* what can be removed "
            "(engines/ is built again where it is missing)"
        )
    return None


def _nearest(path: Path) -> Path:
    """The folder itself, or the first one above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
