"""What is known of a job, from the store alone: any process can tell, also after a restart."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from orchestrator.api.queue import JobQueue, QueueEntry
from orchestrator.errors import NotFound
from orchestrator.jobs import keys as job_keys
from orchestrator.jobs import limits
from orchestrator.records.item_record import ItemRecord, record_key
from orchestrator.records.records import FAILED_PREFIX, Records
from orchestrator.storage.threads import AsyncStorage
from respray.contract.report import PhotoReport

JobPhase = Literal["queued", "running", "stopping", "completed", "failed", "stopped"]
OVER: frozenset[JobPhase] = frozenset({"completed", "failed", "stopped"})
FRESH_SECONDS = 1.0
"""How long the records of a job under way are not read again."""
MAX_REMEMBERED = 200


class ItemView(BaseModel):
    """One photo of a job that is done with: `files` has an address for each key, `links` what the option `links` asks for."""

    idx: int
    status: Literal["completed", "failed"]
    output_key: str | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    preview_key: str | None = None
    masks: dict[str, list[str]] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    error: str | None = None
    error_code: str | None = None
    report: PhotoReport | None = None
    timings: dict[str, float] = Field(default_factory=dict)


class JobView(BaseModel):
    """A job: `queued`, `running`, `stopping`, or over as `completed`, `failed` or `stopped`; `items` are those that are done with."""

    job_id: str
    user_id: str
    state: JobPhase
    total: int
    completed: int
    failed: int
    error: str | None = None
    items: list[ItemView] = Field(default_factory=list)
    callbacks: dict[str, Any] | None = None
    manifest: str | None = None
    status_url: str
    events_url: str

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in OVER


@dataclass
class _Known:
    records: dict[int, ItemRecord] = field(default_factory=dict)
    read_at: float = -FRESH_SECONDS
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def status_url(job_id: str) -> str:
    """Where a job's state is."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


def file_url(key: str) -> str:
    """Where a file is."""
    return f"/v1/files/{quote(key)}"


class JobViews:
    """Looks jobs up."""

    def __init__(self, storage: AsyncStorage, records: Records, queue: JobQueue) -> None:
        self._storage, self._records, self._queue = storage, records, queue
        self._known: dict[tuple[str, str], _Known] = {}

    async def find(self, user_id: str, job_id: str) -> JobView | None:
        """The newest message of a job, as far as it has come; None where there is no such job."""
        if job_keys.id_problem(job_id):
            return None
        prefix = job_keys.outputs_prefix(user_id, job_id)
        waiting = await self._queue.entries(user_id, job_id)
        latest = await self._records.versions.latest(prefix)
        if waiting:
            return await self._under_way(user_id, job_id, waiting[-1].entry, latest)
        manifest, dead = await asyncio.gather(
            self._read_json(f"{prefix}manifest.json"), self._read_json(f"{FAILED_PREFIX}{user_id}/{job_id}.json")
        )
        self._known.pop((user_id, job_id), None)
        if dead is not None and (manifest is None or float(dead.get("failed_at", 0.0)) > float(manifest.get("written_at", 0.0))):
            items = _items(manifest)
            return await self._view(user_id, job_id, "failed", len(items), items, error=str(dead.get("reason", "")))
        if manifest is not None:
            return await self._finished(user_id, job_id, manifest)
        # Known and neither waiting nor over: another intake has it.
        return await self._under_way(user_id, job_id, None, latest) if latest else None

    async def _under_way(self, user_id: str, job_id: str, entry: QueueEntry | None, latest: int) -> JobView:
        records = await self._records_of(user_id, job_id, entry.total if entry else None, latest)
        state: JobPhase = "running" if entry is None or entry.holder else "queued"
        if entry is not None and entry.cancelled:
            state = "stopping"
        return await self._view(user_id, job_id, state, entry.total if entry else len(records), records)

    async def _records_of(self, user_id: str, job_id: str, total: int | None, latest: int) -> list[ItemRecord]:
        """Records of the newest message, read again only where they may have changed."""
        if len(self._known) > MAX_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        known = self._known.setdefault((user_id, job_id), _Known())
        prefix = job_keys.outputs_prefix(user_id, job_id)
        async with known.lock:
            if time.monotonic() - known.read_at >= FRESH_SECONDS:
                listed = await self._storage.keys(f"{prefix}manifest/", limits.MAX_ITEMS * 2)
                indices = [int(name) for key in listed if (name := key.rsplit("/", 1)[-1].removesuffix(".json")).isdigit()]
                # A completed one of this message stays; what failed, or is an older message's, may be replaced.
                wanted = [i for i in indices if (old := known.records.get(i)) is None or old.version < latest or old.status == "failed"]
                for found, _ in await asyncio.gather(*(self._records.load(record_key(prefix, index)) for index in wanted)):
                    if found is not None:
                        known.records[found.idx] = found
                known.read_at = time.monotonic()
        return sorted((record for record in known.records.values() if record.version >= latest), key=lambda record: record.idx)

    async def _finished(self, user_id: str, job_id: str, manifest: dict[str, Any]) -> JobView:
        items = _items(manifest)
        state: JobPhase = "completed" if manifest.get("status") == "completed" else "failed"
        error = next((f"item {item.idx}: {item.error}" for item in items if item.error), None)
        if manifest.get("stopped"):
            state, error = "stopped", f"the job was stopped; {len(items)} of {manifest.get('total')} items were done by then"
        key = f"{job_keys.outputs_prefix(user_id, job_id)}manifest.json"
        return await self._view(
            user_id,
            job_id,
            state,
            int(manifest.get("total", len(items))),
            items,
            error=error,
            callbacks=manifest.get("callbacks"),
            manifest=key,
        )

    async def _view(
        self,
        user_id: str,
        job_id: str,
        state: JobPhase,
        total: int,
        records: list[ItemRecord],
        error: str | None = None,
        callbacks: dict[str, Any] | None = None,
        manifest: str | None = None,
    ) -> JobView:
        completed = sum(record.status == "completed" for record in records)
        return JobView(
            job_id=job_id,
            user_id=user_id,
            state=state,
            total=total,
            completed=completed,
            failed=len(records) - completed,
            error=error,
            items=[item_view(record, await self._records.links_to(record.model_dump())) for record in records],
            callbacks=callbacks,
            manifest=manifest,
            status_url=status_url(job_id),
            events_url=f"{status_url(job_id)}/events",
        )

    async def _read_json(self, key: str) -> dict[str, Any] | None:
        try:
            value = json.loads((await self._storage.read(key, limits.MAX_RECORD_BYTES))[0])
        except (NotFound, ValueError):
            return None
        return value if isinstance(value, dict) else None


def _items(manifest: dict[str, Any] | None) -> list[ItemRecord]:
    found = []
    for item in (manifest or {}).get("items", []):
        try:
            # The callback's secrets are not in a manifest, and are not asked for here.
            found.append(ItemRecord.model_validate({**item, "callback": None}))
        except (ValidationError, TypeError):
            continue
    return found


def item_view(record: ItemRecord, links: dict[str, Any]) -> ItemView:
    """What is told of an item over HTTP."""
    keys = [file.key for file in record.files if "://" not in file.key]
    shared = record.model_dump(include=set(ItemView.model_fields) - {"files", "report", "links"})
    return ItemView(**shared, report=record.report, links=links, files={key: file_url(key) for key in keys})
