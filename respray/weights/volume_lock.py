"""A lock that several pods on one network volume respect: a lease file with a heartbeat.

Kernel locks (flock) are not passed on by every network file system, and a lock that only names a process id means nothing to
another pod. This one needs just two things that network volumes do keep: exclusive creation and renames. Even if it should fail,
nothing breaks: files become visible by an atomic rename after their checksum was verified.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from respray.weights.errors import VolumeLockError
from respray.weights.volume_errors import explained


class VolumeLock:
    """`with VolumeLock(path):` - one holder at a time; a holder that died is replaced `stale_after` seconds after its last beat.

    Waits at most `wait` seconds. Staleness is judged by this process's own clock (how long the file has not changed since we first
    looked), so that pods whose clocks differ do not rob each other.
    """

    def __init__(
        self,
        path: Path,
        wait: float = 3600.0,
        stale_after: float = 60.0,
        beat: float = 5.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is locked yet. Times in seconds; `clock` only goes forward, and waiting sleeps by `sleep`."""
        self._path = path
        self._clock, self._sleep = clock, sleep
        self._wait = wait
        self._stale_after = stale_after
        self._beat = beat
        self._token = f"{os.uname().nodename} pid {os.getpid()} {uuid.uuid4().hex}"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> VolumeLock:
        """Take the lock.

        Raises:
            VolumeLockError: another holds it for too long; it says who.
            VolumeError: the volume cannot be written.
        """
        with explained(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        started = self._clock()
        seen, seen_at = "", started
        while not self._create():
            state = self._state()
            now = self._clock()
            if state != seen:
                seen, seen_at = state, now
            elif state and now - seen_at > self._stale_after:
                self._break(state)
                continue
            if now - started > self._wait:
                holder = state.rsplit(" ", 2)[0] or "another worker"
                raise VolumeLockError(f"{self._path} was held by {holder} for {self._wait:.0f} s; delete the file if that worker is gone")
            self._sleep(min(0.2, self._beat))
        self._thread = threading.Thread(target=self._keep_beating, name="volume-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop beating and remove the file, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._state().startswith(self._token):
            self._path.unlink(missing_ok=True)

    def _create(self) -> bool:
        try:
            with explained(self._path.parent):
                descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with explained(self._path.parent), os.fdopen(descriptor, "w") as file:
            file.write(self._token)
        return True

    def _state(self) -> str:
        """Holder and last beat in one string; empty where there is no lock."""
        try:
            return f"{self._path.read_text()} {self._path.stat().st_mtime_ns}"
        except FileNotFoundError:
            return ""

    def _break(self, state: str) -> None:
        """Move a dead holder's file aside. Of several that try, one rename succeeds; a fresh lock caught by mistake is put back."""
        aside = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            os.rename(self._path, aside)
        except FileNotFoundError:
            return
        if not state.startswith(aside.read_text()):
            # Where someone else has taken it meanwhile, or the volume has no hard links, they wait like everyone.
            with suppress(OSError):
                os.link(aside, self._path)
        aside.unlink(missing_ok=True)

    def _keep_beating(self) -> None:
        while not self._stop.wait(self._beat):
            try:
                os.utime(self._path)
            except FileNotFoundError:
                return
