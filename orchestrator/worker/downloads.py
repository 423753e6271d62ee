"""The first stage of an item: its photo, masks and textures, each looked at before anything is done with it."""

from __future__ import annotations

import asyncio

from orchestrator.errors import AccessDenied, AddressRefused, LinkRefused, NotFound, PhotoRefused, TooLarge
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Item
from orchestrator.jobs.sources import InlineSource, KeySource, Source
from orchestrator.net.links import LinkClient
from orchestrator.storage.base import digest_of
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.budget import COPIES, ByteBudget
from orchestrator.worker.job_state import Download, JobState
from respray.contract.errors import ImageError
from respray.contract.photo_file import PhotoInfo, check_sides, inspect
from respray.observe.tracing import span

USUAL_LINK_BYTES = 8 << 20
"""What a file behind a link is taken for until it was read: photos of phones have 2 to 8 MB. A larger one counts in full from then on."""


class Downloads:
    """Fetches what items need. Every method raises PhotoRefused for a file that cannot be used, StorageError and LinkUnavailable."""

    def __init__(self, storage: AsyncStorage, links: LinkClient, budget: ByteBudget) -> None:
        self._storage, self._links, self._budget = storage, links, budget

    async def memory(self, item: Item) -> int:
        """Bytes of memory that an item's files will take until they are with Triton, by what is known of them before they are read.

        What is missing takes nothing, and neither does what is too large: reading it says so. A link counts as USUAL_LINK_BYTES until it
        was read. Raises StorageError.
        """
        sizes = await asyncio.gather(*(self._size(source) for source in dict.fromkeys(item.sources)))
        return COPIES * sum(sizes)

    async def _size(self, source: Source) -> int:
        if isinstance(source, InlineSource):
            return len(source.data)
        if not isinstance(source, KeySource):
            return USUAL_LINK_BYTES
        try:
            stat = await self._storage.stat(source.key)
        except AccessDenied:
            return 0
        return stat.size if stat is not None and stat.size <= limits.MAX_PHOTO_BYTES else 0

    async def photo(self, item: Item) -> Download:
        """The encoded photo, refused before any work where an output's format cannot hold a picture of its size."""
        download, info = await self._fetch(item.photo, limits.MAX_PHOTO_BYTES, item.request.max_megapixels)
        try:
            for output in item.request.outputs:
                check_sides(output.format, info.width, info.height)
        except ImageError as error:
            raise PhotoRefused(f"{item.photo.label}: {error}") from None
        return download

    async def attachment(self, state: JobState, source: Source) -> Download:
        """A mask or texture. What several items of a job use is fetched once."""
        if source not in state.several:
            return await self._fetch_attachment(source, limits.MAX_MASK_BYTES)
        if source not in state.shared:
            state.shared[source] = asyncio.ensure_future(self._share(state, source))
        return await asyncio.shield(state.shared[source])

    async def _share(self, state: JobState, source: Source) -> Download:
        """Fetch what several items use, and keep it until the job ends where there is room: else it is fetched again."""
        download = await self._fetch_attachment(source, limits.MAX_TEXTURE_BYTES)
        if self._budget.keep(len(download.data)):
            state.kept += len(download.data)
        else:
            state.shared.pop(source, None)
        return download

    async def _fetch_attachment(self, source: Source, limit: int) -> Download:
        download, _ = await self._fetch(source, limit, limits.MAX_ATTACHMENT_MEGAPIXELS)
        return download

    async def _fetch(self, source: Source, limit: int, megapixels: float) -> tuple[Download, PhotoInfo]:
        with span("download", {"respray.key": source.label}):
            try:
                download = await self._read(source, limit)
                # In a thread: a file of many small blocks takes its time, and the loop renews the job's lease meanwhile.
                return download, await asyncio.to_thread(inspect, download.data, megapixels, limit)
            except ImageError as error:
                raise PhotoRefused(f"{source.label}: {error}") from None
            except (NotFound, TooLarge, AccessDenied, AddressRefused, LinkRefused) as error:
                raise PhotoRefused(str(error)) from None

    async def _read(self, source: Source, limit: int) -> Download:
        if isinstance(source, KeySource):
            data, stat = await self._storage.read(source.key, limit)
            return Download(data, stat.etag)
        data = source.data if isinstance(source, InlineSource) else await self._links.get(source.url, limit)
        return Download(data, f"sha256:{await asyncio.to_thread(digest_of, data)}")
