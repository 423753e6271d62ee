"""A job under way, and how it went: what intakes hold while the worker works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ResprayError
from orchestrator.records.item_record import ItemRecord


class JobFailed(ResprayError):
    """A job that can be tried again: some of its items met errors that may pass. The message says which."""

    code = "job_failed"
    retryable = True


class HandedBack(ResprayError):
    """A job that was stopped because the worker is shutting down; the queue delivers it again at once."""

    code = "handed_back"
    retryable = True


@dataclass
class JobResult:
    """How a job went.

    Attributes:
        job_id: The job, as far as its message says.
        status: `completed` or `failed`.
        completed: Items that are stored.
        failed: Items that are not.
        total: All items.
        error: The first thing that went wrong.
        manifest: Key of the job's manifest.
        seconds: From its start to its last record.
        callbacks: What came of its callbacks, as in the manifest.
        warnings: What whoever runs the worker should know of the job.
        records: What came of its items, for intakes whose answers tell of each.
        dead: Its message belongs into the dead-letter queue: it is no job, or all its attempts are used up.
    """

    job_id: str
    status: str
    completed: int = 0
    failed: int = 0
    total: int = 0
    error: str | None = None
    manifest: str | None = None
    seconds: float = 0.0
    callbacks: dict[str, Any] | None = None
    warnings: list[str] | None = None
    records: list[ItemRecord] = field(default_factory=list)
    dead: bool = False

    @property
    def ok(self) -> bool:
        """Whether every item was completed."""
        return self.status == "completed"

    def fields(self) -> dict[str, Any]:
        """For the `finish` event and for queues that keep results."""
        return {k: v for k, v in self.__dict__.items() if (v is not None or k == "error") and k not in ("dead", "records")}


class Handle:
    """A job under way. `stored` raises JobFailed when the job should be delivered again; cancelling it stops the job."""

    def __init__(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        self.on_progress = on_progress
        self.stopped = False
        self._stored: asyncio.Future[JobResult] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[JobResult] | None = None

    async def stored(self) -> JobResult:
        """Wait until every item is stored and recorded: the moment to acknowledge."""
        return await asyncio.shield(self._stored)

    async def finished(self) -> JobResult:
        """Wait until the callbacks are delivered or given up for now, too."""
        assert self.task is not None
        return await asyncio.shield(self.task)

    def set_stored(self, result: JobResult) -> None:
        """Say that everything is stored and recorded."""
        if not self._stored.done():
            self._stored.set_result(result)

    def settle(self, task: asyncio.Task[JobResult]) -> None:
        """Pass the task's end on to whoever waits for `stored`."""
        if not self._stored.done():
            if task.cancelled():
                self._stored.cancel()
            elif (error := task.exception()) is not None:
                self._stored.set_exception(error)
            else:
                self._stored.set_result(task.result())
        if not self._stored.cancelled():
            self._stored.exception()  # nobody may be waiting for it

    def stop(self) -> None:
        """Begin no further item. Those in the pipeline are finished, what is done stays, and the job ends as stopped."""
        self.stopped = True

    def cancel(self) -> None:
        """Stop working on the job; nothing that is stored is lost, and the queue will deliver it again."""
        if self.task is not None:
            self.task.cancel()
