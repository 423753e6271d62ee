"""What a job leaves behind beside its outputs: one record per item while it runs, and one manifest of all of them at the end.

    outputs/{user}/{job}/manifest/{idx}.json   an item: what is stored, with checksums, and whether its callback is owed
    outputs/{user}/{job}/manifest.json         the whole job, for people and programs
    callbacks-owed/{user}/{job}.json           a marker while callbacks of the job are owed, so that any worker can find them
    failed/{user}/{job}.json                   a job that was given up, with its message and the reason

The item record is the point of truth for "is this done": it is written after the files are stored and verified, and before the
queue is told. It is only ever written conditionally, so of two workers with the same job one wins and the other learns of it.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from editing.request import PhotoReport
from orchestrator import limits
from orchestrator.callbacks import CallbackEvent
from orchestrator.errors import NotFound
from orchestrator.model import Job
from orchestrator.redaction import Redactor
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage

JSON = "application/json"
OWED_PREFIX = "callbacks-owed/"
FAILED_PREFIX = "failed/"
MOST_OWED = 10_000
Status = Literal["completed", "failed"]
CallbackState = Literal["owed", "delivered", "refused", "gone", "expired"]


class Record(BaseModel):
    """Base: unknown fields are ignored, so that a record of a newer version can still be read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredFile(Record):
    """One file that was uploaded and verified."""

    key: str
    size: int
    digest: str


class CallbackRecord(Record):
    """Where an item's callback stands. While `leased_until` (Unix time) lies ahead, `holder` is the one who delivers it."""

    url: str
    event_id: str
    idempotency_prefix: str
    state: CallbackState = "owed"
    attempts: int = 0
    status_code: int | None = None
    error: str | None = None
    holder: str = ""
    leased_until: float = 0.0
    not_before: float = 0.0
    owed_since: float = 0.0


class ItemRecord(Record):
    """What came of one item."""

    idx: int
    status: Status
    fingerprint: str
    output_key: str | None = None
    outputs: dict[str, str] = {}
    preview_key: str | None = None
    masks: dict[str, list[str]] = {}
    files: list[StoredFile] = []
    error: str | None = None
    error_code: str | None = None
    report: PhotoReport | None = None
    timings: dict[str, float] = {}
    attempt: int = 1
    worker: str = ""
    finished_at: float = 0.0
    outputs_map: bool = False
    callback: CallbackRecord | None = None

    def callback_body(self) -> dict[str, Any]:
        """The JSON of this item's callback (contract, section 2)."""
        body = {"idx": self.idx, "status": self.status, "output_key": self.output_key, "preview_key": self.preview_key, "error": self.error}
        return body | ({"outputs": self.outputs} if self.outputs_map else {})

    def event(self) -> CallbackEvent:
        """The callback that tells of this item; only for records that have one."""
        assert self.callback is not None
        return CallbackEvent(
            self.callback.url, self.callback.event_id, self.callback.idempotency_prefix, self.idx, self.callback_body(), self.attempt
        )


class Marker(Record):
    """Says that a job's callbacks may be owed, and how many records it will have in the end."""

    user_id: str
    job_id: str
    expected: int
    since: float


