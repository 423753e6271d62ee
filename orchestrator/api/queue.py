"""Accepted jobs on the store, until they are done: what was answered with 202 is here before the answer leaves.

    queue/http/{user}/{job}/{message}.json    one accepted message, and who works on it

Which message of a job counts is said by the job's version log (`records.versions`), which is written conditionally: of two messages that
arrive together one is first and the other learns of it. Every message has a file of its own, so that removing a finished one can never
take a newer one with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Conflict, NotFound, ResprayError
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.raw_message import RawMessage
from orchestrator.records.versions import Versions
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage

PREFIX = "queue/http/"
MAX_LISTED = 10_000
"""Waiting jobs that are looked at in one go."""
MAX_WAITING = 1000
"""Jobs of one user that may wait or be under way."""
_MAX_CONFLICTS = 50


class OtherContent(ResprayError):
    """A job of this id with other content was accepted before."""

    code = "other_content"


class QueueFull(ResprayError):
    """The user has as many jobs waiting as are allowed."""

    code = "queue_full"


class QueueEntry(BaseModel):
    """One accepted message.

    Attributes:
        message: The message as JSON text.
        message_id: Its name in the version log.
        content: The digest of the message.
        total: Its photos.
        accepted_at: Unix time.
        urgent: Somebody waits for it.
        attempts: How often work on it was begun.
        not_before: Unix time of the next attempt.
        holder: The worker that works on it; empty: nobody.
        beat: Counts what its holder has written: one that does not change belongs to a dead holder.
        cancelled: It is to be stopped.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    user_id: str
    job_id: str
    message: str
    message_id: str
    content: str
    total: int
    accepted_at: float
    urgent: bool = False
    attempts: int = 0
    not_before: float = 0.0
    holder: str = ""
    beat: int = 0
    cancelled: bool = False

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{job_prefix(self.user_id, self.job_id)}{self.message_id}.json"


def job_prefix(user_id: str, job_id: str) -> str:
    """Where the messages of one job lie."""
    return f"{PREFIX}{user_id}/{job_id}/"


@dataclass(frozen=True)
class Stored:
    """An entry, and what it is stored as."""

    entry: QueueEntry
    stat: Stat


class JobQueue:
    """Reads and writes entries."""

    def __init__(self, storage: AsyncStorage, versions: Versions) -> None:
        self._storage, self._versions = storage, versions

    async def accept(self, job: Job, raw: RawMessage, *, replace: bool, urgent: bool = False) -> Stored | None:
        """Take a message in.

        Args:
            job: What it says.
            raw: The message itself, as text.
            replace: Take it also where a job of its id was accepted before.
            urgent: Somebody waits for it.

        Returns:
            The entry; None where the same job was accepted before.

        Raises:
            OtherContent: A job of this id with other content was accepted before.
            QueueFull: The user has too many jobs waiting.
            StorageError: The store does not answer.
        """
        entry = QueueEntry(
            user_id=job.user_id,
            job_id=job.job_id,
            message=str(raw.received),
            message_id=f"http:{uuid4()}",
            content=raw.fingerprint,
            total=len(job.items),
            accepted_at=time.time(),
            urgent=urgent,
        )
        for _ in range(_MAX_CONFLICTS):
            known = await self._versions.content(job.prefix)
            if known == entry.content and (not replace or await self.waits(job.user_id, job.job_id, known)):
                return None
            if known and known != entry.content and not replace:
                raise OtherContent(
                    f"job {job.job_id!r} was accepted before with other content; give the new one another id, or send it with ?replace=true"
                )
            if len(await self._storage.keys(f"{PREFIX}{job.user_id}/", MAX_WAITING)) >= MAX_WAITING:
                raise QueueFull(f"{MAX_WAITING} jobs of {job.user_id!r} wait or are under way; more are accepted when some are done")
            stat = await self._storage.write(entry.key, _encode(entry), "application/json", Expect.NOTHING)
            if await self._versions.accept(job.prefix, entry.message_id, entry.content, known):
                return Stored(entry, stat)
            await self._storage.delete(entry.key)  # another message of this job was faster
        raise OtherContent(f"job {job.job_id!r} keeps being sent by others at the same time")

    async def waits(self, user_id: str, job_id: str, content: str) -> bool:
        """Whether a message of this content waits or is under way."""
        return any(stored.entry.content == content for stored in await self.entries(user_id, job_id))

    async def entries(self, user_id: str, job_id: str) -> list[Stored]:
        """The messages of one job that are not done, oldest first."""
        keys = await self._storage.keys(job_prefix(user_id, job_id), MAX_WAITING)
        found = [await self.load(key) for key in keys]
        return sorted((stored for stored in found if stored is not None), key=lambda stored: stored.entry.accepted_at)

    async def keys(self) -> list[str]:
        """Keys of everything that waits or is under way."""
        return await self._storage.keys(PREFIX, MAX_LISTED)

    async def load(self, key: str) -> Stored | None:
        """An entry; None when it is gone, or cannot be read."""
        try:
            data, stat = await self._storage.read(key, limits.MAX_RECORD_BYTES)
            return Stored(QueueEntry.model_validate_json(data), stat)
        except (NotFound, ValidationError):
            return None

    async def change(self, stored: Stored, change: Callable[[QueueEntry], QueueEntry | None]) -> Stored | None:
        """Write an entry anew, whatever others write meanwhile.

        Args:
            stored: The entry as it was last seen.
            change: Makes the new one; it is called again where somebody else was faster. None: leave it as it is.

        Returns:
            What is stored now; None where it is gone, or was left as it is.
        """
        current: Stored | None = stored
        for _ in range(_MAX_CONFLICTS):
            if current is None:
                return None
            wanted = change(current.entry)
            if wanted is None:
                return None
            try:
                # An object that is gone answers a conditional write with a conflict, too.
                stat = await self._storage.write(wanted.key, _encode(wanted), "application/json", current.stat)
                return Stored(wanted, stat)
            except Conflict:
                current = await self.load(stored.entry.key)
        raise Conflict(f"{stored.entry.key} keeps being written by others")

    async def remove(self, entry: QueueEntry) -> None:
        """The message is done with."""
        await self._storage.delete(entry.key)


def _encode(entry: QueueEntry) -> bytes:
    return entry.model_dump_json().encode()
