"""One worker: starts jobs from whatever intake, keeps count of those under way, and brings them to an end at a shutdown.

`start` returns a handle, so that an intake can acknowledge when everything is recorded (`stored`) and need not wait for receivers that
are slow or down (`finished`). What happens to a job in between is in `job_runner.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from orchestrator.callbacks.deliverer import Deliverer
from orchestrator.callbacks.sweeper import Sweeper
from orchestrator.errors import ResprayError
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.raw_message import RawMessage, Received
from orchestrator.net.links import LinkClient
from orchestrator.records.records import Records
from orchestrator.storage.threads import AsyncStorage
from orchestrator.waiting import until
from orchestrator.worker.backend import ThrottledBackend
from orchestrator.worker.budget import ByteBudget, default_budget
from orchestrator.worker.handle import HandedBack, Handle, JobResult
from orchestrator.worker.item_runner import ItemRunner
from orchestrator.worker.job_runner import JobRunner, QueueDelivery
from orchestrator.worker.kept_segments import KeptSegments
from respray.observe.events import Events
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)


class Worker:
    """Everything a process needs to work on jobs; intakes only fetch messages and acknowledge them."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        storage: AsyncStorage,
        records: Records,
        backend: ThrottledBackend,
        links: LinkClient,
        deliverer: Deliverer,
        events: Events,
        metrics: Metrics,
        name: str,
        kept: KeptSegments,
        workers_api_url: str | None = None,
        concurrency: int = 4,
        attempts: int = 3,
        grace: float = 25.0,
        budget: int | None = None,
    ) -> None:
        self.catalog, self.storage, self.records, self.backend, self.kept = catalog, storage, records, backend, kept
        self.deliverer, self.sweeper, self.name = deliverer, Sweeper(deliverer, records, metrics), name
        self.concurrency, self.attempts, self.grace = concurrency, attempts, grace
        self._metrics = metrics
        self.budget = ByteBudget(budget or default_budget())
        self._jobs = JobRunner(
            catalog=catalog,
            storage=storage,
            items=ItemRunner(
                storage,
                records,
                backend,
                links=links,
                deliverer=deliverer,
                metrics=metrics,
                worker=name,
                budget=self.budget,
                kept=kept,
            ),
            records=records,
            deliverer=deliverer,
            events=events,
            metrics=metrics,
            workers_api_url=workers_api_url,
            concurrency=concurrency,
            attempts=attempts,
            budget=self.budget,
        )
        self._handles: set[Handle] = set()
        self.queue_problem: str | None = None
        """Why the queue gives no jobs, as the intake saw it last; None: it does, or nobody looks."""

    def start(
        self,
        message: Received | RawMessage,
        attempt: int = 1,
        final: bool | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        job: Job | None = None,
        message_id: str | None = None,
    ) -> Handle:
        """Begin a job.

        Args:
            message: The message, decoded or not.
            attempt: The queue's count of deliveries, from 1.
            final: No further delivery will come; None: by the worker's `attempts`.
            on_progress: Called with (done, total) after every item.
            job: The message where the caller has parsed it already.
            message_id: The queue's own name of the message, the same for every delivery of it.
        """
        handle = Handle(on_progress)
        last = attempt >= self.attempts if final is None else final
        handle.task = asyncio.create_task(self._jobs.run(handle, QueueDelivery(message, attempt, last, message_id, job)))
        self._handles.add(handle)
        handle.task.add_done_callback(lambda task: self._forget(handle, task))
        return handle

    @property
    def busy(self) -> int:
        """Jobs under way, those included whose callbacks are still being delivered."""
        return len(self._handles)

    async def within_grace(self, handle: Handle, stop: asyncio.Event) -> JobResult:
        """Wait until a job is stored; after the order to stop, no longer than the grace period.

        Args:
            handle: The job.
            stop: The order to stop.

        Raises:
            JobFailed: The job is to be delivered again later.
            HandedBack: It was stopped, and is to be delivered again at once.
        """
        result = await until(stop, handle.stored(), self.grace)
        if result is None:
            handle.cancel()
            late = f"the job was not done within {self.grace:g} s of the order to stop"
            raise HandedBack(late if stop.is_set() else "the job was cancelled")
        return result

    def queue_lag(self, waiting: int | None, problem: str | None = None) -> None:
        """Note that the queue answers, how many messages wait in it, where it says, and why it gives none all the same."""
        self.queue_problem = problem
        if waiting is not None:
            self._metrics.queue_lag.set(waiting)

    def queue_away(self, reason: str) -> None:
        """Note that the queue does not answer, so that no job can be taken."""
        self.queue_problem = reason

    async def drain(self, seconds: float) -> int:
        """Give jobs under way so long to finish, then stop them. Returns how many were stopped (and will be delivered again)."""
        tasks = [handle.task for handle in self._handles if handle.task is not None]
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=max(seconds, 0.001))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5.0)
        return len(late)

    def _forget(self, handle: Handle, task: asyncio.Task[JobResult]) -> None:
        self._handles.discard(handle)
        handle.settle(task)
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), ResprayError):
            log.error("a job ended unexpectedly", exc_info=task.exception())
