"""What a job leaves behind beside its outputs: one record per item while it runs, and one manifest of all of them at the end.

    outputs/{user}/{job}/manifest/{idx}.json   an item: what is stored, with checksums, and whether its callback is owed
    outputs/{user}/{job}/manifest.json         the whole job, for people and programs
    outputs/{user}/{job}/manifest/versions.json the order of the messages that were sent under the job's id (`versions.py`)
    callbacks-owed/{user}/{job}.{work}.json    a marker while callbacks of the job are owed, so that any worker can find them;
                                               one for each set of items that was sent under the job's id
    callbacks-refused/{user}/{job}.{work}.json the same marker while some were refused: for `respray callbacks retry`, not for sweeps
    failed/{user}/{job}.json                   a job that was given up, with its message and the reason

The item record is the point of truth for "is this done": it is written after the files are stored and verified, and before the
queue is told. It is only ever written conditionally, so of two workers with the same job one wins and the other learns of it.
"""

from __future__ import annotations

import json
import re
import time
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Conflict, NotFound
from orchestrator.jobs import keys, limits
from orchestrator.jobs.job_types import Job
from orchestrator.records.versions import Versions
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage
from respray.contract.report import PhotoReport
from respray.observe.redaction import Redactor

JSON = "application/json"
OWED_PREFIX = "callbacks-owed/"
REFUSED_PREFIX = "callbacks-refused/"
FAILED_PREFIX = "failed/"
MAX_MARKERS = 10_000
MAX_RECORDS_PER_JOB = 50_000
"""Records of one job that are looked at for a marker that does not name its items."""
Status = Literal["completed", "failed"]
CallbackState = Literal["owed", "delivered", "refused", "gone", "expired"]


class Record(BaseModel):
    """Base: unknown fields are ignored, so that a record of a newer version can still be read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredFile(Record):
    """One file that was uploaded and verified; `sent`: to a link of the sender's, of which `key` is all but the query."""

    key: str
    size: int
    digest: str
    sent: bool = False


class CallbackRecord(Record):
    """Where an item's callback stands. `attempt` is what its X-Idempotency-Key counts,
    `message` the name of the message that wanted it told. Times are Unix times in seconds.

    Attributes:
        url: Whom to tell.
        event_id: The webhook-id of every attempt.
        idempotency_prefix: The first part of X-Idempotency-Key.
        state: What came of it so far.
        attempts: Requests that were made.
        status_code: The receiver's last HTTP status.
        error: Why it is not delivered.
        holder: The worker that delivers it while the lease lasts.
        leased_until: The end of the lease.
        not_before: When the receiver wants to be asked again.
        owed_since: When it was first owed.
    """

    url: str
    event_id: str
    idempotency_prefix: str
    attempt: int = 0
    message: str = ""
    state: CallbackState = "owed"
    attempts: int = 0
    status_code: int | None = None
    error: str | None = None
    holder: str = ""
    leased_until: float = 0.0
    not_before: float = 0.0
    owed_since: float = 0.0


class ItemRecord(Record):
    """What came of one item.

    Attributes:
        output_key: Where the first output is stored; None where it was sent to a link.
        output_url: That link without its query.
        outputs: Key or link of every output, by its name.
        links: For how many seconds links to the results are to work, where the job wants some. They are made when they are handed out and
            stand in no record.
        version: The number of its message (`versions.py`).
        contents: What was read: ETag by key, SHA-256 by the label of what is not in the store.
    """

    idx: int
    status: Status
    fingerprint: str
    output_key: str | None = None
    outputs: dict[str, str] = {}
    preview_key: str | None = None
    previews: dict[str, str] = {}
    output_url: str | None = None
    preview_url: str | None = None
    links: int | None = None
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
    version: int = 0
    contents: dict[str, str] = {}
    callback: CallbackRecord | None = None

    def callback_body(self) -> dict[str, Any]:
        """The JSON of this item's callback (docs/reference/contract.md, "Callbacks")."""
        body = {"idx": self.idx, "status": self.status, "output_key": self.output_key, "preview_key": self.preview_key, "error": self.error}
        sent = {"output_url": self.output_url, "preview_url": self.preview_url}
        body |= {name: url for name, url in sent.items() if url is not None}
        return body | ({"outputs": self.outputs} if self.outputs_map else {})


class Marker(Record):
    """Says that callbacks of these items of a job may be owed.

    A job that is sent again with other items or rules has a marker of its own, so that neither run can take the other's away.

    Attributes:
        user_id: The job's user.
        job_id: The job.
        since: Unix time when the run that left it began.
        items: The fingerprint of each item by idx.
        expected: Of the version before, whose markers (`callbacks-owed/{user}/{job}.json`) had a count in place of the items.
    """

    user_id: str
    job_id: str
    since: float
    items: dict[int, str] = {}
    expected: int = 0

    @property
    def key(self) -> str:
        """Where the marker lies: the same for every run of the same work."""
        return OWED_PREFIX + self.name

    @property
    def refused_key(self) -> str:
        """Where it lies while receivers have refused callbacks of it."""
        return REFUSED_PREFIX + self.name

    @property
    def name(self) -> str:
        """What its keys end in."""
        work = "." + sha256(json.dumps(sorted(self.items.items())).encode()).hexdigest()[:16] if self.items else ""
        return f"{self.user_id}/{self.job_id}{work}.json"

    @property
    def prefix(self) -> str:
        """Where the job's records lie."""
        return keys.outputs_prefix(self.user_id, self.job_id)

    def is_over(self, records: list[ItemRecord]) -> bool:
        """Whether the run that left this marker has nothing more to record, by the records that there are now of its items."""
        if not self.items:
            return len(records) >= self.expected
        return len(records) >= len(self.items) and all(
            # Records of earlier runs do not count, but for what this run finds done and leaves as it is.
            r.finished_at >= self.since or (r.status == "completed" and r.fingerprint == self.items.get(r.idx))
            for r in records
        )


