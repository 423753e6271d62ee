"""The way of one item: download, inspect, pipeline, upload, verify, record. Nothing of one item can fail another.

Everything that an item writes is written conditionally on what was there when the job began, so that a late twin of a job cannot
overwrite a newer result.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass, field

from orchestrator.callbacks.client import event_id
from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.errors import AccessDenied, Conflict, InternalError, NotFound, PhotoRefused, ResprayError, Superseded, TooLarge
from orchestrator.jobs import keys, limits
from orchestrator.jobs.job_types import Item, Job
from orchestrator.records.records import CallbackRecord, ItemRecord, Marker, Records, StoredFile, record_key
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import PipelineGate
from respray.contract.errors import ImageError
from respray.contract.photo_file import PhotoInfo, check_sides, inspect
from respray.contract.report import PhotoReport
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)

MOST_LISTED = 50_000
MOST_SHARED = 16
"""Attachments that are kept for several items of a job, the most used ones; others are fetched each time. Bounds a job's memory."""
TWIN_PATIENCE = 15.0
"""Seconds that an item waits for the record of a twin that has stored one of its files."""
STAGES = ("download", "decode", "segment", "matte", "apply", "encode", "preview", "upload", "total")


@dataclass
class JobState:
    """What one run of a job knows: what was stored when it began (None: too much to list), and what its items share.

    `attempt` is the queue's delivery count; on the `final` one, errors that could have been tried again become results.
    `slots` are the job's own places in the pipeline; `marked` writes the marker of owed callbacks.
    `refused`: do nothing more of this job, and say why in the records of what is not done.
    """

    job: Job
    attempt: int
    final: bool
    listed: frozenset[str] | None
    slots: asyncio.Semaphore
    several: frozenset[str] = frozenset()
    marked: asyncio.Task[Marker] | None = None
    refused: ResprayError | None = None
    shared: dict[str, asyncio.Task[tuple[bytes, PhotoInfo]]] = field(default_factory=dict)

    def absent(self, key: str) -> bool:
        """Whether nothing was stored under a key when the job began; False where that is not known."""
        return self.listed is not None and key not in self.listed


@dataclass
class _Run:
    """One item of one run; `before` is its record as it was when the item began."""

    state: JobState
    item: Item
    before: Stat | None
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def record_key(self) -> str:
        return record_key(self.state.job.prefix, self.item.idx)


