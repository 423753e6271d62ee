"""Logs go to stderr, with secrets masked, in one plain line per record whatever stands in it."""

from __future__ import annotations

import logging

from respray.observe.escaping import lines, one_line
from respray.observe.log_context import current_place
from respray.observe.output import LineWriter
from respray.observe.redaction import Redactor

OURS = ("orchestrator", "respray", "benchmarks", "tests")
"""Loggers that LOG_LEVEL is for; libraries say warnings and errors only."""


class _Formatter(logging.Formatter):
    """Adds the job and photo to the message, and masks secrets after formatting, so that arguments and tracebacks are covered too."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Handlers run where the line is logged, so this is the line's own place.
        place = current_place()
        return one_line(super().formatMessage(record) + (f" {place}" if place else ""))

    def formatException(self, ei: object) -> str:
        return "  " + lines(super().formatException(ei))  # type: ignore[arg-type]

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


class _Handler(logging.Handler):
    """Hands lines to a writer that never blocks."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:
            self.handleError(record)


def set_up_logging(level: str, redactor: Redactor) -> LineWriter:
    """Send all logs of the process to stderr: our own from `level` (any case) on, libraries' warnings."""
    writer = LineWriter(2)
    handler = _Handler(writer)
    handler.setFormatter(_Formatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    return writer
