"""The way of one item: download, inspect, pipeline, upload, verify, record. Nothing of one item can fail another.

Everything that an item writes is written conditionally on what was there when the job began, so that a late twin of a job cannot
overwrite a newer result.
"""

from __future__ import annotations

import asyncio
import logging
import time

from opentelemetry.trace import SpanKind

from orchestrator.callbacks.client import attempt_of, event_id
from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.errors import Conflict, LinkTooLarge, ResprayError, Stopped, Superseded, unexpected
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Item
from orchestrator.jobs.sources import Destination, StoreKey
from orchestrator.net.links import LinkClient
from orchestrator.records.item_record import CallbackRecord, ItemRecord, record_key
from orchestrator.records.records import Records
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import ThrottledBackend
from orchestrator.worker.budget import ByteBudget, Hold
from orchestrator.worker.downloads import USUAL_LINK_BYTES, Downloads, check_together
from orchestrator.worker.job_state import ItemRun, JobState
from orchestrator.worker.kept_segments import KeptSegments, without_segments
from orchestrator.worker.uploads import TwinFinished, Uploads, plan_uploads, superseded
from respray.contract.photo_file import MIN_SIDE
from respray.contract.request import prompts_of
from respray.observe.log_context import log_place
from respray.observe.metrics import Metrics
from respray.observe.tracing import mark_failed, photo_context, span

log = logging.getLogger(__name__)

NO_LINKS = "options.links has no effect: the results are in a folder, and only a bucket can sign links"
STAGES = ("download", "decode", "segment", "matte", "apply", "encode", "preview", "upload", "total")


