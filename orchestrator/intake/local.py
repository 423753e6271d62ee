"""Jobs from this machine: a file, a folder that is watched (`*.json`), or one message per line on stdin (`-`).

In a folder, a job's file moves to `taken/` while it is worked on (locked, so that a file left there by a dead worker, or handed back by
one that was stopped, is taken again), and to `done/` or `failed/` afterwards, where it takes the place of an earlier one of its name. A
file waits while one of its name is taken. How often a job was begun stands beside its file (`taken/NAME.json.attempts`), for the worker
that takes it after one that died. Files appear whole when they are written elsewhere and moved in.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import stat
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import IO
from uuid import uuid4

from orchestrator.errors import IntakeError, JobsFailed, ResprayError, megabytes
from orchestrator.intake.base import Intake, backoff
from orchestrator.jobs.limits import MAX_MESSAGE_BYTES
from orchestrator.waiting import pause, until
from orchestrator.worker.handle import HandedBack
from orchestrator.worker.worker import Worker

log = logging.getLogger(__name__)

MAX_REPORTED_ENTRIES = 1000
"""Entries of a folder that cannot be taken and are remembered, so that each is said once."""


class LocalIntake(Intake):
    """Jobs from a file, a folder or stdin."""

    def __init__(self, path: str, jobs: int, poll: float = 0.5) -> None:
        """Nothing is opened before `run`.

        Args:
            path: A file, a folder, or `-` for stdin.
            jobs: Jobs that may be under way at the same time.
            poll: Seconds between two looks into a folder.
        """
        self._path, self._jobs, self._poll = path, jobs, poll
        self._failed = self._ended = 0

    async def reach(self, stop: asyncio.Event) -> None:
        if self._path != "-" and not (Path(self._path).is_dir() or Path(self._path).is_file()):
            raise IntakeError(
                f"LOCAL_PATH={self._path!r} is neither a file nor a folder; accepted is one of them, or '-' for lines on stdin"
            )

    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        slots = asyncio.Semaphore(self._jobs)
        if self._path == "-":
            await self._lines(worker, stop, slots)
        elif Path(self._path).is_dir():
            await _Folder(Path(self._path), self._poll).watch(worker, stop, slots)
        else:
            with Path(self._path).open("rb") as file:
                await self._finish(worker, file.read(MAX_MESSAGE_BYTES + 1), self._path, f"file:{uuid4()}", stop)
        if self._failed and not stop.is_set():
            raise JobsFailed(f"{self._failed} of {self._ended} job(s) of {'stdin' if self._path == '-' else self._path} failed")

    async def _finish(self, worker: Worker, message: bytes, source: str, name: str, stop: asyncio.Event) -> None:
        """Do one job of a source that ends, and count it."""
        ok = await _work_off(worker, message, source, name, stop)
        self._ended += 1
        self._failed += ok is False

    async def _lines(self, worker: Worker, stop: asyncio.Event, slots: asyncio.Semaphore) -> None:
        """One message per line until the end of stdin; no line is read before there is room for its job."""
        reader = await _stdin()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await slots.acquire()
                try:
                    line = await until(stop, reader.readline())
                except ValueError:
                    log.error("a line on stdin is longer than %s; it is left out", megabytes(MAX_MESSAGE_BYTES))
                    self._ended, self._failed = self._ended + 1, self._failed + 1
                    line = b"\n"
                if not line:
                    break
                if line.strip():
                    job = self._finish(worker, line, "stdin", f"stdin:{uuid4()}", stop)
                    group.create_task(job).add_done_callback(lambda _: slots.release())
                else:
                    slots.release()


async def _stdin() -> asyncio.StreamReader:
    """Stdin on the event loop; a file or device on it (`< jobs.jsonl`), which event loops cannot watch, goes through a pipe."""
    reader, source = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES + 2), sys.stdin.buffer
    kind = os.fstat(source.fileno()).st_mode
    watched: IO[bytes] = source
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or source.isatty()):
        out, into = os.pipe()
        watched = os.fdopen(out, "rb")

        def copy() -> None:
            # Ends with the file, or when nobody reads any more. It waits while the pipe is full, so no line is read ahead of its time.
            with contextlib.suppress(BrokenPipeError), os.fdopen(into, "wb") as pipe:
                shutil.copyfileobj(source, pipe)

        threading.Thread(target=copy, daemon=True, name="stdin").start()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), watched)
    return reader


class Attempts:
    """How often a job was begun, kept in a file where one is given, so that a job that kills its worker each time is given up."""

    def __init__(self, name: str, file: Path | None = None) -> None:
        self._name, self._file = name, file
        self.begun = self._read()

    def begin(self) -> int:
        """The number of the attempt that begins now, from 1."""
        self.begun += 1
        self._write()
        return self.begun

    def take_back(self) -> None:
        """The attempt was ended by an order to stop, which says nothing of the job."""
        self.begun -= 1
        self._write()

    def forget(self) -> None:
        """The job is done with."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _read(self) -> int:
        try:
            count, _, name = self._file.read_text().partition(" ") if self._file is not None else ("0", "", "")
            # Another file may have had the same name.
            return int(count) if name == self._name else 0
        except (OSError, ValueError):
            return 0

    def _write(self) -> None:
        if self._file is None:
            return
        try:
            self._file.write_text(f"{self.begun} {self._name}")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error.strerror or error)


