"""The last stage of an item: each file under its key, written only where nothing newer than this run is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.callbacks.deliverer import Tracked
from orchestrator.errors import AddressRefused, Conflict, LinkRefused, PipelineFailed, Superseded
from orchestrator.jobs.job_types import Item, Job
from orchestrator.jobs.sources import Destination, StoreKey, WebLink
from orchestrator.net.links import LinkClient
from orchestrator.records.item_record import StoredFile
from orchestrator.records.records import Records
from orchestrator.storage.base import Expect, Stat, digest_of
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.job_state import ItemRun
from respray.contract.report import PhotoReport
from respray.observe.tracing import span

TWIN_PATIENCE_SECONDS = 15.0
"""How long an item waits for the record of a twin that has stored one of its files."""
OLDER_PATIENCE_SECONDS = 2.0
"""The same where an older message of the job may be at work still."""
LOOK_AT_VERSIONS_SECONDS = 1.0
"""How often a run asks whether a newer message was accepted."""
_MAX_CONFLICTS = 5


@dataclass(frozen=True)
class PlannedFile:
    """One file that is to be stored."""

    to: Destination
    data: bytes
    media_type: str


@dataclass(frozen=True)
class UploadPlan:
    """What is stored of one item.

    Attributes:
        files: Each file with its key or link.
        masks: Keys of instance masks by concept, instances in order.
    """

    files: list[PlannedFile]
    masks: dict[str, list[str]]

    def has(self, to: Destination | None) -> bool:
        """Whether something is stored there."""
        return any(file.to == to for file in self.files)


class TwinFinished(Exception):
    """A twin of this worker has finished this very item."""

    def __init__(self, tracked: Tracked) -> None:
        super().__init__()
        self.tracked = tracked


def plan_uploads(job: Job, item: Item, report: PhotoReport, files: list[bytes]) -> UploadPlan:
    """Which file of the pipeline goes where. Raises PipelineFailed where it did not return what the item asked for."""
    if len(files) != len(report.files):
        raise PipelineFailed(f"the pipeline returned {len(files)} files and describes {len(report.files)}")
    targets = {t.name: t.to for t in item.targets}
    previews = {t.name: t.preview for t in item.targets}
    plan, asked = UploadPlan([], {}), {"output": set(targets), "preview": set(previews), "mask": set(item.mask_names)}
    for entry, data in zip(report.files, files, strict=True):
        if entry.name not in asked.get(entry.kind, ()):
            raise PipelineFailed(f"the pipeline returned a file ({entry.kind} {entry.name[:80]!r}) that was not asked for")
        if entry.kind == "output":
            asked["output"].discard(entry.name)
            to = targets.pop(entry.name)
        elif entry.kind == "preview":
            wanted = previews[entry.name]
            if wanted is None:
                continue
            to = wanted
        else:
            key = job.mask_key(item, entry.name, entry.instance)
            to = StoreKey(key)
            plan.masks.setdefault(entry.name, []).append(key)
        plan.files.append(PlannedFile(to, data, entry.media_type))
    if targets:
        raise PipelineFailed(f"the pipeline returned no file for {', '.join(targets)}")
    return plan


def superseded(item: Item) -> Superseded:
    """The error of an item whose job was sent again with other work."""
    return Superseded(f"item {item.idx}: a newer version of this job has stored its result, and that one stays")


class Uploads:
    """Stores the files of items."""

    def __init__(self, storage: AsyncStorage, records: Records, links: LinkClient) -> None:
        self._storage, self._records, self._links = storage, records, links

    async def store_all(self, run: ItemRun, files: Sequence[PlannedFile]) -> list[StoredFile]:
        """Store an item's files, side by side. One that cannot be stored stops the others.

        Raises:
            TwinFinished: A twin has finished this very item meanwhile.
            Superseded: A newer message of the job was accepted meanwhile.
            StorageError: The store could not take one.
            LinkUnavailable: The server behind a link could not take one now.
            LinkRefused: It never will.
        """
        await self.refuse_if_superseded(run)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._store(run, file)) for file in files]
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def refuse_if_superseded(self, run: ItemRun) -> None:
        """Raise Superseded where a newer message of the job was accepted. Asks the store once in a while only: writes ask again."""
        state, now = run.state, time.monotonic()
        if now >= state.look_at_versions:
            state.look_at_versions = now + LOOK_AT_VERSIONS_SECONDS
            await self._refuse_if_superseded(run)

    async def _refuse_if_superseded(self, run: ItemRun) -> None:
        if await self._records.versions.latest(run.state.job.prefix) > run.state.version:
            raise superseded(run.item)

    async def _store(self, run: ItemRun, file: PlannedFile) -> StoredFile:
        with span("upload", {"respray.key": file.to.label}):
            if isinstance(file.to, WebLink):
                return await self._send(run, file.to, file)
            key = file.to.key
            expect = Expect.NOTHING if run.state.absent(key) else await self._replaceable(run, key)
            for _ in range(_MAX_CONFLICTS):
                try:
                    stat = await self._storage.write(key, file.data, file.media_type, expect)
                    return StoredFile(key=key, size=stat.size, digest=stat.digest or "")
                except Conflict:
                    await self._wait_for_twin(run)
                    # Its writer died between its upload and its record, or gives way to this run: what it left is replaced.
                    expect = await self._replaceable(run, key)
            raise Superseded(f"{key} keeps being written by other workers")

    async def _send(self, run: ItemRun, to: WebLink, file: PlannedFile) -> StoredFile:
        """PUT a file to a link. What is stored there cannot be looked at: nobody else is known to write it, and the last one stays."""
        await self._refuse_if_superseded(run)
        try:
            await self._links.put(to.url, file.data, file.media_type)
        except AddressRefused as error:
            raise LinkRefused(str(error)) from None
        return StoredFile(key=to.label, size=len(file.data), digest=await asyncio.to_thread(digest_of, file.data), sent=True)

    async def _replaceable(self, run: ItemRun, key: str) -> Expect | Stat:
        """What is stored under a key now, which is no newer than this run. Raises Superseded.

        In this order: whoever writes a newer file has taken its number before, so a file that was seen here before the look at the numbers
        is an older one or is not there any more when this run writes.
        """
        stored = await self._storage.stat(key)
        await self._refuse_if_superseded(run)
        return stored or Expect.NOTHING

    async def _wait_for_twin(self, run: ItemRun) -> None:
        """Somebody wrote one of our files since this run began: wait for their record, and give way to it.

        Raises TwinFinished when it is of the same message, Superseded when it is of a newer one; returns when none appears. Where older
        messages came before this one, one of their runs may have written, which leaves no record: then the wait is short.
        """
        await self._refuse_if_superseded(run)
        deadline = time.monotonic() + (TWIN_PATIENCE_SECONDS if run.state.version <= 1 else OLDER_PATIENCE_SECONDS)
        while time.monotonic() < deadline:
            record, stat = await self._records.load(run.record_key)
            if record is not None and stat is not None and stat != run.before and record.version >= run.state.version:
                if record.version > run.state.version:
                    raise superseded(run.item)
                if record.status == "completed":
                    raise TwinFinished(Tracked(record, stat))
                run.before = stat  # it failed where this run succeeds: its record is replaced
                return
            await asyncio.sleep(0.25)
