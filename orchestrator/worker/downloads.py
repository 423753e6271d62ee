"""The first stage of an item: its photo, masks and textures, each looked at before anything is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.errors import AccessDenied, AddressRefused, KeyUnusable, LinkRefused, LinkTooLarge, NotFound, PhotoRefused, TooLarge
from orchestrator.jobs import limits
from orchestrator.jobs.job_types import Item
from orchestrator.jobs.sources import InlineSource, Source, StoreKey, WebLink
from orchestrator.net.links import LinkClient
from orchestrator.storage.base import digest_of
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.budget import COPIES, ByteBudget
from orchestrator.worker.job_state import Download, JobState
from respray.contract.errors import ImageError
from respray.contract.photo_file import MIN_SIDE, PhotoInfo, check_sides, inspect
from respray.observe.tracing import span
from respray.retry import Retry

_APPEARS_AFTER = (0.2, 0.4, 0.8)
"""Seconds before a file that is not there is looked for again: a job may be faster than the store's knowledge of its upload. One that is
missing for good costs these 1.4 s."""
_UPLOADED_JUST_NOW = Retry(
    len(_APPEARS_AFTER) + 1, lambda attempt, error: _APPEARS_AFTER[attempt - 1], lambda error: isinstance(error, NotFound)
)

USUAL_LINK_BYTES = 8 << 20
"""Room for what is behind a link at first: few photos of phones and cameras have more."""


def check_together(sizes: Sequence[int]) -> None:
    """PhotoRefused where the masks and textures of one photo, of these sizes in bytes, are more than one message may carry."""
    if (total := sum(sizes)) > limits.MAX_ATTACHMENTS_BYTES:
        most = limits.MAX_ATTACHMENTS_BYTES / 1e6
        what = f"the photo's {len(sizes)} masks and textures have {total / 1e6:.0f} MB together"
        raise PhotoRefused(f"{what}; at most {most:.0f} MB are accepted")


def _told(source: Source) -> bool:
    """Whether a source's size is known before it is read."""
    return not isinstance(source, WebLink)


class Downloads:
    """Fetches what items need. Every method raises PhotoRefused for a file that cannot be used, StorageError and LinkUnavailable.

    LinkTooLarge is raised for a link with more than `link_bytes`, where a larger one would be accepted.
    """

    def __init__(self, storage: AsyncStorage, links: LinkClient, budget: ByteBudget) -> None:
        self._storage, self._links, self._budget = storage, links, budget

    async def memory(self, item: Item, link_bytes: int) -> int:
        """Bytes of memory that an item's files will take until they are with Triton, by what the store says of them before they are read.

        What is missing takes nothing, and neither does what is too large: reading it says so. Raises StorageError, and PhotoRefused where
        masks and textures are too large together.

        Args:
            item: The item.
            link_bytes: What a link counts: nothing says how much is behind it before it is read.
        """
        limits_of: dict[Source, int] = {item.photo: limits.MAX_PHOTO_BYTES} | dict.fromkeys(item.attachments, limits.MAX_TEXTURE_BYTES)
        sizes = await asyncio.gather(*(self._size(source, link_bytes) for source in limits_of))
        known = zip(limits_of.items(), sizes, strict=True)
        check_together([size for (source, most), size in known if source in item.attachments and _told(source) and size <= most])
        return COPIES * sum(
            min(size, limit) if isinstance(source, WebLink) else size if size <= limit else 0
            for (source, limit), size in zip(limits_of.items(), sizes, strict=True)
        )

    async def _size(self, source: Source, link_bytes: int) -> int:
        if isinstance(source, WebLink):
            return link_bytes
        if isinstance(source, InlineSource):
            return len(source.data)
        try:
            return await self._storage.size(source.key) or 0
        except AccessDenied:
            return 0

    async def photo(self, item: Item, link_bytes: int = limits.MAX_PHOTO_BYTES) -> Download:
        """The encoded photo, refused before any work where an output's format cannot hold a picture of its size."""
        download, info = await self._fetch(item.photo, limits.MAX_PHOTO_BYTES, item.request.max_megapixels, link_bytes)
        try:
            for output in item.request.outputs:
                check_sides(output.format, info.width, info.height)
        except ImageError as error:
            raise PhotoRefused(f"{item.photo.label}: {error}") from None
        return download

    async def attachment(
        self, state: JobState, source: Source, link_bytes: int = limits.MAX_PHOTO_BYTES, min_side: int = MIN_SIDE
    ) -> Download:
        """A mask or texture, of `min_side` pixels on a side or more. What several items of a job use is fetched once."""
        if source not in state.several:
            return await self._fetch_attachment(source, limits.MAX_MASK_BYTES, link_bytes, min_side)
        while True:
            if source not in state.shared:
                state.shared[source] = asyncio.ensure_future(self._share(state, source, link_bytes, min_side))
            try:
                return await asyncio.shield(state.shared[source])
            except LinkTooLarge:
                if link_bytes < limits.MAX_TEXTURE_BYTES:
                    raise  # else it was another item that asked for less, and this one asks for itself

    async def _share(self, state: JobState, source: Source, link_bytes: int, min_side: int) -> Download:
        """Fetch what several items use, and keep it until the job ends where there is room: else it is fetched again."""
        try:
            download = await self._fetch_attachment(source, limits.MAX_TEXTURE_BYTES, link_bytes, min_side)
        except LinkTooLarge:
            state.shared.pop(source, None)
            raise
        if self._budget.keep(len(download.data)):
            state.kept += len(download.data)
        else:
            state.shared.pop(source, None)
        return download

    async def _fetch_attachment(self, source: Source, limit: int, link_bytes: int, min_side: int) -> Download:
        download, _ = await self._fetch(source, limit, limits.MAX_ATTACHMENT_MEGAPIXELS, link_bytes, min_side)
        return download

    async def _fetch(
        self, source: Source, limit: int, megapixels: float, link_bytes: int, min_side: int = MIN_SIDE
    ) -> tuple[Download, PhotoInfo]:
        with span("download", {"respray.key": source.label}):
            try:
                download = await _UPLOADED_JUST_NOW.run_async(lambda: self._read(source, limit, link_bytes))
                # In a thread: a file of many small blocks takes its time, and the loop renews the job's lease meanwhile.
                return download, await asyncio.to_thread(inspect, download.data, megapixels, limit, min_side)
            except ImageError as error:
                raise PhotoRefused(f"{source.label}: {error}") from None
            except (NotFound, TooLarge, AccessDenied, KeyUnusable, AddressRefused, LinkRefused) as error:
                if isinstance(error, LinkTooLarge) and link_bytes < limit:
                    raise
                raise PhotoRefused(error.for_callers, error.inside) from None

    async def _read(self, source: Source, limit: int, link_bytes: int) -> Download:
        if isinstance(source, StoreKey):
            data, stat = await self._storage.read(source.key, limit)
            digest = stat.digest if stat.digest is not None else await asyncio.to_thread(digest_of, data)
            return Download(data, stat.etag, digest)
        data = source.data if isinstance(source, InlineSource) else await self._links.get(source.url, min(limit, link_bytes))
        digest = await asyncio.to_thread(digest_of, data)
        return Download(data, f"sha256:{digest}", digest)
