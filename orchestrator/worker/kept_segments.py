"""What was found in a photo before, in the store: `segments/{user}/{SHA-256 of the photo}/{digest of the model}/found.bin`.

One object per photo and model: one request tells that nothing is kept, and one reads everything. It is written conditionally, so that
workers that add concepts at the same time lose none. It holds the pipeline's own files (`respray.contract.segments_file`), one a prompt,
behind a line that says whose they are. Nothing here can fail or delay a photo: what cannot be read is found again, what cannot be written
is not kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import AccessDenied, Conflict, NotFound, ResprayError
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage
from respray.contract.report import PhotoReport
from respray.contract.request import KnownSegments, PhotoRequest, prompts_of
from respray.contract.segments_file import SegmentsFileError, read_segments

log = logging.getLogger(__name__)

PREFIX = "segments/"
MAGIC = b"RKEPT1 "
MAX_LINE_BYTES = 16 << 10
MAX_OBJECT_BYTES = 16 << 20
MAX_PROMPTS = 64
"""Prompts that are kept of one photo; of more, the newest."""
READ_SECONDS = 3.0
"""How long a photo waits for what is kept of it: less than segmenting takes on a CPU, and longer than a store that is well."""
MAX_WRITES = 64
"""Writes that may be under way in a worker; what comes beyond is not kept."""
CLOSE_SECONDS = 5.0
_MAX_CONFLICTS = 6
_DAY = 86_400.0


class _Line(BaseModel):
    """Whose the files behind it are, and how long each is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str
    photo: str
    model: str
    sizes: list[int]


@dataclass(frozen=True)
class Kept:
    """What the store has of one photo: the file of each prompt. `stat` is of the object that they were read from; None: there was none."""

    user: str
    photo: str
    model: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    stat: Stat | None = None

    @property
    def key(self) -> str:
        """Key of the object."""
        return f"{PREFIX}{self.user}/{self.photo}/{self.model}/found.bin"

    def added_to(self, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoRequest, list[bytes]]:
        """The request with what is known of its own prompts, asking for what is not; and its attachments."""
        asked = set(prompts_of(request.concepts))
        files = [data for prompt, data in self.files.items() if prompt in asked]
        known = [KnownSegments(attachment=len(attachments) + number, photo=self.photo) for number in range(len(files))]
        return request.model_copy(update={"known": known, "keep_segments": True}), [*attachments, *files]


def without_segments(report: PhotoReport, files: list[bytes]) -> tuple[PhotoReport, list[bytes], dict[str, bytes]]:
    """The answer without its files of segments, and these by prompt."""
    if len(files) != len(report.files):
        return report, files, {}
    pairs = list(zip(report.files, files, strict=True))
    segments = {entry.name: data for entry, data in pairs if entry.kind == "segments"}
    others = [(entry, data) for entry, data in pairs if entry.kind != "segments"]
    return report.model_copy(update={"files": [entry for entry, _ in others]}), [data for _, data in others], segments


