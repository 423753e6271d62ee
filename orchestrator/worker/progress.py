"""What is told of a job's items as they end: to the metrics, the events, the log and the job's intake."""

from __future__ import annotations

import logging

from orchestrator.errors import ResprayError, Superseded
from orchestrator.jobs.job_types import Item, Job
from orchestrator.records.item_record import ItemRecord
from orchestrator.worker.handle import Handle
from respray.observe.events import Events
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)


class JobProgress:
    """Counts the items of one job that are done with, and tells of each."""

    def __init__(self, job: Job, handle: Handle, events: Events, metrics: Metrics) -> None:
        self._job, self._handle, self._events, self._metrics = job, handle, events, metrics
        self._done = 0

    def recorded(self, item: Item, record: ItemRecord) -> None:
        """An item has its record: it is completed, or failed for good."""
        self._count(item, record.status, "stored" if record.status == "completed" else "failed")
        report = record.report.model_dump(exclude_none=True) if record.report else None
        fields = {"output_key": record.output_key, "error": record.error, "timings": record.timings, "report": report}
        outputs = {"outputs": record.outputs} if record.outputs_map else {}
        self._events.emit("item", job_id=self._job.job_id, idx=item.idx, status=record.status, **fields, **outputs)
        if self._handle.on_progress is not None:
            self._handle.on_progress(self._done, len(self._job.items))

    def unrecorded(self, item: Item, error: ResprayError) -> None:
        """An item has no record: it is to be tried again, or a newer message has taken its place."""
        stage = "superseded" if isinstance(error, Superseded) else "retry"
        log.warning("item %d of job %s: %s", item.idx, self._job.job_id, error)
        self._count(item, stage, stage)

    def _count(self, item: Item, status: str, stage: str) -> None:
        self._done += 1
        self._metrics.items.labels(status).inc()
        self._events.progress(self._job.job_id, item.idx, stage, self._done, len(self._job.items))