class ItemFlow:
    """Works on items; one instance per worker."""

    def __init__(
        self, storage: AsyncStorage, records: Records, gate: PipelineGate, *, deliverer: Deliverer, metrics: Metrics, worker: str
    ) -> None:
        self._storage, self._records, self._gate = storage, records, gate
        self._deliverer, self._metrics, self._worker = deliverer, metrics, worker

    async def begin(self, job: Job, attempt: int, final: bool, slots: int, refused: ResprayError | None = None) -> JobState:
        """Look at what is stored of this job already. See JobState for the arguments."""
        prefixes = (job.prefix, keys.previews_prefix(job.user_id, job.job_id), keys.masks_prefix(job.user_id, job.job_id))
        found = await asyncio.gather(*(self._storage.keys(prefix, MOST_LISTED) for prefix in prefixes))
        complete = all(len(part) < MOST_LISTED for part in found)
        uses = Counter(key for item in job.items for key in set(item.attachment_keys))
        several = frozenset(key for key, count in uses.most_common(MOST_SHARED) if count > 1)
        listed = frozenset(key for part in found for key in part) if complete else None
        return JobState(job, attempt, final, listed, asyncio.Semaphore(slots), several, refused=refused)

    async def run(self, state: JobState, item: Item) -> Tracked:
        """Do one item, or find it done, and return its record as stored.

        Raises Superseded, and retryable errors unless this is the final attempt; everything else becomes a failed record.
        """
        began = time.monotonic()
        key = record_key(state.job.prefix, item.idx)
        record, stat = (None, None) if state.absent(key) else await self._records.load(key)
        if record is not None and stat is not None and await self._is_done(record, item):
            return Tracked(record, stat)
        run = _Run(state, item, stat)
        try:
            done = await self._edit(run)
        except _Adopt as twin:
            return twin.tracked
        except Superseded:
            raise
        except Exception as caught:
            error = caught if isinstance(caught, ResprayError) else InternalError(f"an unexpected error in this worker: {caught!r:.300}")
            if error is not caught:
                log.exception("item %d of job %s met an unexpected error", item.idx, state.job.job_id)
            if error.retryable and not state.final:
                raise error from caught
            done = ItemRecord(idx=item.idx, status="failed", fingerprint=item.fingerprint(), error=str(error), error_code=error.code)
        run.timings["total"] = time.monotonic() - began
        for stage in STAGES:
            if stage in run.timings:
                self._metrics.stage_seconds.labels(stage).observe(run.timings[stage])
        return await self._save(run, self._complete(run, done), record)

    async def _edit(self, run: _Run) -> ItemRecord:
        state, item, clock = run.state, run.item, time.monotonic()
        if state.refused is not None:
            raise state.refused
        photo, *attachments = await asyncio.gather(self._photo(item), *(self._attachment(state, key) for key in item.attachment_keys))
        run.timings["download"] = time.monotonic() - clock
        async with state.slots:
            report, files = await self._gate.infer(photo, item.request, attachments)
        del photo, attachments  # a job's memory is what its items in flight hold
        run.timings.update(report.timings)
        clock = time.monotonic()
        uploads, masks = _plan(state.job, item, report, files)
        del files
        stored = await asyncio.gather(*(self._upload(run, *upload) for upload in uploads))
        run.timings["upload"] = time.monotonic() - clock
        return ItemRecord(
            idx=item.idx,
            status="completed",
            fingerprint=item.fingerprint(),
            output_key=item.targets[0].key,
            outputs={t.name: t.key for t in item.targets},
            preview_key=next((key for key, *_ in uploads if key == item.preview_key), None),
            masks=masks,
            files=stored,
            report=report,
        )

    def _complete(self, run: _Run, record: ItemRecord) -> ItemRecord:
        job, callback = run.state.job, None
        if job.callback_url is not None:
            identity = event_id(job.idempotency_prefix, record.idx, record.status, record.fingerprint)
            callback = self._deliverer.leased(
                CallbackRecord(url=job.callback_url, event_id=identity, idempotency_prefix=job.idempotency_prefix)
            )
        return record.model_copy(
            update={
                "attempt": run.state.attempt,
                "worker": self._worker,
                "finished_at": time.time(),
                "outputs_map": job.outputs_map,
                "callback": callback,
                "timings": {stage: round(seconds, 4) for stage, seconds in run.timings.items()},
            }
        )

    async def _photo(self, item: Item) -> bytes:
        """The photo, refused before any work where an output's format cannot hold a picture of its size."""
        data, info = await self._fetch(item.input_key, limits.PHOTO_BYTES, item.request.max_megapixels)
        try:
            for output in item.request.outputs:
                check_sides(output.format, info.width, info.height)
        except ImageError as error:
            raise PhotoRefused(f"{item.input_key}: {error}") from None
        return data

    async def _attachment(self, state: JobState, key: str) -> bytes:
        """A mask or texture. What several items of a job use is fetched once."""
        if key not in state.several:
            return (await self._fetch(key, limits.MASK_BYTES, limits.ATTACHMENT_MEGAPIXELS))[0]
        if key not in state.shared:
            state.shared[key] = asyncio.ensure_future(self._fetch(key, limits.TEXTURE_BYTES, limits.ATTACHMENT_MEGAPIXELS))
        return (await asyncio.shield(state.shared[key]))[0]

    async def _fetch(self, key: str, limit: int, megapixels: float) -> tuple[bytes, PhotoInfo]:
        try:
            data, _ = await self._storage.read(key, limit)
            # In a thread: a file of many small blocks takes its time, and the loop renews the job's lease meanwhile.
            return data, await asyncio.to_thread(inspect, data, megapixels, limit)
        except ImageError as error:
            raise PhotoRefused(f"{key}: {error}") from None
        except (NotFound, TooLarge, AccessDenied) as error:
            raise PhotoRefused(str(error)) from None

    async def _upload(self, run: _Run, key: str, data: bytes, media_type: str) -> StoredFile:
        """Store one file where nothing newer than this run is stored."""
        expect: Expect | Stat = Expect.NOTHING
        if not run.state.absent(key):
            expect = await self._storage.stat(key) or Expect.NOTHING
        for _ in range(3):
            try:
                stat = await self._storage.write(key, data, media_type, expect)
                return StoredFile(key=key, size=stat.size, digest=stat.digest or "")
            except Conflict:
                await self._wait_for_twin(run)
                # The twin died between its upload and its record: what it left is no newer than this run, and is replaced.
                expect = await self._storage.stat(key) or Expect.NOTHING
        raise Superseded(f"{key} keeps being written by other workers")

    async def _wait_for_twin(self, run: _Run) -> None:
        """Somebody wrote one of our files since this run began: wait for their record, and give way to it.

        Raises _Adopt when it is of the same work, Superseded when it is of a newer version of the job; returns when none appears.
        """
        deadline = time.monotonic() + TWIN_PATIENCE
        while time.monotonic() < deadline:
            record, stat = await self._records.load(run.record_key)
            if record is not None and stat is not None and stat != run.before:
                if record.fingerprint != run.item.fingerprint():
                    raise Superseded(_newer(run))
                if record.status == "completed":
                    raise _Adopt(Tracked(record, stat))
                run.before = stat  # it failed where this run succeeds: its record is replaced
                return
            await asyncio.sleep(0.25)

    async def _is_done(self, record: ItemRecord, item: Item) -> bool:
        """Whether a stored record is of exactly this work, completed, and every file of it is still what was stored."""
        if record.status != "completed" or record.fingerprint != item.fingerprint():
            return False
        stats = await asyncio.gather(*(self._storage.stat(file.key) for file in record.files))
        return all(s is not None and s.size == f.size and s.digest == f.digest for s, f in zip(stats, record.files, strict=True))

    async def _save(self, run: _Run, record: ItemRecord, before: ItemRecord | None) -> Tracked:
        same_news = before and before.callback and record.callback and before.callback.event_id == record.callback.event_id
        if before is not None and same_news:
            record = record.model_copy(update={"callback": before.callback})  # what was told before is not told again
        if run.state.marked is not None:
            await asyncio.shield(run.state.marked)
        try:
            saved, stat = await self._records.save(run.record_key, record, run.before)
            return Tracked(saved, stat, ours=not same_news)
        except Conflict:
            stored, found = await self._records.load(run.record_key)
            if stored is not None and found is not None and stored.fingerprint == record.fingerprint:
                return Tracked(stored, found)  # a twin was faster; its record is as good as ours
            raise Superseded(_newer(run)) from None


