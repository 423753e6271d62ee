"""Lines to a file descriptor from a thread of their own: a reader that stops reading never stops the work."""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import NoReturn

MAX_LINES = 20_000
"""Lines that wait for a slow reader; what comes beyond is dropped."""
LAST_WORDS = 2.0
"""Seconds that the end of the process waits for a reader. ..."""
HASTE = 0.5
"""... An end at once waits so long."""
_WRITERS: weakref.WeakSet[LineWriter] = weakref.WeakSet()


def open_standard_streams() -> None:
    """Open /dev/null for each of stdin, stdout and stderr that whoever started this process has closed.

    The next file or connection would get its number otherwise, and what is printed, or logged by a C library, would go there.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            stream = os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False, encoding="utf-8")
            setattr(sys, name, stream)


def exit_at_once(code: int) -> NoReturn:
    """End this process whatever its threads wait for, but not before what it has said. Not for signal handlers: it takes locks."""
    for writer in list(_WRITERS):
        writer.drain(HASTE)
    os._exit(code)


class LineWriter:
    """Writes lines in order. `write` never blocks and never raises.

    Args:
        descriptor: An open file descriptor; it stays the caller's.
        on_trouble: Told, in the writer's thread, when lines begin to be lost: dropped because nobody reads, or refused by a full disk.
    """

    def __init__(self, descriptor: int, on_trouble: Callable[[str], None] = lambda reason: None, max_lines: int = MAX_LINES) -> None:
        self._descriptor, self._on_trouble = descriptor, on_trouble
        self._waiting: queue.Queue[bytes] = queue.Queue(max_lines)
        self._dropped = 0
        self._failing = False
        # A daemon, and no buffered stream: an interpreter that ends does not wait for a pipe that nobody reads.
        threading.Thread(target=self._run, name="line-writer", daemon=True).start()
        atexit.register(self.drain, LAST_WORDS)
        _WRITERS.add(self)

    def write(self, line: str) -> None:
        """Take a line, without its end."""
        try:
            self._waiting.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            self._dropped += 1

    def drain(self, seconds: float) -> bool:
        """Wait until all lines are written, but no longer than so many seconds. Returns whether they are."""
        # As Queue.join, which takes no time limit. No thread waits in our place: at the end of a process, Python 3.12 starts none any more.
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, seconds)

    def _run(self) -> None:
        while True:
            line = self._waiting.get()
            try:
                self._put(line)
            finally:
                self._waiting.task_done()

    def _put(self, line: bytes) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._on_trouble(f"{dropped} line(s) were dropped, nobody read them")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            self._failing = False
        except OSError as error:
            # Said once and tried again with the next line: a disk that is full now may have room later.
            if not self._failing:
                self._on_trouble(f"they cannot be written: {error}")
            self._failing = True
