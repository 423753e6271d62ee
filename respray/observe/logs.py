"""Logs go to stderr, with secrets masked, in one plain line per record."""

from __future__ import annotations

import logging
import sys

from respray.observe.log_context import current_place
from respray.observe.redaction import Redactor

NOISY = ("botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore", "asyncio", "bullmq", "celery", "kombu", "amqp")


class _Formatter(logging.Formatter):
    """Adds the job and photo to the message, and masks secrets after formatting, so that arguments and tracebacks are covered too."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Handlers run where the line is logged, so this is the line's own place.
        place = current_place()
        return f"{super().formatMessage(record)} {place}" if place else super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def set_up_logging(level: str, redactor: Redactor) -> None:
    """Send all logs of the process to stderr at `level` (any case); chatty libraries stay one level quieter unless DEBUG is asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG if level.upper() == "DEBUG" else logging.WARNING)