class _Adopt(Exception):
    """A twin has finished this very item."""

    def __init__(self, tracked: Tracked) -> None:
        super().__init__()
        self.tracked = tracked


def _newer(run: _Run) -> str:
    return f"item {run.item.idx}: a newer version of this job has stored its result, and that one stays"


def _plan(job: Job, item: Item, report: PhotoReport, files: list[bytes]) -> tuple[list[tuple[str, bytes, str]], dict[str, list[str]]]:
    """Which file goes to which key: (key, data, media type) each, and the mask keys by concept."""
    if len(files) != len(report.files):
        raise PhotoRefused(f"the pipeline returned {len(files)} files and describes {len(report.files)}")
    targets = {t.name: t.key for t in item.targets}
    uploads: list[tuple[str, bytes, str]] = []
    masks: dict[str, list[str]] = {}
    for entry, data in zip(report.files, files, strict=True):
        if entry.kind == "output":
            key = targets.pop(entry.name)
        elif entry.kind == "preview":
            if item.preview_key is None or entry.name != item.targets[0].name:
                continue  # one preview per photo: that of the first output
            key = item.preview_key
        else:
            key = job.mask_key(item, entry.name, entry.instance)
            masks.setdefault(entry.name, []).append(key)
        uploads.append((key, data, entry.media_type))
    if targets:
        raise PhotoRefused(f"the pipeline returned no file for {', '.join(targets)}")
    return uploads, masks
