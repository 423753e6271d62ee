"""One worker: takes jobs from whatever intake, runs their items concurrently, acknowledges, delivers callbacks, says how it went.

The order that loses nothing: upload, verify, record, acknowledge, deliver. `start` returns a handle, so that an intake can
acknowledge when everything is recorded (`stored`) and need not wait for receivers that are slow or down (`finished`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.catalog import Catalog
from orchestrator.deliveries import Deliverer, Tracked
from orchestrator.errors import InternalError, JobError, OutOfMemory, PipelineUnavailable, Poisoned, ResprayError, StorageError, Superseded
from orchestrator.events import Events
from orchestrator.handle import HandedBack, Handle, JobFailed, JobResult
from orchestrator.items import ItemFlow, JobState
from orchestrator.job import claimed_id, parse_job
from orchestrator.metrics import Metrics
from orchestrator.model import Item, Job
from orchestrator.pipeline import PipelineGate
from orchestrator.records import ItemRecord, Records, callback_summary, manifest_of
from orchestrator.storage.threads import AsyncStorage

log = logging.getLogger(__name__)

AHEAD = 10
"""Items of a job that may be in flight beyond those in the pipeline: being downloaded, uploaded or recorded."""
MOST_DELIVERING = 64
"""Jobs whose callbacks may still be under way after they were acknowledged; what comes beyond stays owed for the sweep."""

_RETRYABLE = frozenset(e.code for e in (InternalError, OutOfMemory, PipelineUnavailable, Poisoned, StorageError))


class Worker:
    """Everything a process needs to work on jobs; intakes only fetch messages and acknowledge them."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        storage: AsyncStorage,
        records: Records,
        gate: PipelineGate,
        deliverer: Deliverer,
        events: Events,
        metrics: Metrics,
        name: str,
        workers_api_url: str | None = None,
        concurrency: int = 4,
        attempts: int = 3,
        grace: float = 25.0,
    ) -> None:
        self._catalog, self._records, self._events, self._metrics = catalog, records, events, metrics
        self.storage, self.gate, self.deliverer = storage, gate, deliverer
        self._flow = ItemFlow(storage, records, gate, deliverer=deliverer, metrics=metrics, worker=name)
        self._workers_api_url = workers_api_url
        self.concurrency, self.attempts, self.grace = concurrency, attempts, grace
        self._in_flight = asyncio.Semaphore(2 * concurrency + 2 * AHEAD)
        self._handles: set[Handle] = set()
        self._leftover: set[asyncio.Task[Tracked]] = set()
        self._delivering = 0

    def start(
        self,
        message: str | bytes | Mapping[str, Any],
        attempt: int = 1,
        final: bool | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Handle:
        """Begin a job. `attempt` is the queue's delivery count from 1; `final` says that no further one will come (None: by `attempts`).

        `on_progress(done, total)` is called after every item.
        """
        handle = Handle(on_progress)
        last = attempt >= self.attempts if final is None else final
        handle.task = asyncio.create_task(self._run(handle, message, attempt, last))
        self._handles.add(handle)
        handle.task.add_done_callback(lambda task: self._forget(handle, task))
        return handle

    @property
    def busy(self) -> int:
        """Jobs under way, those included whose callbacks are still being delivered."""
        return len(self._handles)

    async def within_grace(self, handle: Handle, stop: asyncio.Event) -> JobResult:
        """Wait until a job is stored; once `stop` is set, no longer than the grace period. Raises JobFailed, HandedBack."""
        stored, stopped = asyncio.ensure_future(handle.stored()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({stored, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stored.done():
                await asyncio.wait({stored}, timeout=self.grace)
            if stored.done() and not stored.cancelled():
                return stored.result()
            handle.cancel()
            raise HandedBack(f"the job was not done within {self.grace:g} s of the order to stop")
        finally:
            stored.cancel()
            stopped.cancel()

    def queue_lag(self, waiting: int) -> None:
        """Note how many messages wait in the queue."""
        self._metrics.queue_lag.set(waiting)

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

    async def close(self) -> None:
        """Let go of the pipeline and the store."""
        await self.gate.pipeline.close()
        await self.storage.close()

    def _forget(self, handle: Handle, task: asyncio.Task[JobResult]) -> None:
        self._handles.discard(handle)
        handle.settle(task)
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), ResprayError):
            log.error("a job ended unexpectedly", exc_info=task.exception())

    async def _run(self, handle: Handle, message: str | bytes | Mapping[str, Any], attempt: int, final: bool) -> JobResult:
        began = time.monotonic()
        try:
            job = parse_job(message, self._catalog, self._workers_api_url)
        except JobError as error:
            return await self._refuse(message, str(error), attempt)
        with self._metrics.jobs_in_flight.track_inprogress():
            try:
                return await self._work(handle, job, message=message, attempt=attempt, final=final, began=began)
            except JobFailed:
                raise
            except ResprayError as error:
                if error.retryable and not final:
                    raise JobFailed(f"job {job.job_id}: {error}") from error
                return await self._give_up(job, message, str(error), attempt)
            except Exception as error:
                log.exception("job %s met an unexpected error", job.job_id)
                if not final:
                    raise JobFailed(f"job {job.job_id}: an unexpected error in this worker: {error!r:.300}") from error
                return await self._give_up(job, message, f"an unexpected error in this worker: {error!r:.300}", attempt)

    async def _work(
        self, handle: Handle, job: Job, *, message: str | bytes | Mapping[str, Any], attempt: int, final: bool, began: float
    ) -> JobResult:
        slots = min(job.concurrency or self.concurrency, self.concurrency)
        beyond = (
            Poisoned(f"the job was delivered {attempt} times without an end; {self.attempts} are allowed")
            if attempt > self.attempts
            else None
        )
        state = await self._flow.begin(job, attempt, final, slots, beyond)
        if job.callback_url is not None:
            # Under way while the first photos are; no record that owes a callback is written before it.
            state.marked = asyncio.create_task(self._records.mark_owed(job))
        deliveries: list[asyncio.Task[Tracked]] = []
        deliver_now = self._delivering < MOST_DELIVERING
        tracked: dict[int, Tracked] = {}
        troubles: dict[int, ResprayError] = {}

        def recorded(item: Item, done: Tracked) -> None:
            tracked[item.idx] = done
            if deliver_now and done.record.callback is not None:
                deliveries.append(asyncio.create_task(self.deliverer.deliver(job.prefix, done, wait_for_lease=True)))

        self._delivering += 1
        try:
            await self._run_items(state, handle, recorded, troubles)
            again = {idx: error for idx, error in troubles.items() if not isinstance(error, Superseded)}
            if again:
                raise JobFailed(
                    f"job {job.job_id}: {len(again)} of {len(job.items)} items are to be tried again, first: {next(iter(again.values()))}"
                )
            records = [t.record for t in tracked.values()]
            result = self._result(job, records, troubles, began)
            if result.dead:
                await self._record_failure(f"{job.user_id}/{job.job_id}", message, result.error or "", attempt)
            handle.set_stored(result)
            for done in await asyncio.gather(*deliveries):
                tracked[done.record.idx] = done
            return await self._finish(job, [t.record for t in tracked.values()], troubles, began)
        except JobFailed:
            # What is stored is told now; the rest follows when the job is delivered again.
            self._leftover.update(deliveries)
            for task in deliveries:
                task.add_done_callback(self._leftover.discard)
            raise
        except BaseException:
            for task in deliveries:
                task.cancel()
            raise
        finally:
            self._delivering -= 1

    async def _run_items(
        self, state: JobState, handle: Handle, recorded: Callable[[Item, Tracked], None], troubles: dict[int, ResprayError]
    ) -> None:
        """Run all items, as many at a time as the job wants and this worker allows. A fixed number of runners pulls from one iterator."""
        job, done = state.job, 0
        waiting = iter(job.items)

        async def runner() -> None:
            nonlocal done
            for item in waiting:
                async with self._in_flight:
                    with self._metrics.items_in_flight.track_inprogress():
                        try:
                            result = await self._flow.run(state, item)
                        except ResprayError as error:
                            troubles[item.idx] = error
                            done += 1
                            self._report(job, item, None, error, done)
                            continue
                done += 1
                recorded(item, result)
                self._report(job, item, result.record, None, done)
                if handle.on_progress is not None:
                    handle.on_progress(done, len(job.items))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.concurrency + AHEAD, len(job.items))):
                group.create_task(runner())

    def _report(self, job: Job, item: Item, record: ItemRecord | None, error: ResprayError | None, done: int) -> None:
        total = len(job.items)
        if record is not None:
            self._metrics.items.labels(record.status).inc()
            report = record.report.model_dump(exclude_none=True) if record.report else None
            fields = {"output_key": record.output_key, "error": record.error, "timings": record.timings, "report": report}
            self._events.progress(job.job_id, item.idx, "stored" if record.status == "completed" else "failed", done, total)
            self._events.emit("item", job_id=job.job_id, idx=item.idx, status=record.status, **fields)
            return
        self._metrics.items.labels("superseded" if isinstance(error, Superseded) else "retry").inc()
        log.warning("item %d of job %s: %s", item.idx, job.job_id, error)
        self._events.progress(job.job_id, item.idx, "superseded" if isinstance(error, Superseded) else "retry", done, total)

    def _result(self, job: Job, records: list[ItemRecord], troubles: Mapping[int, ResprayError], began: float) -> JobResult:
        completed = sum(r.status == "completed" for r in records)
        errors = {r.idx: r.error for r in records if r.error} | {idx: str(e) for idx, e in troubles.items()}
        total = len(job.items)
        error = f"{len(errors)} of {total} items failed; item {min(errors)}: {errors[min(errors)]}" if errors else None
        status = "completed" if completed == total else "failed"
        dead = any(r.error_code in _RETRYABLE for r in records)
        return JobResult(
            job.job_id, status, completed, total - completed, total, error, seconds=round(time.monotonic() - began, 3), dead=dead
        )

    async def _finish(self, job: Job, records: list[ItemRecord], troubles: Mapping[int, ResprayError], began: float) -> JobResult:
        """Write the manifest, keep or clear the marker of owed callbacks, emit `finish`."""
        result = self._result(job, records, troubles, began)
        result.callbacks = callback_summary(records)
        owed = any(r.callback is not None and r.callback.state == "owed" for r in records)
        try:
            if not troubles:  # a superseded job must not write over the newer one's manifest
                manifest = manifest_of(job.user_id, job.job_id, records, len(job.items), result.seconds)
                result.manifest = await self._records.write_manifest(job.prefix, manifest)
                if job.callback_url is not None and owed:
                    await self._records.mark_owed(job)
                elif job.callback_url is not None:
                    await self._records.clear_owed(job.user_id, job.job_id)
        except ResprayError as error:
            log.error("the manifest of job %s could not be written: %s", job.job_id, error)
        self._metrics.jobs.labels(result.status).inc()
        self._events.emit("finish", **result.fields())
        return result

    async def _refuse(self, message: str | bytes | Mapping[str, Any], reason: str, attempt: int) -> JobResult:
        """A message that is no job: repeating will not help, so it is recorded and done with."""
        text = message if isinstance(message, bytes) else str(message).encode("utf-8", "replace")
        job_id = claimed_id(message)
        name = f"unreadable/{hashlib.sha256(text).hexdigest()[:32]}"
        await self._record_failure(name, message, reason, attempt)
        self._metrics.jobs.labels("refused").inc()
        log.error("refused a message: %s", reason)
        result = JobResult(job_id, "failed", error=reason, dead=True)
        self._events.emit("finish", **result.fields())
        return result

    async def _give_up(self, job: Job, message: str | bytes | Mapping[str, Any], reason: str, attempt: int) -> JobResult:
        await self._record_failure(f"{job.user_id}/{job.job_id}", message, reason, attempt)
        self._metrics.jobs.labels("failed").inc()
        log.error("gave up job %s: %s", job.job_id, reason)
        result = JobResult(job.job_id, "failed", 0, len(job.items), len(job.items), reason, dead=True)
        self._events.emit("finish", **result.fields())
        return result

    async def _record_failure(self, name: str, message: str | bytes | Mapping[str, Any], reason: str, attempt: int) -> None:
        readable = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        shown = readable[:65536] if isinstance(readable, str) else readable
        try:
            await self._records.write_failed(name, shown, reason, attempt)
        except ResprayError as error:
            # Without its dead letter the message must not be acknowledged: the queue is the only place that still has it.
            raise JobFailed(f"{reason}; and the record of it could not be written: {error}") from error