class Records:
    """Reads and writes records. Everything written passes the redactor: error texts come from libraries and from other people's servers."""

    def __init__(self, storage: AsyncStorage, redactor: Redactor) -> None:
        self._storage = storage
        self._redactor = redactor

    async def load(self, key: str) -> tuple[ItemRecord, Stat] | tuple[None, Stat | None]:
        """A record and what it was stored as; an unreadable one counts as not there (and will be replaced)."""
        try:
            data, stat = await self._storage.read(key, limits.MANIFEST_BYTES)
        except NotFound:
            return None, None
        try:
            return ItemRecord.model_validate_json(data), stat
        except ValidationError:
            return None, stat

    def redacted(self, text: str) -> str:
        """A text without secrets, as it may leave the process."""
        return self._redactor.text(text)

    async def save(self, key: str, record: ItemRecord, expect: Stat | None) -> tuple[ItemRecord, Stat]:
        """Write a record where `expect` (None: nothing) is what is stored; what was written, without secrets. Raises Conflict."""
        data = record.model_copy(update={"error": self.redacted(record.error) if record.error else None})
        if data.callback is not None and data.callback.error:
            data = data.model_copy(update={"callback": data.callback.model_copy(update={"error": self.redacted(data.callback.error)})})
        return data, await self._storage.write(key, data.model_dump_json().encode(), JSON, Expect.NOTHING if expect is None else expect)

    async def item_keys(self, prefix: str, most: int) -> list[str]:
        """Keys of a job's item records."""
        return await self._storage.keys(f"{prefix}manifest/", most)

    async def mark_owed(self, job: Job) -> Marker:
        """Leave a marker before the first callback of a job can be owed."""
        marker = Marker(user_id=job.user_id, job_id=job.job_id, expected=len(job.items), since=time.time())
        await self._storage.write(owed_key(job.user_id, job.job_id), marker.model_dump_json().encode(), JSON)
        return marker

    async def clear_owed(self, marker: Marker) -> None:
        """Remove the marker: nothing is owed any more. One that another run of the job has left since then stays: it is that run's."""
        key = owed_key(marker.user_id, marker.job_id)
        if await self.marker(key) == marker:
            await self._storage.delete(key)

    async def markers(self) -> list[str]:
        """Keys of the jobs that may owe callbacks."""
        return await self._storage.keys(OWED_PREFIX, MOST_OWED)

    async def marker(self, key: str) -> Marker | None:
        """Read one marker; None when it has just been removed or cannot be read."""
        try:
            return Marker.model_validate_json((await self._storage.read(key, limits.MANIFEST_BYTES))[0])
        except (NotFound, ValidationError):
            return None

    async def write_manifest(self, prefix: str, manifest: dict[str, Any]) -> str:
        """Write the whole job's manifest and return its key."""
        key = f"{prefix}manifest.json"
        await self._storage.write(key, _json(self._redactor.value(manifest), indent=1), JSON)
        return key

    async def write_failed(self, name: str, message: Any, reason: str, attempts: int) -> str:
        """Record a job that was given up, and return the record's key."""
        key = f"{FAILED_PREFIX}{name}.json"
        content = {"reason": reason, "attempts": attempts, "failed_at": time.time(), "message": message}
        await self._storage.write(key, _json(self._redactor.value(content)), JSON)
        return key


def _json(value: Any, indent: int | None = None) -> bytes:
    """Readable JSON. Half a surrogate pair, which a hostile message may hold, has no UTF-8 but an escape that JSON knows too."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=repr).encode("utf-8", "backslashreplace")


def record_key(prefix: str, idx: int) -> str:
    """Key of an item's record; `prefix` is the job's outputs prefix."""
    return f"{prefix}manifest/{idx}.json"


def owed_key(user_id: str, job_id: str) -> str:
    """Key of a job's marker."""
    return f"{OWED_PREFIX}{user_id}/{job_id}.json"


def manifest_of(user_id: str, job_id: str, records: list[ItemRecord], total: int, seconds: float | None = None) -> dict[str, Any]:
    """The manifest of a job: counts, items without their secrets, and the callbacks that are not delivered."""
    failed = [r for r in records if r.status == "failed"]
    manifest: dict[str, Any] = {
        "job_id": job_id,
        "user_id": user_id,
        "status": "completed" if not failed and len(records) == total else "failed",
        "total": total,
        "completed": len(records) - len(failed),
        "failed": len(failed),
        "callbacks": callback_summary(records),
        "written_at": time.time(),
        "items": [
            r.model_dump(exclude={"callback": {"url", "holder", "leased_until"}}, exclude_none=False)
            for r in sorted(records, key=lambda r: r.idx)
        ],
    }
    return manifest | ({"seconds": round(seconds, 3)} if seconds is not None else {})


def callback_summary(records: list[ItemRecord]) -> dict[str, Any]:
    """How many callbacks were delivered, and which were not and why."""
    with_callback = [r for r in records if r.callback is not None]
    undelivered = [
        {"idx": r.idx, "state": r.callback.state, "error": r.callback.error}
        for r in sorted(with_callback, key=lambda r: r.idx)
        if r.callback is not None and r.callback.state != "delivered"
    ]
    return {"delivered": len(with_callback) - len(undelivered), "undelivered": undelivered}
