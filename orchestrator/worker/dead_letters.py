"""What becomes of a job that is not worked on, or no longer: a dead letter in the store, a count, a log line and a `finish` event."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from orchestrator.errors import ResprayError
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.parser import Message, claimed_id, depth
from orchestrator.records.records import Records
from orchestrator.worker.handle import JobFailed, JobResult
from respray.observe.events import Events
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)


class DeadLetters:
    """Writes dead letters. Every method raises JobFailed when it cannot: the queue is then the only place that still has the message."""

    def __init__(self, records: Records, events: Events, metrics: Metrics) -> None:
        self._records, self._events, self._metrics = records, events, metrics

    async def refuse(self, message: Message, reason: str, attempt: int) -> JobResult:
        """A message that is no job: repeating will not help, so it is recorded and done with."""
        await self.record(f"unreadable/{fingerprint(message)}", message, reason, attempt)
        self._metrics.jobs.labels("refused").inc()
        log.error("refused a message: %s", reason)
        return JobResult(claimed_id(message), "failed", error=reason, dead=True)

    async def give_up(self, job: Job, message: Message, reason: str, attempt: int) -> JobResult:
        """A job that met the same trouble on all its attempts."""
        await self.record(f"{job.user_id}/{job.job_id}", message, reason, attempt)
        self._metrics.jobs.labels("failed").inc()
        log.error("gave up job %s: %s", job.job_id, reason)
        result = JobResult(job.job_id, "failed", 0, len(job.items), len(job.items), reason, dead=True)
        self._events.emit("finish", **result.fields())
        return result

    async def record(self, name: str, message: Message, reason: str, attempt: int) -> None:
        """Write a dead letter below `failed/`."""
        try:
            await self._records.write_failed(name, presentable(message), reason, attempt)
        except ResprayError as error:
            raise JobFailed(f"{reason}; and the record of it could not be written: {error}") from error


def fingerprint(message: Any) -> str:
    """The same for the same message, whatever it is."""
    text = message if isinstance(message, bytes) else str(message).encode("utf-8", "replace")
    return sha256(text).hexdigest()[:32]


def presentable(message: Any) -> Any:
    """A message as a dead letter keeps it: as it came where a job could be that large and deep, otherwise its beginning as text."""
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    if isinstance(message, Mapping):
        try:
            text = json.dumps(message, default=repr)
            if len(text) <= limits.MESSAGE_BYTES and depth(message) <= limits.NESTING:
                return dict(message)
        except (TypeError, ValueError, RecursionError):
            text = "a message that cannot be shown"
    else:
        text = message if isinstance(message, str) else repr(message)
    return text[: limits.MESSAGE_BYTES]
