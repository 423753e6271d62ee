"""A folder as a store: keys are paths below it. For one machine, for the demo and for trying things out."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from orchestrator.errors import AccessDenied, Conflict, KeyUnusable, NotFound, StorageError, TooLarge, megabytes
from orchestrator.storage.base import Expect, Opened, Stat, Storage, digest_of

_TEMPORARY = ".respray-"
_MAX_TRIES = 100
"""To put a file into a folder that others remove as empty: each time, one of them has deleted its last file just then."""


class FolderStorage(Storage):
    """Atomic by writing beside the file and renaming; conditional writes hold a lock on the file's folder."""

    def __init__(self, root: Path, sync: bool = True) -> None:
        """A folder that is there already, or is made with the first file.

        Args:
            root: The folder.
            sync: A file is on the disk, not only in its cache, before it counts as stored.
        """
        self.root = root.resolve()
        self._sync = sync

    def read(self, key: str, limit: int) -> tuple[bytes, Stat]:
        with _translated(key), self._open(key) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""  # it may be growing
        if max(size, len(data)) > limit:
            raise TooLarge(f"{key} has {megabytes(max(size, len(data)))}; at most {megabytes(limit)} are accepted")
        return data, _stat(data)

    def open(self, key: str) -> Opened:
        with _translated(key):
            return _OpenedFile(key, self._open(key))

    def size(self, key: str) -> int | None:
        try:
            with _translated(key), self._open(key) as file:
                return os.fstat(file.fileno()).st_size
        except NotFound:
            return None

    def stat(self, key: str) -> Stat | None:
        try:
            opened = self.open(key)  # block by block: whatever lies there may be larger than the memory
        except NotFound:
            return None
        opened.close()
        return opened.stat

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        wanted = _stat(data)
        with _translated(key):
            path = self._path(key)
            handle, name = _temporary_in(path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    if self._sync:
                        os.fsync(file.fileno())
                Path(name).chmod(0o644)
                with _locked(path.parent):
                    if expect is not Expect.ANYTHING:
                        stored = self.stat(key)
                        if stored == wanted:
                            return wanted
                        if stored != (expect if isinstance(expect, Stat) else None):
                            raise Conflict(f"{key} was written by somebody else in the meantime")
                    Path(name).replace(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
        return wanted

    def delete(self, key: str) -> None:
        with _translated(key):
            path = self._path(key)
            path.unlink(missing_ok=True)
            # A folder without files is nothing to a bucket, and thousands of them are something to whoever lists keys.
            for folder in path.parents:
                if folder == self.root:
                    return
                try:
                    folder.rmdir()
                except OSError:
                    return

    def keys(self, prefix: str) -> Iterator[str]:
        start = self._path(prefix) if prefix.endswith("/") else self._path(prefix).parent
        if prefix and not start.is_dir():
            return
        for folder, folders, files in os.walk(start if prefix else self.root):
            folders.sort()
            for name in sorted(files):
                key = (Path(folder) / name).relative_to(self.root).as_posix()
                if key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    yield key

    def check(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise StorageError(f"{self.root} is no folder; give one, or s3://BUCKET")
        if not self.root.is_dir():
            raise StorageError(f"the folder {self.root} does not exist; create it, or give another one")
        if not os.access(self.root, os.W_OK):
            raise StorageError(f"the folder {self.root} cannot be written to")

    def _open(self, key: str) -> BufferedReader:
        """A key's file. Raises NotFound where there is none, which a folder, a pipe or a device is not."""
        missing = NotFound(f"there is no {key}", f" in {self.root}")
        try:
            # Not blocking: a named pipe would wait for its writer, and a thread with it.
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise missing from None
        except OSError as error:
            raise (missing if error.errno == errno.ENXIO else error) from None  # a socket
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise missing
        return os.fdopen(descriptor, "rb")

    def _path(self, key: str) -> Path:
        """The file of a key. Keys were checked by the parser; a link inside the folder that leads out of it is caught here."""
        path = self.root / key
        parent = path.parent.resolve()
        if not parent.is_relative_to(self.root) or (path.is_symlink() and not path.resolve().is_relative_to(self.root)):
            raise AccessDenied(f"{key!r} leads out of the store", f" ({self.root})")
        return path


class _OpenedFile(Opened):
    """An open file: one that is written anew is another file, and this one stays what it was."""

    def __init__(self, key: str, file: BufferedReader) -> None:
        self._key, self._file = key, file
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.stat = Stat(os.fstat(file.fileno()).st_size, digest, digest)

    def read(self, start: int, size: int) -> bytes:
        with _translated(self._key):
            return os.pread(self._file.fileno(), size, start)

    def close(self) -> None:
        self._file.close()


def _temporary_in(folder: Path) -> tuple[int, str]:
    """A new file in a folder, as `mkstemp`; the folder is made, and again where somebody removes it as empty before the file is in it."""
    for left in reversed(range(_MAX_TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
        except (FileNotFoundError, FileExistsError):  # what `mkdir` says of a folder that goes while it looks at it
            if not left:
                raise
    raise AssertionError("unreachable")


def _stat(data: bytes) -> Stat:
    digest = digest_of(data)
    return Stat(len(data), digest, digest)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # closing releases the lock


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(f"{key}: {error.strerror}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise KeyUnusable(f"{_short(key)}: a part of this key is too long for a file's name in this folder (255 bytes)") from None
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            raise KeyUnusable(f"{key}: in a folder, a key cannot be a file and hold others below it; choose another key") from None
        raise StorageError(f"{key}: {error.strerror or type(error).__name__}") from None


def _short(key: str) -> str:
    """A key as an error shows it."""
    return key if len(key) <= 120 else key[:117] + "..."
