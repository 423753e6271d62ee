"""The order of the messages that were sent under one job id: the newest one is what is stored and told last.

    outputs/{user}/{job}/manifest/versions.json    the number of each message, in the order in which workers first saw them

A number is a fencing token: it is taken conditionally, so that two workers never take the same one, and whoever writes a file or a record
of a job looks here first where something is stored that it does not know. No clock is asked. A worker that was frozen for hours meets a
larger number, and leaves the newer result alone.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Conflict, NotFound, StorageError
from orchestrator.jobs import limits
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage

MAX_REMEMBERED = 200
"""Messages of one job whose numbers are kept; the oldest are forgotten."""
_MAX_CONFLICTS = 50


class VersionLog(BaseModel):
    """`numbers`: by message, in the order in which they were taken; `content`: a digest of the newest message's content."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    latest: int = 0
    content: str = ""
    numbers: dict[str, int] = {}

    def number_of(self, message: str, content: str, redelivered: bool) -> int | None:
        """The number that a message has already; None where it has none yet.

        A content that comes back after another one is news, unless the queue says that it has delivered this very message before.

        Args:
            message: The queue's name of the message, or its content where the queue has none.
            content: A digest of its content.
            redelivered: It was delivered before.
        """
        if message == content and content != self.content and not redelivered:
            return None
        return self.numbers.get(message)

    def with_new(self, message: str, content: str) -> VersionLog:
        """The log with one more message. One that says what the newest one says is the same job sent twice, and shares its number."""
        number = self.latest if self.latest and content == self.content else self.latest + 1
        kept = {name: other for name, other in self.numbers.items() if name != message}
        kept = dict(list(kept.items())[-MAX_REMEMBERED + 1 :])
        return VersionLog(latest=number, content=content, numbers={**kept, message: number})


class Versions:
    """Takes and looks up numbers."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    async def take(self, prefix: str, message: str, content: str, redelivered: bool) -> tuple[int, bool]:
        """The number of a message, and whether it is the newest one of its job. See `VersionLog.number_of` for the arguments.

        Raises:
            StorageError: The store does not answer, or many workers take numbers at once.
        """
        for _ in range(_MAX_CONFLICTS):
            log, stat = await self._load(prefix)
            number = log.number_of(message, content, redelivered)
            if number is not None:
                return number, number == log.latest
            longer = log.with_new(message, content)
            try:
                await self._storage.write(_key(prefix), longer.model_dump_json().encode(), "application/json", stat or Expect.NOTHING)
            except Conflict:
                continue
            return longer.latest, True
        raise StorageError(f"{_key(prefix)} keeps being written by other workers")

    async def accept(self, prefix: str, message: str, content: str, known: str) -> bool:
        """Give a message its number when it is taken in, before anybody works on it.

        Args:
            prefix: The job's outputs prefix.
            message: The queue's name of the message.
            content: A digest of its content.
            known: The newest content that the sender of the message was answered by; empty: none.

        Returns:
            Whether it has one. False: another message was accepted meanwhile, and its content is to be looked at first.
        """
        log, stat = await self._load(prefix)
        if log.content != known:
            return False
        longer = log.with_new(message, content)
        try:
            await self._storage.write(_key(prefix), longer.model_dump_json().encode(), "application/json", stat or Expect.NOTHING)
        except Conflict:
            return False
        return True

    async def content(self, prefix: str) -> str:
        """The digest of the newest message's content; empty where there is none."""
        return (await self._load(prefix))[0].content

    async def number(self, prefix: str, message: str) -> tuple[int | None, int]:
        """The number of a message, None where it has none, and the newest number of its job."""
        log, _ = await self._load(prefix)
        return log.numbers.get(message), log.latest

    async def latest(self, prefix: str) -> int:
        """The newest number of a job; 0 where none was taken."""
        return (await self._load(prefix))[0].latest

    async def _load(self, prefix: str) -> tuple[VersionLog, Stat | None]:
        try:
            data, stat = await self._storage.read(_key(prefix), limits.MAX_RECORD_BYTES)
        except NotFound:
            return VersionLog(), None
        try:
            return VersionLog.model_validate_json(data), stat
        except ValidationError:
            return VersionLog(), stat


def _key(prefix: str) -> str:
    return f"{prefix}manifest/versions.json"
