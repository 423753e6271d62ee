"""The way of one job: parse, run its items, record, let the intake acknowledge, deliver callbacks, say how it went.

The order that loses nothing: upload, verify, record, acknowledge, deliver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.errors import (
    InternalError,
    JobError,
    LinkUnavailable,
    OutOfMemory,
    PipelineUnavailable,
    Poisoned,
    ResprayError,
    Stopped,
    StorageError,
    Superseded,
    unexpected,
)
from orchestrator.jobs.hidden import hide_in_text
from orchestrator.jobs.job_types import Item, Job
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.jobs.raw_message import RawMessage, Received, decode_message
from orchestrator.records.item_record import ItemRecord
from orchestrator.records.manifest import callback_summary, manifest_of
from orchestrator.records.records import Records
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.budget import ByteBudget
from orchestrator.worker.dead_letters import DeadLetters
from orchestrator.worker.handle import Handle, JobFailed, JobResult
from orchestrator.worker.item_runner import ItemRunner
from orchestrator.worker.job_state import JobState, look_at_job
from orchestrator.worker.progress import JobProgress
from orchestrator.worker.refusals import refusal
from respray.observe.events import Events
from respray.observe.log_context import log_place
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)

AHEAD = 10
"""Items of a job that may be in flight beyond those in the pipeline: downloaded, uploaded or recorded, as far as `ByteBudget` has room."""
MAX_DELIVERING_JOBS = 64
"""Jobs whose callbacks may still be under way after they were acknowledged; what comes beyond stays owed for the sweep."""
MAX_LEFTOVER_CALLBACKS = 2000
"""Callbacks that may still be under way for jobs that went back to their queue."""

_RETRYABLE = frozenset(e.code for e in (InternalError, LinkUnavailable, OutOfMemory, PipelineUnavailable, Poisoned, StorageError))


@dataclass(frozen=True)
class QueueDelivery:
    """One delivery of a message by its queue.

    Attributes:
        message: The message, decoded or not.
        attempt: The queue's count of deliveries, from 1.
        final: No further delivery will come.
        message_id: The queue's own name of the message, the same for every delivery of it; None where it has none.
        job: The message where somebody has parsed it already.
    """

    message: Received | RawMessage
    attempt: int
    final: bool
    message_id: str | None = None
    job: Job | None = None


class JobRunner:
    """Works on jobs; one instance per worker."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        storage: AsyncStorage,
        items: ItemRunner,
        records: Records,
        deliverer: Deliverer,
        events: Events,
        metrics: Metrics,
        workers_api_url: str | None,
        concurrency: int,
        attempts: int,
        budget: ByteBudget,
    ) -> None:
        self._catalog, self._storage, self._items = catalog, storage, items
        self._records, self._deliverer = records, deliverer
        self._events, self._metrics = events, metrics
        self._dead_letters = DeadLetters(records, events, metrics)
        self._workers_api_url, self._concurrency, self._attempts = workers_api_url, concurrency, attempts
        self._budget = budget
        self._leftover: set[asyncio.Task[Tracked]] = set()
        self._delivering = 0

    async def run(self, handle: Handle, delivery: QueueDelivery) -> JobResult:
        """Do a job to its end. Raises JobFailed when it should be delivered again, and nothing else."""
        try:
            raw = decode_message(delivery.message)
            job = delivery.job or parse_job(raw, self._catalog, self._workers_api_url)
        except JobError as error:
            reason = hide_in_text(str(error))  # a link in the field of a key, say, is shown as it was given
        except Exception as error:
            raise _unreadable(error) from error
        else:
            with log_place(job.job_id):
                return await self._run_job(handle, job, raw, delivery)
        try:
            return await self._refuse(handle, raw, reason, delivery.attempt)
        except JobFailed:
            raise
        except Exception as error:
            # What is no job and has no dead letter stays in the queue, which is the only place that still has it.
            raise _unreadable(error) from error

    async def _run_job(self, handle: Handle, job: Job, raw: RawMessage, delivery: QueueDelivery) -> JobResult:
        try:
            with self._metrics.jobs_in_flight.track_inprogress():
                return await self._work(handle, job, raw, delivery)
        except JobFailed:
            raise
        except Exception as error:
            reason = _reason(error, job.job_id)
            if reason.retryable and not delivery.final:
                raise JobFailed(f"job {job.job_id}: {reason.for_callers}", reason.inside) from error
            return await self._dead_letters.give_up(job, raw, reason, delivery.attempt)

    async def _work(self, handle: Handle, job: Job, raw: RawMessage, delivery: QueueDelivery) -> JobResult:
        began, attempt = time.monotonic(), delivery.attempt
        slots = min(job.concurrency or self._concurrency, self._concurrency)
        beyond = (
            Poisoned(f"the job was delivered {attempt} times without an end; {self._attempts} are allowed")
            if attempt > self._attempts
            else None
        )
        name = delivery.message_id or raw.fingerprint
        version, newest = await self._records.versions.take(job.prefix, name, raw.fingerprint, attempt > 1)
        refused = beyond if newest else Superseded("a newer message of this job was accepted, and that one counts")
        # What is stored is looked at behind the number: all that a newer message's run writes is news to this one.
        state = await look_at_job(self._storage, job, attempt, delivery.final, slots, name, version, refused)
        for warning in job.warnings:
            log.warning("job %s: %s", job.job_id, warning)
        if job.callback_url is not None:
            # Under way while the first photos are; no record that owes a callback is written before it.
            state.marked = asyncio.create_task(self._records.markers.mark_owed(job))
        deliveries: list[asyncio.Task[Tracked]] = []
        deliver_now = self._delivering < MAX_DELIVERING_JOBS and len(self._leftover) < MAX_LEFTOVER_CALLBACKS
        tracked: dict[int, Tracked] = {}
        troubles: dict[int, ResprayError] = {}

        def recorded(item: Item, done: Tracked) -> None:
            tracked[item.idx] = done
            if deliver_now and done.record.callback is not None:
                deliveries.append(asyncio.create_task(self._deliverer.deliver(job.prefix, done, wait_for_lease=True)))

        self._delivering += 1
        try:
            await self._run_items(state, handle, recorded, troubles)
            again = {idx: error for idx, error in troubles.items() if not isinstance(error, Superseded | Stopped)}
            if again:
                raise JobFailed(
                    f"job {job.job_id}: {len(again)} of {len(job.items)} items are to be tried again, first: {next(iter(again.values()))}"
                )
            records = [t.record for t in tracked.values()]
            result = _result(job, records, troubles, began)
            if result.dead:
                await self._dead_letters.record(f"{job.user_id}/{job.job_id}", raw, result.error or "", attempt)
            handle.set_stored(result)
            for done in await asyncio.gather(*deliveries):
                tracked[done.record.idx] = done
            return await self._finish(state, [t.record for t in tracked.values()], troubles, began)
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
        job = state.job
        progress = JobProgress(job, handle, self._events, self._metrics)
        state.is_stopped = lambda: handle.stopped
        waiting = iter(job.items)

        async def runner() -> None:
            for item in waiting:
                if handle.stopped:
                    troubles[item.idx] = Stopped("the job was stopped before this item was begun")
                    continue
                with self._metrics.items_in_flight.track_inprogress():
                    try:
                        result = await self._items.run(state, item)
                    except Stopped as error:
                        troubles[item.idx] = error
                        continue
                    except ResprayError as error:
                        troubles[item.idx] = error
                        progress.unrecorded(item, error)
                        continue
                recorded(item, result)
                progress.recorded(item, result.record)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency + AHEAD, len(job.items))):
                    group.create_task(runner())
        finally:
            for task in state.shared.values():
                task.cancel()
            state.shared.clear()
            self._budget.give_back(state.kept)

    async def _finish(self, state: JobState, records: list[ItemRecord], troubles: Mapping[int, ResprayError], began: float) -> JobResult:
        """Write the manifest, keep or clear the marker of owed callbacks, emit `finish`."""
        job, marked = state.job, state.marked
        result = _result(job, records, troubles, began)
        result.callbacks, result.records = callback_summary(records), records
        owed = any(r.callback is not None and r.callback.state == "owed" for r in records)
        try:
            # A superseded job must not write over the newer one's manifest.
            if not any(isinstance(error, Superseded) for error in troubles.values()):
                manifest = manifest_of(job.user_id, job.job_id, records, len(job.items), result.seconds)
                manifest |= {"stopped": True} if troubles else {}
                result.manifest = await self._records.write_manifest(job.prefix, manifest, state.version)
                if marked is not None and owed:
                    await self._records.markers.keep_owed(await marked)
                elif marked is not None:
                    if any(r.callback is not None and r.callback.state == "refused" for r in records):
                        await self._records.markers.keep_refused(await marked)
                    await self._records.markers.clear_owed(await marked)
        except ResprayError as error:
            log.error("the manifest of job %s could not be written: %s", job.job_id, error)
        self._metrics.jobs.labels(result.status).inc()
        self._events.emit("finish", **result.fields())
        return result

    async def _refuse(self, handle: Handle, raw: RawMessage, reason: str, attempt: int) -> JobResult:
        """Done with once its dead letter is written; its sender is told where the message says, in spite of all, who that is."""
        result = await self._dead_letters.refuse(raw, reason, attempt)
        handle.set_stored(result)
        event = refusal(raw, self._records.redacted(reason), self._workers_api_url)
        if event is not None and self._delivering < MAX_DELIVERING_JOBS:
            self._delivering += 1
            try:
                result.callbacks = await self._deliverer.tell_once(event)
            finally:
                self._delivering -= 1
        self._events.emit("finish", **result.fields())
        return result


