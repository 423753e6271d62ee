"""What one run of a job knows, and what one item of it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from orchestrator.errors import ResprayError
from orchestrator.jobs import keys
from orchestrator.jobs.job_types import Item, Job
from orchestrator.records.records import Marker, record_key
from orchestrator.storage.base import Stat
from orchestrator.storage.threads import AsyncStorage

MAX_LISTED_KEYS = 50_000
"""Keys of one job that are looked up at once when it begins; of a job with more, each key is asked for."""
MAX_SHARED_ATTACHMENTS = 16
"""Attachments that are kept for several items of a job, the most used ones; others are fetched each time. Bounds a job's memory."""


@dataclass
class JobState:
    """One run of a job.

    Attributes:
        job: The job.
        attempt: The queue's count of deliveries, from 1.
        final: No further delivery will come: errors that could have been tried again become results.
        listed: Keys of the job that were stored when the run began; None: too many to list.
        slots: The job's own places in the pipeline.
        several: Attachments that several items use.
        marked: Writes the marker of owed callbacks.
        refused: Do nothing more of this job, and say why in the records of what is not done.
        shared: What of `several` has been downloaded, or is being.
    """

    job: Job
    attempt: int
    final: bool
    listed: frozenset[str] | None
    slots: asyncio.Semaphore
    several: frozenset[str] = frozenset()
    marked: asyncio.Task[Marker] | None = None
    refused: ResprayError | None = None
    shared: dict[str, asyncio.Task[bytes]] = field(default_factory=dict)

    def absent(self, key: str) -> bool:
        """Whether nothing was stored under a key when the job began; False where that is not known."""
        return self.listed is not None and key not in self.listed


@dataclass
class ItemRun:
    """One item of one run.

    Attributes:
        state: The run of its job.
        item: The item.
        before: The item's record as it was stored when the item began; None: there was none.
        timings: Seconds by stage.
    """

    state: JobState
    item: Item
    before: Stat | None
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def record_key(self) -> str:
        """Key of the item's record."""
        return record_key(self.state.job.prefix, self.item.idx)


async def look_at_job(
    storage: AsyncStorage, job: Job, attempt: int, final: bool, slots: int, refused: ResprayError | None = None
) -> JobState:
    """Begin a run: see what is stored of the job already. `slots` photos of it may be in the pipeline; see JobState for the others."""
    prefixes = (job.prefix, keys.previews_prefix(job.user_id, job.job_id), keys.masks_prefix(job.user_id, job.job_id))
    found = await asyncio.gather(*(storage.keys(prefix, MAX_LISTED_KEYS) for prefix in prefixes))
    complete = all(len(part) < MAX_LISTED_KEYS for part in found)
    uses = Counter(key for item in job.items for key in set(item.attachment_keys))
    several = frozenset(key for key, count in uses.most_common(MAX_SHARED_ATTACHMENTS) if count > 1)
    listed = frozenset(key for part in found for key in part) if complete else None
    return JobState(job, attempt, final, listed, asyncio.Semaphore(slots), several, refused=refused)
