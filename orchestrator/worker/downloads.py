"""The first stage of an item: its photo, masks and textures, each looked at before anything is done with it."""

from __future__ import annotations

import asyncio

from orchestrator.errors import AccessDenied, KeyUnusable, NotFound, PhotoRefused, TooLarge
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Item
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.job_state import Download, JobState
from respray.contract.errors import ImageError
from respray.contract.photo_file import PhotoInfo, check_sides, inspect
from respray.observe.tracing import span
from respray.retry import Retry

_APPEARS_AFTER = (0.2, 0.4, 0.8)
"""Seconds before a file that is not there is looked for again: a job may be faster than the store's knowledge of its upload. One that is
missing for good costs these 1.4 s."""
_UPLOADED_JUST_NOW = Retry(
    len(_APPEARS_AFTER) + 1, lambda attempt, error: _APPEARS_AFTER[attempt - 1], lambda error: isinstance(error, NotFound)
)


class Downloads:
    """Fetches what items need. Every method raises PhotoRefused for a file that cannot be used, and StorageError."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    async def photo(self, item: Item) -> Download:
        """The encoded photo, refused before any work where an output's format cannot hold a picture of its size."""
        download, info = await self._fetch(item.input_key, limits.MAX_PHOTO_BYTES, item.request.max_megapixels)
        try:
            for output in item.request.outputs:
                check_sides(output.format, info.width, info.height)
        except ImageError as error:
            raise PhotoRefused(f"{item.input_key}: {error}") from None
        return download

    async def attachment(self, state: JobState, key: str) -> Download:
        """A mask or texture. What several items of a job use is fetched once."""
        if key not in state.several:
            return await self._fetch_attachment(key, limits.MAX_MASK_BYTES)
        if key not in state.shared:
            state.shared[key] = asyncio.ensure_future(self._fetch_attachment(key, limits.MAX_TEXTURE_BYTES))
        return await asyncio.shield(state.shared[key])

    async def _fetch_attachment(self, key: str, limit: int) -> Download:
        download, _ = await self._fetch(key, limit, limits.MAX_ATTACHMENT_MEGAPIXELS)
        return download

    async def _fetch(self, key: str, limit: int, megapixels: float) -> tuple[Download, PhotoInfo]:
        with span("download", {"respray.key": key}):
            try:
                data, stat = await _UPLOADED_JUST_NOW.run_async(lambda: self._storage.read(key, limit))
                # In a thread: a file of many small blocks takes its time, and the loop renews the job's lease meanwhile.
                return Download(data, stat.etag), await asyncio.to_thread(inspect, data, megapixels, limit)
            except ImageError as error:
                raise PhotoRefused(f"{key}: {error}") from None
            except (NotFound, TooLarge, AccessDenied, KeyUnusable) as error:
                raise PhotoRefused(str(error)) from None