class ItemRunner:
    """Works on items; one instance per worker."""

    def __init__(
        self,
        storage: AsyncStorage,
        records: Records,
        backend: ThrottledBackend,
        *,
        links: LinkClient,
        deliverer: Deliverer,
        metrics: Metrics,
        worker: str,
        budget: ByteBudget,
        kept: KeptSegments | None = None,
    ) -> None:
        self._storage, self._records, self._backend = storage, records, backend
        self._budget = budget
        self._downloads, self._uploads = Downloads(storage, links, budget), Uploads(storage, records, links)
        self._deliverer, self._metrics, self._worker = deliverer, metrics, worker
        self._kept = kept or KeptSegments(storage, 0)

    async def run(self, state: JobState, item: Item) -> Tracked:
        """Do one item, or find it done, and return its record as stored.

        Raises Superseded, Stopped, and retryable errors unless this is the final attempt; everything else becomes a failed record.
        """
        job = state.job
        attributes: dict[str, str | int] = {
            "respray.job_id": job.job_id,
            "respray.user_id": job.user_id,
            "respray.idx": item.idx,
            "respray.attempt": state.attempt,
            "respray.concepts": len(item.request.concepts),
        }
        with (
            log_place(job.job_id, item.idx),
            # The root of a photo's work in one attempt.
            span("item", attributes, SpanKind.CONSUMER, photo_context(job.prefix, item.idx)) as opened,
        ):
            tracked = await self._run(state, item)
            if tracked.record.status != "completed":
                mark_failed(opened, tracked.record.error)
            return tracked

    async def _run(self, state: JobState, item: Item) -> Tracked:
        began = time.monotonic()
        key = record_key(state.job.prefix, item.idx)
        record, stat = (None, None) if state.absent(key) else await self._records.load(key)
        if record is not None and record.version > state.version:
            raise superseded(item)
        if record is not None and stat is not None and await self._is_done(record, item):
            return await self._tell_again(state, key, Tracked(record, stat))
        run = ItemRun(state, item, stat)
        try:
            done = await self._edit(run)
        except TwinFinished as twin:
            return twin.tracked
        except (Superseded, Stopped):
            raise
        except Exception as caught:
            error = caught if isinstance(caught, ResprayError) else unexpected(caught)
            if error is not caught:
                log.exception("item %d of job %s met an unexpected error", item.idx, state.job.job_id)
            if error.retryable and not state.final:
                raise error from caught
            if error is caught and error.inside:
                log.warning("item %d of job %s: %s", item.idx, state.job.job_id, error)
            done = ItemRecord(idx=item.idx, status="failed", fingerprint=item.fingerprint(), error=error.for_callers, error_code=error.code)
        run.timings["total"] = time.monotonic() - began
        for stage in STAGES:
            if stage in run.timings:
                self._metrics.stage_seconds.labels(stage).observe(run.timings[stage])
        return await self._save(run, self._complete(run, done, record), record)

    async def _tell_again(self, state: JobState, key: str, done: Tracked) -> Tracked:
        """The record of a finished item, with links as this message wants them; owed anew where it names an address that was not told, or
        comes after a refusal.
        """
        url, callback, before = state.job.callback_url, done.record.callback, done.record.version
        record = await self._with_links(done.record.model_copy(update={"outputs_map": state.job.outputs_map}), state.job.links)
        if url is None:
            fresh = callback
        elif callback is None:  # its message named no address, so nobody was told of it yet
            fresh = self._callback(state, url, _news_of(done.record, state.job.idempotency_prefix), state.attempt)
        elif callback.url == url and not (callback.state == "refused" and callback.message != state.message):
            fresh = callback
        else:
            # The same event: what tells it from others stays.
            fresh = CallbackRecord(
                url=url,
                event_id=callback.event_id,
                idempotency_prefix=callback.idempotency_prefix,
                attempt=callback.attempt,
                message=state.message,
            )
        owed = fresh is not None and fresh is not callback
        if not owed and record == done.record:
            return done
        if state.marked is not None:
            await asyncio.shield(state.marked)
        told = self._deliverer.leased(fresh) if fresh is not None and owed else callback
        record = record.model_copy(update={"callback": told, "version": max(before, state.version)})
        try:
            return Tracked(*await self._records.save(key, record, done.stat), ours=owed)
        except Conflict:
            stored, stat = await self._records.load(key)
            return done if stored is None or stat is None else Tracked(stored, stat)

    async def _edit(self, run: ItemRun) -> ItemRecord:
        clock = time.monotonic()
        if run.state.refused is not None:
            raise run.state.refused
        # Nothing says how much is behind a link before it is read: room for a file as most are, and then for the largest.
        try:
            return await self._edit_admitted(run, clock, USUAL_LINK_BYTES)
        except LinkTooLarge:
            return await self._edit_admitted(run, clock, limits.MAX_PHOTO_BYTES)

    async def _edit_admitted(self, run: ItemRun, clock: float, link_bytes: int) -> ItemRecord:
        needed = await self._downloads.memory(run.item, link_bytes)
        async with self._budget.hold(needed, run.state.job.job_id) as held:
            return await self._edit_within(run, held, clock, link_bytes)

    async def _edit_within(self, run: ItemRun, held: Hold, clock: float, link_bytes: int) -> ItemRecord:
        state, item = run.state, run.item
        masks = {concept.mask_attachment for concept in item.request.concepts}
        downloads = (
            # A mask has any size.
            self._downloads.attachment(state, source, link_bytes, 1 if number in masks else MIN_SIDE)
            for number, source in enumerate(item.attachments)
        )
        photo, *attachments = await asyncio.gather(self._downloads.photo(item, link_bytes), *downloads)
        names = (s.label if isinstance(s, StoreKey) else f"{s.label}#{position}" for position, s in enumerate(item.sources))
        run.contents = dict(zip(names, (file.etag for file in (photo, *attachments)), strict=True))
        run.timings["download"] = time.monotonic() - clock
        request, sent = item.request, [file.data for file in attachments]
        check_together([len(data) for data in sent])  # those behind links, too
        wanted = item.reuse and bool(prompts_of(request.concepts))
        kept = await self._kept.read(state.job.user_id, photo.digest, self._backend.model_digest) if wanted else None
        if kept is not None:
            request, sent = kept.added_to(request, sent)
        async with state.slots:
            if state.is_stopped():
                raise Stopped("the job was stopped before this item was begun")
            await self._uploads.refuse_if_superseded(run)
            report, files, new = without_segments(*await self._backend.infer(photo.data, request, sent))
        if kept is not None:
            self._kept.write(kept, new, report.model)
        del photo, attachments, sent, kept, new  # a job's memory is what its items in flight hold
        held.become(sum(map(len, files)))
        report = report.model_copy(update={"warnings": [*report.warnings, *item.warnings]})
        run.timings.update(report.timings)
        clock = time.monotonic()
        plan = plan_uploads(state.job, item, report, files)
        stored = await self._uploads.store_all(run, plan.files)
        run.timings["upload"] = time.monotonic() - clock
        output, preview = item.targets[0].to, item.preview if plan.has(item.preview) else None
        record = ItemRecord(
            idx=item.idx,
            status="completed",
            fingerprint=item.fingerprint(),
            output_key=_key(output),
            output_url=_url(output),
            outputs={t.name: t.to.label for t in item.targets},
            preview_key=_key(preview),
            preview_url=_url(preview),
            previews={t.name: t.preview.label for t in item.targets if t.preview is not None and plan.has(t.preview)},
            masks=plan.masks,
            files=stored,
            report=report,
        )
        return await self._with_links(record, state.job.links)

    async def _with_links(self, record: ItemRecord, seconds: int | None) -> ItemRecord:
        """A record whose links to results work for so many seconds; None: it has none. Its report says where there can be none."""
        if record.links == seconds or record.report is None:
            return record
        warnings = [warning for warning in record.report.warnings if warning != NO_LINKS]
        key = next((file.key for file in record.files if not file.sent), None)
        if seconds and key is not None and await self._storage.link(key, seconds) is None:
            warnings.append(NO_LINKS)
        return record.model_copy(update={"links": seconds, "report": record.report.model_copy(update={"warnings": warnings})})

    def _complete(self, run: ItemRun, record: ItemRecord, before: ItemRecord | None) -> ItemRecord:
        job = run.state.job
        completed = record.model_copy(
            update={
                "attempt": run.state.attempt,
                "worker": self._worker,
                "finished_at": time.time(),
                "outputs_map": job.outputs_map,
                "version": run.state.version,
                "contents": run.contents,
                "timings": {stage: round(seconds, 4) for stage, seconds in run.timings.items()},
            }
        )
        if job.callback_url is None:
            return completed
        identity = _news_of(completed, job.idempotency_prefix)
        # X-Idempotency-Key counts attempts: news about an item that was told of before must not share the first news' key.
        number = run.state.attempt if before is None else attempt_of(identity)
        callback = self._callback(run.state, job.callback_url, identity, number)
        return completed.model_copy(update={"callback": self._deliverer.leased(callback)})

    @staticmethod
    def _callback(state: JobState, url: str, identity: str, attempt: int) -> CallbackRecord:
        return CallbackRecord(
            url=url, event_id=identity, idempotency_prefix=state.job.idempotency_prefix, attempt=attempt, message=state.message
        )

    async def _is_done(self, record: ItemRecord, item: Item) -> bool:
        """Whether a stored record is of exactly this work, completed, every file of it is still what was stored, and so is what was read.

        What was read and is gone by now cannot be read again: then the result stands. So it does where it was read from a link or sent to
        one: a server's HEAD proves nothing, and no photo is downloaded again to see if it has changed. Who gives a fresh link asks anew.
        """
        if record.status != "completed" or record.fingerprint != item.fingerprint():
            return False
        before = {key: record.contents[key] for key in item.keys_read if key in record.contents}
        read = await asyncio.gather(*(self._storage.stat(key) for key in before))
        if any(now is not None and now.etag != etag for now, etag in zip(read, before.values(), strict=True)):
            return False
        stored = [file for file in record.files if not file.sent]
        stats = await asyncio.gather(*(self._storage.stat(file.key) for file in stored))
        return all(s is not None and s.size == f.size and s.digest == f.digest for s, f in zip(stats, stored, strict=True))

    async def _save(self, run: ItemRun, record: ItemRecord, before: ItemRecord | None) -> Tracked:
        told, tell = (before.callback if before else None), record.callback
        # Another address has not been told.
        same_news = told is not None and tell is not None and told.event_id == tell.event_id and told.url == tell.url
        if same_news:
            record = record.model_copy(update={"callback": told})  # what was told before is not told again
        if run.state.marked is not None:
            await asyncio.shield(run.state.marked)
        while True:
            try:
                saved, stat = await self._records.save(run.record_key, record, run.before)
                return Tracked(saved, stat, ours=not same_news)
            except Conflict:
                stored, run.before = await self._records.load(run.record_key)
            if stored is not None and run.before is not None and stored.version == record.version:
                return Tracked(stored, run.before)  # a twin was faster; its record is as good as ours
            if stored is not None and stored.version > record.version:
                raise superseded(run.item) from None


def _news_of(record: ItemRecord, prefix: str) -> str:
    """The webhook-id of what a record says: the same whenever it is told first."""
    return event_id(prefix, record.idx, record.status, f"{record.fingerprint}{sorted(record.contents.items())}{record.version}")


def _key(to: Destination | None) -> str | None:
    return to.key if isinstance(to, StoreKey) else None


def _url(to: Destination | None) -> str | None:
    return to.label if to is not None and not isinstance(to, StoreKey) else None