class Records:
    """Reads and writes records. Everything written passes the redactor: error texts come from libraries and from other people's servers."""

    def __init__(self, storage: AsyncStorage, redactor: Redactor) -> None:
        self._storage = storage
        self._redactor = redactor
        self.versions = Versions(storage)

    async def load(self, key: str) -> tuple[ItemRecord, Stat] | tuple[None, Stat | None]:
        """A record and what it was stored as; an unreadable one counts as not there (and will be replaced)."""
        try:
            data, stat = await self._storage.read(key, limits.MAX_RECORD_BYTES)
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
        """Write a record, if nobody else has.

        Args:
            key: The record's key.
            record: What is to be written.
            expect: What is stored there now; None: nothing.

        Returns:
            What was written, without secrets, and what it is stored as.

        Raises:
            Conflict: Something else is stored there.
        """
        data = record.model_copy(update={"error": self.redacted(record.error) if record.error else None})
        if data.callback is not None and data.callback.error:
            data = data.model_copy(update={"callback": data.callback.model_copy(update={"error": self.redacted(data.callback.error)})})
        return data, await self._storage.write(key, data.model_dump_json().encode(), JSON, Expect.NOTHING if expect is None else expect)

    async def links_to(self, record: dict[str, Any]) -> dict[str, Any]:
        """Links to an item's results, as `output_url`, `preview_url` and, of several outputs, `output_urls`; empty without `links`.

        Args:
            record: An item's record as JSON has it.
        """
        seconds, outputs = record.get("links"), record.get("outputs") or {}
        if not seconds:
            return {}
        named = {"output_url": record.get("output_key"), "preview_url": record.get("preview_key")}
        links: dict[str, Any] = {name: await self._storage.link(key, seconds) for name, key in named.items() if key}
        if len(outputs) > 1:
            links["output_urls"] = {name: await self._storage.link(key, seconds) for name, key in outputs.items() if "://" not in key}
        return {name: link for name, link in links.items() if link}

    async def marked_keys(self, marker: Marker) -> list[str]:
        """Keys of the item records that a marker speaks of, there or not."""
        if marker.items:
            return [record_key(marker.prefix, idx) for idx in marker.items]
        listed = await self._storage.keys(f"{marker.prefix}manifest/", MAX_RECORDS_PER_JOB)
        return [key for key in listed if re.fullmatch(r"[0-9]+\.json", key.rsplit("/", 1)[-1])]

    async def mark_owed(self, job: Job) -> Marker:
        """Leave a marker before the first callback of a job can be owed."""
        items = {item.idx: item.fingerprint() for item in job.items}
        marker = Marker(user_id=job.user_id, job_id=job.job_id, since=time.time(), items=items)
        await self._write_marker(marker)
        return marker

    async def keep_owed(self, marker: Marker) -> None:
        """See to it that a marker is there for what its run leaves owed."""
        if await self.marker(marker.key) is None:
            await self._write_marker(marker)

    async def clear_owed(self, marker: Marker) -> None:
        """Remove the marker: nothing is owed any more. One that another run of the same work has left since then stays."""
        if await self.marker(marker.key) == marker:
            await self._storage.delete(marker.key)

    async def keep_refused(self, marker: Marker) -> None:
        """Remember that callbacks of the marker's items were refused, until somebody has mended what they were refused for."""
        await self._storage.write(marker.refused_key, marker.model_dump_json().encode(), JSON)

    async def clear_refused(self, marker: Marker) -> None:
        """Forget what `keep_refused` remembers."""
        await self._storage.delete(marker.refused_key)

    async def refused_markers(self) -> list[str]:
        """Keys of the markers of jobs whose callbacks were refused, the first `MAX_MARKERS`."""
        return await self._storage.keys(REFUSED_PREFIX, MAX_MARKERS)

    async def markers(self) -> list[str]:
        """Keys of the markers of jobs that may owe callbacks."""
        return await self._storage.keys(OWED_PREFIX, MAX_MARKERS)

    async def marker(self, key: str) -> Marker | None:
        """Read one marker; None when it has just been removed or cannot be read."""
        try:
            return Marker.model_validate_json((await self._storage.read(key, limits.MAX_RECORD_BYTES))[0])
        except (NotFound, ValidationError):
            return None

    async def _write_marker(self, marker: Marker) -> None:
        await self._storage.write(marker.key, marker.model_dump_json().encode(), JSON)

    async def write_manifest(self, prefix: str, manifest: dict[str, Any], version: int) -> str:
        """Write the whole job's manifest and return its key.

        Args:
            prefix: The job's outputs prefix.
            manifest: What `manifest_of` made.
            version: The number of the message that it is about: a newer message's manifest is left alone.
        """
        redacted = self._redactor.value(manifest)
        # Behind the redactor, which would blank them: who may read the bucket may read what they lead to.
        redacted["items"] = [entry | await self.links_to(entry) for entry in redacted["items"]]
        key, data = f"{prefix}manifest.json", _json(redacted, indent=1)
        while True:
            stored = await self._storage.stat(key)
            if await self.versions.latest(prefix) > version:
                return key
            try:
                await self._storage.write(key, data, JSON, stored or Expect.NOTHING)
                return key
            except Conflict:
                continue

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
    """Key of an item's record.

    Args:
        prefix: The job's outputs prefix.
        idx: The photo's index in its job.
    """
    return f"{prefix}manifest/{idx}.json"


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
