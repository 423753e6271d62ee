"""The last stage of an item: each file under its key, written only where nothing newer than this run is stored."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from orchestrator.callbacks.deliverer import Tracked
from orchestrator.errors import Conflict, PhotoRefused, Superseded
from orchestrator.jobs.job_types import Item, Job
from orchestrator.records.records import Records, StoredFile
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.job_state import ItemRun
from respray.contract.report import PhotoReport
from respray.observe.tracing import span

TWIN_PATIENCE_SECONDS = 15.0
"""How long an item waits for the record of a twin that has stored one of its files."""
_MAX_CONFLICTS = 3


@dataclass(frozen=True)
class PlannedFile:
    """One file that is to be stored."""

    key: str
    data: bytes
    media_type: str


@dataclass(frozen=True)
class UploadPlan:
    """What is stored of one item; `masks` are the keys of instance masks by concept."""

    files: list[PlannedFile]
    masks: dict[str, list[str]]

    def has(self, key: str | None) -> bool:
        """Whether something is stored under a key."""
        return any(file.key == key for file in self.files)


class TwinFinished(Exception):
    """A twin of this worker has finished this very item."""

    def __init__(self, tracked: Tracked) -> None:
        super().__init__()
        self.tracked = tracked


def plan_uploads(job: Job, item: Item, report: PhotoReport, files: list[bytes]) -> UploadPlan:
    """Which file of the pipeline goes to which key. Raises PhotoRefused where it did not return what the item asked for."""
    if len(files) != len(report.files):
        raise PhotoRefused(f"the pipeline returned {len(files)} files and describes {len(report.files)}")
    targets = {t.name: t.key for t in item.targets}
    plan = UploadPlan([], {})
    for entry, data in zip(report.files, files, strict=True):
        if entry.kind == "output":
            key = targets.pop(entry.name)
        elif entry.kind == "preview":
            if item.preview_key is None or entry.name != item.targets[0].name:
                continue  # one preview per photo: that of the first output
            key = item.preview_key
        else:
            key = job.mask_key(item, entry.name, entry.instance)
            plan.masks.setdefault(entry.name, []).append(key)
        plan.files.append(PlannedFile(key, data, entry.media_type))
    if targets:
        raise PhotoRefused(f"the pipeline returned no file for {', '.join(targets)}")
    return plan


def superseded(item: Item) -> Superseded:
    """The error of an item whose job was sent again with other work."""
    return Superseded(f"item {item.idx}: a newer version of this job has stored its result, and that one stays")


class Uploads:
    """Stores the files of items."""

    def __init__(self, storage: AsyncStorage, records: Records) -> None:
        self._storage, self._records = storage, records

    async def store(self, run: ItemRun, file: PlannedFile) -> StoredFile:
        """Store one file.

        Raises:
            TwinFinished: A twin has finished this very item meanwhile.
            Superseded: A newer version of the job has.
            StorageError: The store could not take it.
        """
        with span("upload", {"respray.key": file.key}):
            return await self._store(run, file)

    async def _store(self, run: ItemRun, file: PlannedFile) -> StoredFile:
        expect: Expect | Stat = Expect.NOTHING
        if not run.state.absent(file.key):
            expect = await self._storage.stat(file.key) or Expect.NOTHING
        for _ in range(_MAX_CONFLICTS):
            try:
                stat = await self._storage.write(file.key, file.data, file.media_type, expect)
                return StoredFile(key=file.key, size=stat.size, digest=stat.digest or "")
            except Conflict:
                await self._wait_for_twin(run)
                # The twin died between its upload and its record: what it left is no newer than this run, and is replaced.
                expect = await self._storage.stat(file.key) or Expect.NOTHING
        raise Superseded(f"{file.key} keeps being written by other workers")

    async def _wait_for_twin(self, run: ItemRun) -> None:
        """Somebody wrote one of our files since this run began: wait for their record, and give way to it.

        Raises TwinFinished when it is of the same work, Superseded when it is of a newer version of the job; returns when none appears.
        """
        deadline = time.monotonic() + TWIN_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            record, stat = await self._records.load(run.record_key)
            if record is not None and stat is not None and stat != run.before:
                if record.fingerprint != run.item.fingerprint():
                    raise superseded(run.item)
                if record.status == "completed":
                    raise TwinFinished(Tracked(record, stat))
                run.before = stat  # it failed where this run succeeds: its record is replaced
                return
            await asyncio.sleep(0.25)
