"""Photos in the store by their digest: `photos/{user}/{sha256}/original`, and beside it the small copy that previews are made of."""

from __future__ import annotations

import asyncio
import re

from orchestrator.errors import JobError, NotFound, PhotoRefused
from orchestrator.jobs import keys, limits
from orchestrator.photos.types import StoredPhoto
from orchestrator.storage.base import digest_of
from orchestrator.storage.threads import AsyncStorage
from respray.contract.errors import ImageError
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, inspect

COPY_SIDE = 1200
"""Longest side of the small copy, in pixels."""
MEDIA_TYPE = "application/octet-stream"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class StoredPhotos:
    """Reads and writes one store's photos."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    async def add(self, user: str, data: bytes) -> StoredPhoto:
        """Store a photo; the same one again changes nothing. Raises JobError, PhotoRefused, StorageError."""
        if problem := keys.id_problem(user):
            raise JobError(f"user_id {problem}")
        try:
            info = await asyncio.to_thread(inspect, data, DEFAULT_MEGAPIXELS, limits.MAX_PHOTO_BYTES)
        except ImageError as error:
            raise PhotoRefused(str(error)) from None
        digest = await asyncio.to_thread(digest_of, data)
        # Written also where it is there already: its bytes are its name, and a bucket's lifecycle counts from the last write.
        await self._storage.write(f"{folder(user, digest)}original", data, MEDIA_TYPE)
        return StoredPhoto(photo=digest, width=info.width, height=info.height)

    async def original(self, user: str, photo: str) -> bytes:
        """The photo's bytes, which are its digest's. Raises NotFound, StorageError."""
        try:
            data, _ = await self._storage.read(f"{folder(user, photo)}original", limits.MAX_PHOTO_BYTES)
        except NotFound as error:  # the key under which it would lie is nothing that anybody gave
            raise NotFound(f"there is no photo {photo}; send it again", f" ({error})") from None
        if await asyncio.to_thread(digest_of, data) != photo:
            raise NotFound(f"the photo {photo} is damaged in the store; send it again")
        return data

    async def copy(self, user: str, photo: str) -> bytes | None:
        """The small copy, where there is one."""
        try:
            return (await self._storage.read(_copy_key(user, photo), limits.MAX_MASK_BYTES))[0]
        except NotFound:
            return None

    async def add_copy(self, user: str, photo: str, data: bytes) -> None:
        """Store the small copy."""
        await self._storage.write(_copy_key(user, photo), data, MEDIA_TYPE)


def folder(user: str, photo: str) -> str:
    """Where a photo lies. Raises NotFound for what is no digest, and for a user that can have none."""
    if not _DIGEST.fullmatch(photo) or keys.id_problem(user):
        raise NotFound(f"there is no photo {photo[:80]!r}; accepted is the digest (64 hexadecimal digits) of a photo that was sent before")
    return f"photos/{user}/{photo}/"


def _copy_key(user: str, photo: str) -> str:
    return f"{folder(user, photo)}{COPY_SIDE}"
