"""Markers of jobs whose callbacks may be owed or were refused, so that any worker can find them.

callbacks-owed/{user}/{job}.{work}.json    while callbacks of the job are owed; one for each set of items that was sent under the job's id
callbacks-refused/{user}/{job}.{work}.json the same marker while some were refused: for `respray callbacks retry`, not for sweeps
"""

from __future__ import annotations

import json
import re
import time
from hashlib import sha256

from pydantic import Field, ValidationError

from orchestrator.errors import NotFound
from orchestrator.jobs import keys, limits
from orchestrator.jobs.job_types import Job
from orchestrator.records.item_record import ItemRecord, Record, record_key
from orchestrator.storage.threads import AsyncStorage

OWED_PREFIX = "callbacks-owed/"
REFUSED_PREFIX = "callbacks-refused/"
MAX_MARKERS = 10_000
MAX_RECORDS_PER_JOB = 50_000
"""Records of one job that are looked at for a marker that does not name its items."""


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
    items: dict[int, str] = Field(default_factory=dict)
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


class Markers:
    """Leaves, finds and removes markers."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    async def record_keys(self, marker: Marker) -> list[str]:
        """Keys of the item records that a marker speaks of, there or not."""
        if marker.items:
            return [record_key(marker.prefix, idx) for idx in marker.items]
        listed = await self._storage.keys(f"{marker.prefix}manifest/", MAX_RECORDS_PER_JOB)
        return [key for key in listed if re.fullmatch(r"[0-9]+\.json", key.rsplit("/", 1)[-1])]

    async def mark_owed(self, job: Job) -> Marker:
        """Leave a marker before the first callback of a job can be owed."""
        items = {item.idx: item.fingerprint() for item in job.items}
        marker = Marker(user_id=job.user_id, job_id=job.job_id, since=time.time(), items=items)
        await self._write(marker)
        return marker

    async def keep_owed(self, marker: Marker) -> None:
        """See to it that a marker is there for what its run leaves owed."""
        if await self.read(marker.key) is None:
            await self._write(marker)

    async def clear_owed(self, marker: Marker) -> None:
        """Remove the marker: nothing is owed any more. One that another run of the same work has left since then stays."""
        if await self.read(marker.key) == marker:
            await self._storage.delete(marker.key)

    async def keep_refused(self, marker: Marker) -> None:
        """Remember that callbacks of the marker's items were refused, until somebody has mended what they were refused for."""
        await self._storage.write(marker.refused_key, marker.model_dump_json().encode(), "application/json")

    async def clear_refused(self, marker: Marker) -> None:
        """Forget what `keep_refused` remembers."""
        await self._storage.delete(marker.refused_key)

    async def refused(self) -> list[str]:
        """Keys of the markers of jobs whose callbacks were refused, the first `MAX_MARKERS`."""
        return await self._storage.keys(REFUSED_PREFIX, MAX_MARKERS)

    async def owed(self) -> list[str]:
        """Keys of the markers of jobs that may owe callbacks, the first `MAX_MARKERS`."""
        return await self._storage.keys(OWED_PREFIX, MAX_MARKERS)

    async def read(self, key: str) -> Marker | None:
        """Read one marker; None when it has just been removed or cannot be read."""
        try:
            return Marker.model_validate_json((await self._storage.read(key, limits.MAX_RECORD_BYTES))[0])
        except (NotFound, ValidationError):
            return None

    async def _write(self, marker: Marker) -> None:
        await self._storage.write(marker.key, marker.model_dump_json().encode(), "application/json")