async def _work_off(
    worker: Worker, message: bytes, source: str, name: str, stop: asyncio.Event, attempts: Attempts | None = None
) -> bool | None:
    """Do one job with all its attempts, here and now. Returns whether all of it was completed; None when it was handed back.

    Once `stop` is set, no further attempt is begun: the last of them would record its photos as failed.
    """
    attempts = attempts or Attempts(name)
    while True:
        attempt = attempts.begin()
        try:
            return (await worker.within_grace(worker.start(message, attempt, message_id=name), stop)).ok
        except HandedBack as error:
            log.warning("%s: %s", source, error)
            attempts.take_back()
            return None
        except ResprayError as error:
            log.warning("%s: attempt %d: %s", source, attempt, error)
            if attempt >= worker.attempts:
                return False
            await pause(stop, backoff(attempt, base=1.0))
            if stop.is_set():
                log.warning("%s: handed back after attempt %d", source, attempt)
                return None


_JOBS = "*.[jJ][sS][oO][nN]"
_MAX_NAME_BYTES = 255


def _attempts_name(name: str) -> str:
    """What the file of a job's attempts is called; beside a job with the longest of names, by its hash."""
    beside = f"{name}.attempts"
    return beside if len(os.fsencode(beside)) <= _MAX_NAME_BYTES else f"{sha256(os.fsencode(name)).hexdigest()}.attempts"


class _Folder:
    """A watched folder."""

    def __init__(self, folder: Path, poll: float) -> None:
        self._folder, self._poll = folder, poll
        self._taken, self._done, self._failed = (folder / name for name in ("taken", "done", "failed"))
        self._left: set[Path] = set()
        self._stuck: set[Path] = set()

    async def watch(self, worker: Worker, stop: asyncio.Event, slots: asyncio.Semaphore) -> None:
        for folder in (self._taken, self._done, self._failed):
            folder.mkdir(exist_ok=True)
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await slots.acquire()
                claimed = None if stop.is_set() else self._claim()
                if claimed is None:
                    slots.release()
                    await pause(stop, self._poll)
                    continue
                group.create_task(self._work(worker, *claimed, stop)).add_done_callback(lambda _: slots.release())

    def _claim(self) -> tuple[Path, int] | None:
        """The next job's file, moved and locked: (path, file descriptor that holds the lock)."""
        for path in [*sorted(self._taken.glob(_JOBS)), *sorted(self._folder.glob(_JOBS))]:
            # A name that begins with a dot is a file that is still being written (and then renamed), or one of macOS' own.
            if path in self._stuck or path.name.startswith("."):
                continue
            target = self._taken / path.name
            try:
                # Not blocking: a named pipe would wait for its writer, and everything with it.
                handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            except FileNotFoundError:
                continue  # another worker was faster
            except OSError as error:
                self._leave(path, error.strerror or str(error))
                continue
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                self._leave(path, "it is no file")
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # While an earlier file of this name is taken, this one waits: a move would replace it.
                if path.parent != self._taken and not target.exists():
                    path.rename(target)
                if os.fstat(handle).st_ino == target.stat().st_ino:
                    return target, handle
            except (BlockingIOError, FileNotFoundError):
                pass
            except OSError as error:
                self._leave(path, error.strerror or str(error))
            os.close(handle)
        return None

    def _leave(self, path: Path, why: str) -> None:
        """Say once that something in the folder cannot be taken."""
        if path not in self._left and len(self._left) < MAX_REPORTED_ENTRIES:
            self._left.add(path)
            log.error("%s is left alone: %s", path, why)

    async def _work(self, worker: Worker, path: Path, handle: int, stop: asyncio.Event) -> None:
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            # Moving a file keeps both, and writing a new one does not.
            name = f"file:{status.st_ino}:{status.st_mtime_ns}"
            attempts = Attempts(name, path.with_name(_attempts_name(path.name)))
            try:
                message = file.read(MAX_MESSAGE_BYTES + 1)
            except OSError as error:  # a disk or a network that fails: what stays in taken/ is taken again, by whoever can read it
                self._stuck.add(path)
                self._leave(path, error.strerror or str(error))
                return
            ok = await _work_off(worker, message, path.name, name, stop, attempts)
            if ok is None:
                return  # stays in taken/, unlocked: in the folder, it could replace a newer file of its name
            attempts.forget()
            target = (self._done if ok else self._failed) / path.name
            try:
                target.parent.mkdir(exist_ok=True)  # somebody may have put the old ones away
                path.rename(target)
            except OSError as error:
                if path.exists():
                    self._stuck.add(path)  # or it would be done again and again
                log.error("%s is worked off but cannot be moved to %s: %s", path, target, error.strerror or error)
