"""The event stream on stdout: one JSON object a line and nothing else (contract, section 4).

Libraries print too (the Runpod SDK does at import). `claim_stdout` therefore keeps the real stdout for events and points
file descriptor 1 at stderr, so that a stray `print`, even from C code, becomes a log line instead of a broken event stream.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal, TextIO

from respray.observe.redaction import Redactor

log = logging.getLogger(__name__)

WorkerStatus = Literal["initializing", "loading", "ready", "cleaning_up"]


def claim_stdout() -> TextIO:
    """Return a line-buffered stream on the real stdout and send everything else that is written to stdout to stderr."""
    sys.stdout.flush()
    # Half a surrogate pair, out of a hostile message, has no UTF-8: its escape is JSON as well, and an error here would end the stream.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    os.dup2(2, 1)
    return stream


class Events:
    """Writes events; safe to use from several threads. A reader that went away (closed pipe) or a full disk never stops the work."""

    def __init__(
        self, stream: TextIO | None, redactor: Redactor | None = None, listener: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._stream = stream
        self._redactor = redactor or Redactor()
        self._listener = listener
        self._lock = threading.Lock()
        self._losing = False

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event. Values must be JSON-serialisable; secrets in them are masked."""
        record = self._redactor.value({"event": event, **fields})
        if self._listener is not None:
            self._listener(record)
        if self._stream is None:
            return
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
                self._losing = False
            except (BrokenPipeError, ValueError):
                self._stream = None
            except OSError as error:
                if not self._losing:
                    log.error("events are lost, they cannot be written to stdout: %s", error)
                # Said once and tried again with the next event: a disk that is full now may have room later.
                self._losing = True

    def connection(self, status: str) -> None:
        """The worker's connection to its surroundings changed (`connected`, `disconnected`)."""
        self.emit("connection", status=status)

    def worker(self, status: WorkerStatus, message: str = "") -> None:
        """The worker's own state."""
        self.emit("worker", status=status, message=message)

    def progress(self, job_id: str, idx: int, stage: str, done: int, total: int) -> None:
        """One item passed a stage; `done` of `total` items of the job are finished."""
        self.emit("progress", job_id=job_id, idx=idx, stage=stage, done=done, total=total)
