"""Files of ours in a temporary folder that others share: the names are known, so what is somebody else's is not taken for ours."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from respray.triton.errors import HostError


def open_lock_file(name: str) -> int:
    """A descriptor of the file `respray-NAME-UID`, which the processes of one user lock (bytes of), whichever server they belong to.

    One file per user, not one per server, so that servers leave no files behind. Raises HostError where it is somebody else's, or a link.
    """
    path = Path(tempfile.gettempdir()) / f"respray-{name}-{os.getuid()}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"{path} cannot be used as a lock ({error.strerror}); remove it") from None
    if not _ours(os.fstat(descriptor)):
        os.close(descriptor)
        raise HostError(f"{path} belongs to another user; remove it")
    return descriptor


def private_folder() -> Path:
    """The folder `respray-UID`, which nobody else may write to; made where it is missing. Raises HostError where it is somebody else's."""
    path = Path(tempfile.gettempdir()) / f"respray-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        pass  # no folder: said below
    except OSError as error:
        what = f"{path.parent} cannot be written ({error.strerror})"
        raise HostError(f"{what}; set TMPDIR to a folder that can, or mount a tmpfs there") from None
    found = path.lstat()
    if not (stat.S_ISDIR(found.st_mode) and _ours(found)) or found.st_mode & 0o022:
        raise HostError(f"{path} is not a folder of this user alone; remove it")
    return path


def _ours(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid()
