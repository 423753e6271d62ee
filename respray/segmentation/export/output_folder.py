"""Write a folder completely or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from respray.segmentation.errors import SegmentationError
from respray.segmentation.spec import SPEC_FILE


class OutputError(SegmentationError):
    """The output folder cannot be written."""


def check_output(target: Path) -> None:
    """Refuse a folder that nothing can be written to, before minutes are spent.

    Raises:
        OutputError: `target` holds something else than an earlier export, or nobody may write beside it.
    """
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / SPEC_FILE).is_file())):
        raise OutputError(f"{target} exists and is not an earlier export (no {SPEC_FILE} in it); give another --out, or empty it yourself")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    except OSError as error:
        who = f"user {os.getuid()}" if error.errno in (errno.EACCES, errno.EPERM) else "anybody"
        raise OutputError(
            f"{target} cannot be written by {who} ({error.strerror or error}); give another --out, or make {target.parent} writable"
        ) from error


@contextmanager
def replaced_folder(target: Path, needed_bytes: int) -> Iterator[Path]:
    """Yield an empty folder beside `target`; when the block ends without an error it takes `target`'s place.

    Args:
        target: a folder that does not exist, is empty, or holds an earlier export.
        needed_bytes: least free space on its disk.

    Raises:
        OutputError: `target` holds something else, or the disk is too small or fills up meanwhile.
    """
    check_output(target)
    free = shutil.disk_usage(target.parent).free
    if free < needed_bytes:
        sizes = f"has {free / 1e9:.1f} GB free and the export needs about {needed_bytes / 1e9:.1f} GB"
        raise OutputError(f"the disk of {target} {sizes}; free some, or give another --out")
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        old = folder.with_name(f"{folder.name}.old")
        if target.exists():
            os.rename(target, old)
        os.rename(folder, target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needs = f"the export needs about {needed_bytes / 1e9:.1f} GB"
            raise OutputError(f"the disk of {target} is full; {needs}, and nothing was changed") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
