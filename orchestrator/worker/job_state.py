"""What one run of a job knows, and what one item of it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.errors import ResprayError
from orchestrator.jobs import keys
from orchestrator.jobs.job_types import Item, Job
from orchestrator.jobs.sources import Source
from orchestrator.records.item_record import record_key
from orchestrator.records.markers import Marker
from orchestrator.storage.base import Stat
from orchestrator.storage.threads import AsyncStorage

MAX_LISTED_KEYS = 50_000
"""Keys of one job that are looked up at once when it begins; of a job with more, each key is asked for."""
MAX_SHARED_ATTACHMENTS = 16
"""Attachments that are kept for several items of a job, the most used ones; others are fetched each time. Bounds a job's memory."""


class Download(NamedTuple):
    """An encoded file, the ETag of what it was read from (of a link or a message's own file its SHA-256), and its SHA-256 in hex."""

    data: bytes
    etag: str
    digest: str


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
        version: The number of the message among those of its job (`records.versions`).
        message: The name of the message.
        look_at_versions: When (monotonic) to ask the store again whether a newer message was accepted.
        is_stopped: Whether somebody has stopped the job: what waits for the pipeline then is not begun.
        refused: Do nothing more of this job, and say why in the records of what is not done.
        shared: What of `several` has been downloaded, or is being.
        kept: Bytes of it that are kept until the job ends.
    """

    job: Job
    attempt: int
    final: bool
    listed: frozenset[str] | None
    slots: asyncio.Semaphore
    several: frozenset[Source] = frozenset()
    marked: asyncio.Task[Marker] | None = None
    version: int = 0
    message: str = ""
    look_at_versions: float = 0.0
    is_stopped: Callable[[], bool] = lambda: False
    refused: ResprayError | None = None
    shared: dict[Source, asyncio.Task[Download]] = field(default_factory=dict)
    kept: int = 0

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
        contents: What was read for it, ETag by key (or label, of what is not in the store).
        timings: Seconds by stage.
    """

    state: JobState
    item: Item
    before: Stat | None
    contents: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def record_key(self) -> str:
        """Key of the item's record."""
        return record_key(self.state.job.prefix, self.item.idx)


async def look_at_job(
    storage: AsyncStorage,
    job: Job,
    attempt: int,
    final: bool,
    slots: int,
    message: str = "",
    version: int = 0,
    refused: ResprayError | None = None,
) -> JobState:
    """Begin a run: see what is stored of the job already.

    Args:
        storage: Where it is stored.
        job: The job.
        attempt: The queue's count of deliveries, from 1.
        final: No further delivery will come.
        slots: Its photos that may be in the pipeline at the same time.
        message: The name of the message.
        version: Its number among the messages of the job.
        refused: Why nothing more is to be done of it; None: it is done.
    """
    prefixes = (job.prefix, keys.previews_prefix(job.user_id, job.job_id), keys.masks_prefix(job.user_id, job.job_id))
    found = await asyncio.gather(*(storage.keys(prefix, MAX_LISTED_KEYS) for prefix in prefixes))
    complete = all(len(part) < MAX_LISTED_KEYS for part in found)
    uses = Counter(source for item in job.items for source in set(item.attachments))
    several = frozenset(source for source, count in uses.most_common(MAX_SHARED_ATTACHMENTS) if count > 1)
    listed = frozenset(key for part in found for key in part) if complete else None
    return JobState(job, attempt, final, listed, asyncio.Semaphore(slots), several, version=version, message=message, refused=refused)
