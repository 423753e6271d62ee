"""The event stream on stdout: one JSON object a line and nothing else (docs/reference/contract.md).

Libraries print too (the Runpod SDK does at import). `claim_stdout` therefore keeps the real stdout for events and points
file descriptor 1 at stderr, so that a stray `print`, even from C code, becomes a log line instead of a broken event stream.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

from respray.observe.escaping import json_safe
from respray.observe.output import LAST_WORDS, LineWriter
from respray.observe.redaction import Redactor

log = logging.getLogger(__name__)

WorkerStatus = Literal["initializing", "loading", "ready", "cleaning_up"]


def claim_stdout() -> LineWriter:
    """Take the real stdout for events, and send everything else that is written to stdout to stderr."""
    sys.stdout.flush()
    writer = LineWriter(os.dup(1), lambda reason: log.error("events are lost: %s", reason))
    os.dup2(2, 1)
    return writer


class Events:
    """Writes events; safe to use from several threads. A reader that is slow or went away, or a full disk, never stops the work."""

    def __init__(
        self, writer: LineWriter | None, redactor: Redactor | None = None, listener: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._writer = writer
        self._redactor = redactor or Redactor()
        self._listener = listener
        self._connection = ""

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Hand every event to a listener from now on, in the context in which it is emitted."""
        self._listener = listener

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event. Values must be JSON-serialisable; secrets in them are masked."""
        record = self._redactor.value({"event": event, **fields})
        if self._listener is not None:
            self._listener(record)
        if self._writer is not None:
            self._writer.write(json_safe(json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)))

    def connection(self, status: str) -> None:
        """The worker's connection to its surroundings changed (`connected`, `disconnected`, `failed`)."""
        self._connection = status
        self.emit("connection", status=status)

    def failed(self, error: object) -> None:
        """The process ends because of an error. A sentence on stderr is for people; whoever watches the events learns of it here."""
        if self._connection != "disconnected":
            self.connection("failed")
        self.emit("finish", status="failed", error=str(error))

    def drain(self) -> None:
        """Wait, not for long, until all events are written: for ends of the process that run nothing more."""
        if self._writer is not None:
            self._writer.drain(LAST_WORDS)

    def worker(self, status: WorkerStatus, message: str = "") -> None:
        """The worker's own state."""
        self.emit("worker", status=status, message=message)

    def progress(self, job_id: str, idx: int, stage: str, done: int, total: int) -> None:
        """One item passed a stage; `done` of `total` items of the job are finished."""
        self.emit("progress", job_id=job_id, idx=idx, stage=stage, done=done, total=total)