def _reason(error: Exception, job_id: str = "") -> ResprayError:
    """Why a job did not come to its end; the log has the traceback of what nobody expected."""
    if isinstance(error, ResprayError):
        return error
    log.error("job %s met an unexpected error", job_id, exc_info=error)
    return unexpected(error)


def _unreadable(error: Exception) -> JobFailed:
    reason = _reason(error)
    return JobFailed(f"job (unreadable): {reason.for_callers}", reason.inside)


def _result(job: Job, records: list[ItemRecord], troubles: Mapping[int, ResprayError], began: float) -> JobResult:
    completed = sum(r.status == "completed" for r in records)
    errors = {r.idx: r.error for r in records if r.error} | {idx: e.for_callers for idx, e in troubles.items()}
    total = len(job.items)
    stopped = sum(isinstance(e, Stopped) for e in troubles.values())
    error = f"{len(errors)} of {total} items failed; item {min(errors)}: {errors[min(errors)]}" if errors else None
    if stopped:
        error = f"the job was stopped; {total - stopped} of {total} items were done by then"
    status = "completed" if completed == total else "failed"
    dead = any(r.error_code in _RETRYABLE for r in records)
    seconds, warnings = round(time.monotonic() - began, 3), list(job.warnings) or None
    failed = total - completed - stopped  # what was not begun has not failed
    return JobResult(job.job_id, status, completed, failed, total, error, seconds=seconds, warnings=warnings, dead=dead)
