"""Logs go to stderr, with secrets masked, in one plain line per record."""

from __future__ import annotations

import logging
import sys

from respray.observe.redaction import Redactor

NOISY = ("botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore", "asyncio", "bullmq", "celery", "kombu", "amqp")


class _RedactingFormatter(logging.Formatter):
    """Masks secrets after formatting, so that arguments and tracebacks are covered too."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def set_up_logging(level: str, redactor: Redactor) -> None:
    """Send all logs of the process to stderr at `level` (any case); chatty libraries stay one level quieter unless DEBUG is asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG if level.upper() == "DEBUG" else logging.WARNING)
