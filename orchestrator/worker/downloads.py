"""The first stage of an item: its photo, masks and textures, each looked at before anything is done with it."""

from __future__ import annotations

import asyncio

from orchestrator.errors import AccessDenied, NotFound, PhotoRefused, TooLarge
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Item
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.budget import COPIES, ByteBudget
from orchestrator.worker.job_state import Download, JobState
from respray.contract.errors import ImageError
from respray.contract.photo_file import PhotoInfo, check_sides, inspect
from respray.observe.tracing import span


class Downloads:
    """Fetches what items need. Every method raises PhotoRefused for a file that cannot be used, and StorageError."""

    def __init__(self, storage: AsyncStorage, budget: ByteBudget) -> None:
        self._storage, self._budget = storage, budget

    async def memory(self, item: Item) -> int:
        """Bytes of memory that an item's files will take until they are with Triton, by what the store says of them before they are read.

        What is missing takes nothing, and neither does what is too large: reading it says so. Raises StorageError.
        """
        limits_of = {item.input_key: limits.MAX_PHOTO_BYTES} | dict.fromkeys(item.attachment_keys, limits.MAX_TEXTURE_BYTES)
        stats = await asyncio.gather(*(self._storage.stat(key) for key in limits_of), return_exceptions=True)
        sizes = []
        for stat, limit in zip(stats, limits_of.values(), strict=True):
            if isinstance(stat, BaseException):
                if not isinstance(stat, AccessDenied):
                    raise stat
                continue
            sizes.append(stat.size if stat is not None and stat.size <= limit else 0)
        return COPIES * sum(sizes)

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
            state.shared[key] = asyncio.ensure_future(self._share(state, key))
        return await asyncio.shield(state.shared[key])

    async def _share(self, state: JobState, key: str) -> Download:
        """Fetch what several items use, and keep it until the job ends where there is room: else it is fetched again."""
        download = await self._fetch_attachment(key, limits.MAX_TEXTURE_BYTES)
        if self._budget.keep(len(download.data)):
            state.kept += len(download.data)
        else:
            state.shared.pop(key, None)
        return download

    async def _fetch_attachment(self, key: str, limit: int) -> Download:
        download, _ = await self._fetch(key, limit, limits.MAX_ATTACHMENT_MEGAPIXELS)
        return download

    async def _fetch(self, key: str, limit: int, megapixels: float) -> tuple[Download, PhotoInfo]:
        with span("download", {"respray.key": key}):
            try:
                data, stat = await self._storage.read(key, limit)
                # In a thread: a file of many small blocks takes its time, and the loop renews the job's lease meanwhile.
                return Download(data, stat.etag), await asyncio.to_thread(inspect, data, megapixels, limit)
            except ImageError as error:
                raise PhotoRefused(f"{key}: {error}") from None
            except (NotFound, TooLarge, AccessDenied) as error:
                raise PhotoRefused(str(error)) from None
