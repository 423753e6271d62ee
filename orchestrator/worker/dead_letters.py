"""What becomes of a job that is not worked on, or no longer: a dead letter in the store, a count, a log line and a `finish` event."""

from __future__ import annotations

import logging

from orchestrator.errors import ResprayError
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.raw_message import RawMessage
from orchestrator.records.records import Records
from orchestrator.worker.handle import JobFailed, JobResult
from respray.observe.events import Events
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)


class DeadLetters:
    """Writes dead letters. Every method raises JobFailed when it cannot: the queue is then the only place that still has the message."""

    def __init__(self, records: Records, events: Events, metrics: Metrics) -> None:
        self._records, self._events, self._metrics = records, events, metrics

    async def refuse(self, message: RawMessage, reason: str, attempt: int) -> JobResult:
        """A message that is no job: repeating will not help, so it is recorded and done with."""
        await self.record(f"unreadable/{message.fingerprint}", message, reason, attempt)
        self._metrics.jobs.labels("refused").inc()
        log.error("refused a message: %s", reason)
        return JobResult(message.claimed_id, "failed", error=reason, dead=True)

    async def give_up(self, job: Job, message: RawMessage, reason: ResprayError, attempt: int) -> JobResult:
        """A job that met the same trouble on all its attempts."""
        await self.record(f"{job.user_id}/{job.job_id}", message, reason.for_callers, attempt)
        self._metrics.jobs.labels("failed").inc()
        log.error("gave up job %s: %s", job.job_id, reason)
        result = JobResult(job.job_id, "failed", 0, len(job.items), len(job.items), reason.for_callers, dead=True)
        self._events.emit("finish", **result.fields())
        return result

    async def record(self, name: str, message: RawMessage, reason: str, attempt: int) -> None:
        """Write a dead letter below `failed/`."""
        try:
            await self._records.write_failed(name, message.presentable, reason, attempt)
        except ResprayError as error:
            raise JobFailed(f"{reason}; and the record of it could not be written: {error.for_callers}", error.inside) from error