class KeptSegments:
    """Reads and writes kept segments; one instance per worker."""

    def __init__(self, storage: AsyncStorage, days: float, clock: Callable[[], float] = time.time) -> None:
        """Read and write through a store.

        Args:
            storage: The store.
            days: Age up to which they are used; 0 keeps none.
            clock: Seconds since 1970.
        """
        self._storage, self._days, self._clock = storage, days, clock
        self._writes: set[asyncio.Task[None]] = set()

    async def read(self, user: str, photo: str, model: Callable[[], Awaitable[str | None]]) -> Kept | None:
        """What is kept of a photo; None where nothing is to be kept of it.

        Args:
            user: Whose photo it is.
            photo: The SHA-256 of its bytes.
            model: Asks for the digest of the model.
        """
        digest = await model() if self._days > 0 else None
        return None if not digest else await self.read_digest(user, photo, digest)

    async def read_digest(self, user: str, photo: str, model: str) -> Kept:
        """What is kept of the photo with this SHA-256."""
        nothing = Kept(user, photo, model)
        if self._days <= 0:
            return nothing
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._load(nothing)
        except (ResprayError, TimeoutError) as error:
            log.warning("kept segments cannot be read, so they are made again: %s", error or type(error).__name__)
            return nothing

    def write(self, kept: Kept, new: Mapping[str, bytes], model: str) -> None:
        """Add what was found, in the background.

        Args:
            kept: What was read before.
            new: The file of each prompt.
            model: The digest of the model that found it.
        """
        if not new or self._days <= 0 or len(self._writes) >= MAX_WRITES:
            return
        if model != kept.model:
            kept = Kept(kept.user, kept.photo, model)
        task = asyncio.create_task(self._write(kept, dict(new)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Give what is being written a moment."""
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()

    async def prune(self, on_progress: Callable[[str], None] = lambda key: None) -> tuple[int, int]:
        """Delete every object of which nothing can be used any more; how many were deleted, and how many there were."""
        keys = await self._storage.keys(PREFIX, 1 << 31)
        deleted = 0
        for key in keys:
            parts = key.split("/")
            usable = len(parts) == 5 and bool((await self._load(Kept(parts[1], parts[2], parts[3]), key)).files)
            if not usable:
                await self._storage.delete(key)
                on_progress(key)
                deleted += 1
        return deleted, len(keys)

    async def _load(self, wanted: Kept, key: str | None = None) -> Kept:
        try:
            data, stat = await self._storage.read(key or wanted.key, MAX_OBJECT_BYTES)
        except NotFound:
            return wanted
        except AccessDenied as error:
            # S3 says so of what is not there to whoever may not list the bucket.
            log.debug("kept segments are not read: %s", error)
            return wanted
        files = await asyncio.to_thread(_usable, data, wanted, self._clock() - self._days * _DAY, self._clock() + _DAY)
        return Kept(wanted.user, wanted.photo, wanted.model, files, stat)

    async def _write(self, kept: Kept, new: dict[str, bytes]) -> None:
        try:
            for _ in range(_MAX_CONFLICTS):
                files = dict(list({**{name: data for name, data in kept.files.items() if name not in new}, **new}.items())[-MAX_PROMPTS:])
                data = await asyncio.to_thread(_packed, kept, files)
                if data is None:
                    return
                try:
                    await self._storage.write(kept.key, data, "application/octet-stream", kept.stat or Expect.NOTHING)
                    return
                except Conflict:
                    kept = await self._load(Kept(kept.user, kept.photo, kept.model))
                    if kept.stat is None:  # removed, or larger than is read: nothing to add to
                        kept = Kept(kept.user, kept.photo, kept.model, {}, await self._storage.stat(kept.key))
        except ResprayError as error:
            log.warning("segments could not be kept: %s", error)


def _packed(kept: Kept, files: Mapping[str, bytes]) -> bytes | None:
    """The object; None where it would be too large to be read."""
    line = _Line(user=kept.user, photo=kept.photo, model=kept.model, sizes=[len(data) for data in files.values()])
    data = MAGIC + line.model_dump_json().encode() + b"\n" + b"".join(files.values())
    return data if len(data) <= MAX_OBJECT_BYTES else None


def _usable(data: bytes, wanted: Kept, oldest: float, newest: float) -> dict[str, bytes]:
    """The files of an object that are this user's, of this photo and model, whole, and made between two times; by prompt."""
    end = data.find(b"\n", 0, MAX_LINE_BYTES)
    if not data.startswith(MAGIC) or end < 0:
        return {}
    try:
        line = _Line.model_validate_json(data[len(MAGIC) : end])
    except ValidationError:
        return {}
    if (line.user, line.photo, line.model) != (wanted.user, wanted.photo, wanted.model) or len(line.sizes) > MAX_PROMPTS:
        return {}
    files: dict[str, bytes] = {}
    position = end + 1
    for size in line.sizes:
        if size < 0:
            return {}
        file, position = data[position : position + size], position + size
        try:
            head, _ = read_segments(file)
        except SegmentsFileError:
            continue
        if head.photo == wanted.photo and head.model == wanted.model and oldest < head.made < newest:
            files[head.prompt] = file
    return files
