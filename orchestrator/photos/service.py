"""A photo worked on repeatedly: stored once, segmented once for each prompt, previewed as often as its colours change.

What was found lies in a photo's normalised square, so that segments of the photo serve its small copy too: a preview decodes, mattes and
encodes a megapixel, and asks nothing of SAM3.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import JobError, NotFound, PhotoRefused
from orchestrator.jobs import keys, limits
from orchestrator.jobs.concepts import find_preset, resolve_concepts
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.jobs.problems import Problems
from orchestrator.photos.stored_photos import COPY_SIDE, StoredPhotos, folder
from orchestrator.photos.types import DrawnMask, MaskPicture, Preview, PreviewQuery, Segments, SegmentsQuery, StoredPhoto
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import ThrottledBackend
from orchestrator.worker.kept_segments import Kept, KeptSegments, without_segments
from respray.contract.errors import ImageError
from respray.contract.photo_file import ImageFormat, inspect, may_be_transparent
from respray.contract.report import PhotoReport
from respray.contract.request import ConceptQuery, Output, PhotoRequest, prompts_of

MAX_AT_HAND = 64
"""Photos whose small copy and segments are kept in memory, the latest used: about half a megabyte each."""
COPY_QUALITY = 95


@dataclass
class _AtHand:
    """What this process has of a photo: its small copy, and what is known of it; None: not read yet."""

    copy: bytes | None = None
    kept: Kept | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class PhotoService:
    """Photos of any users; one instance per process.

    Errors: JobError (what is wrong with a query), NotFound, PhotoRefused, and those of the store and the pipeline.
    """

    def __init__(self, storage: AsyncStorage, backend: ThrottledBackend, catalog: Catalog, kept: KeptSegments) -> None:
        self._storage, self._backend, self._catalog, self._segments = storage, backend, catalog, kept
        self._photos = StoredPhotos(storage)
        self._at_hand: OrderedDict[tuple[str, str], _AtHand] = OrderedDict()

    async def store(self, user: str, data: bytes) -> StoredPhoto:
        """Store an encoded photo under its digest; the same photo again is the same."""
        return await self._photos.add(user, data)

    async def segments(self, user: str, photo: str, query: SegmentsQuery) -> Segments:
        """Find concepts, or find them found."""
        problems = Problems()
        preset = find_preset(query.preset, self._catalog, problems)
        concepts = resolve_concepts(query.concepts, (), preset, query.options, problems)
        problems.raise_if_any()
        examples = ((concept, *query.shown(concept.name)) for concept in concepts.queries)
        shown = [concept.model_copy(update={"boxes": boxes, "not_boxes": not_boxes}) for concept, boxes, not_boxes in examples]
        request = PhotoRequest(concepts=shown, masks=True, preview_size=0, feather=query.options.feather)
        # What only the preset protects is found along with the rest, for the previews to come, and not told.
        named = [concept.name for concept in concepts.queries if not concept.implied]
        before = await self._known(user, photo, request.concepts)
        report, files = await self._on_copy(user, photo, request, [])
        pairs = zip(report.files, files, strict=True)
        masks = [MaskPicture(concept=e.name, instance=e.instance, png=data) for e, data in pairs if e.name in named]
        return Segments(
            concepts=[found for found in report.concepts if found.name in named],
            masks=masks if query.masks else [],
            reused=[prompt for prompt in dict.fromkeys(prompts_of(request.concepts)) if prompt in before],
            warnings=list(report.warnings) if query.boxes or query.not_boxes else [],
        )

    async def preview(self, user: str, photo: str, query: PreviewQuery) -> Preview:
        """Edit the photo, or its small copy, and answer one picture.

        Args:
            user: Whose photo it is.
            photo: Its digest.
            query: The edits, and how large the picture is to be. A `texture_key` lies below `inputs/{user}/{photo}/` in the store.
        """
        folder(user, photo)
        if not query.concepts:
            return await self._as_it_is(user, photo, query)
        masks = query.mask_keys
        await asyncio.to_thread(_check_masks, masks)
        drawn = {f"{keys.inputs_prefix(user, photo)}mask-{number}": mask.base64 for number, mask in enumerate(masks.values())}
        message = {
            "job_id": photo,
            "user_id": user,
            "preset": query.preset,
            "concepts": query.model_dump(include={"concepts"}, exclude_unset=True)["concepts"],
            "protect": query.protect,
            "options": query.options.model_dump(exclude_unset=True) | {"format": query.format},
            "items": [
                {
                    "idx": 0,
                    "input_key": f"{keys.inputs_prefix(user, photo)}original",
                    "output_key": f"{keys.outputs_prefix(user, photo)}preview.{query.format}",
                    "mask_keys": dict(zip(masks, drawn, strict=True)),
                }
            ],
        }
        try:
            (item,) = parse_job(message, self._catalog).items
        except JobError as error:
            # The fields of a message that a preview writes differently.
            raise JobError([re.sub(r"^(items\[0\]|options)\.(?=mask_keys|format)", "", text) for text in error.problems]) from None
        attachments = [drawn.get(key) or await self._attachment(key) for key in item.keys_read[1:]]
        output = item.request.outputs[0].model_copy(update={"long_side": query.long_side, "crop": query.crop})
        request = item.request.model_copy(update={"outputs": [output], "preview_size": 0, "masks": False, "metadata": "none"})
        await self._known(user, photo, request.concepts)
        return await self._shown(user, photo, query, request, attachments)

    async def _as_it_is(self, user: str, photo: str, query: PreviewQuery) -> Preview:
        output = Output(name="result", edits=[], format=query.format, long_side=query.long_side, crop=query.crop)
        request = PhotoRequest(concepts=[], outputs=[output], preview_size=0, metadata="none")
        return await self._shown(user, photo, query, request, [])

    async def _shown(self, user: str, photo: str, query: PreviewQuery, request: PhotoRequest, attachments: list[bytes]) -> Preview:
        small = query.crop is None and 0 < query.long_side <= COPY_SIDE
        report, files = await (self._on_copy if small else self._on_original)(user, photo, request, attachments)
        return Preview(files[0], report.files[0].media_type, report)

    async def original(self, user: str, photo: str) -> bytes:
        """The photo's own bytes, as they were sent."""
        return await self._photos.original(user, photo)

    async def _known(self, user: str, photo: str, concepts: Sequence[ConceptQuery]) -> frozenset[str]:
        """Have all prompts of these concepts segmented, on the photo itself; those that were before."""
        # With boxes, a prompt is asked anew by whoever shows them.
        concepts = [concept for concept in concepts if not concept.shown]
        at_hand, prompts = self._find(user, photo), set(prompts_of(concepts))
        if not prompts:
            return frozenset()
        async with at_hand.lock:
            model = await self._backend.model_digest()
            if model is not None and (at_hand.kept is None or at_hand.kept.model != model):
                at_hand.kept = await self._segments.read_digest(user, photo, model)
            kept = at_hand.kept or Kept(user, photo, model or "")
            before = frozenset(kept.files)
            if prompts <= before:
                return before
            request, sent = kept.added_to(PhotoRequest(concepts=list(concepts), keep_segments=True, preview_size=0), [])
            report, _, new = without_segments(*await self._backend.infer(await self._photos.original(user, photo), request, sent))
            if new:
                self._segments.write(kept, new, report.model)
                known = dict(kept.files) if kept.model == report.model else {}
                newest = dict(list({**known, **new}.items())[-limits.MAX_CONCEPTS * 4 :])
                at_hand.kept = Kept(user, photo, report.model, newest, kept.stat)
            return before & set(report.reused)

    async def _on_copy(self, user: str, photo: str, request: PhotoRequest, attachments: list[bytes]) -> tuple[PhotoReport, list[bytes]]:
        at_hand = self._find(user, photo)
        if at_hand.copy is None:
            at_hand.copy = await self._photos.copy(user, photo) or await self._make_copy(user, photo)
        return await self._infer(at_hand, at_hand.copy, request, attachments)

    async def _on_original(self, user: str, photo: str, request: PhotoRequest, attachments: list[bytes]) -> tuple[PhotoReport, list[bytes]]:
        return await self._infer(self._find(user, photo), await self._photos.original(user, photo), request, attachments)

    async def _infer(
        self, at_hand: _AtHand, picture: bytes, request: PhotoRequest, attachments: list[bytes]
    ) -> tuple[PhotoReport, list[bytes]]:
        if at_hand.kept is not None:
            request, attachments = at_hand.kept.added_to(request, attachments)
            request = request.model_copy(update={"keep_segments": False})
        return await self._backend.infer(picture, request, attachments)

    async def _make_copy(self, user: str, photo: str) -> bytes:
        original = await self._photos.original(user, photo)
        # A cut-out's alpha has a part in what is edited: on white paper another picture would be shown than a job makes.
        kind: ImageFormat = "webp" if await asyncio.to_thread(may_be_transparent, original) else "jpeg"
        output = Output(name="copy", edits=[], format=kind, quality=COPY_QUALITY, long_side=COPY_SIDE)
        request = PhotoRequest(concepts=[], outputs=[output], preview_size=0, metadata="none")
        _, (copy,) = await self._backend.infer(original, request, [])
        await self._photos.add_copy(user, photo, copy)
        return copy

    async def _attachment(self, key: str) -> bytes:
        try:
            return (await self._storage.read(key, limits.MAX_TEXTURE_BYTES))[0]
        except NotFound as error:
            raise PhotoRefused(error.for_callers, error.inside) from None

    def _find(self, user: str, photo: str) -> _AtHand:
        folder(user, photo)
        found = self._at_hand.setdefault((user, photo), _AtHand())
        self._at_hand.move_to_end((user, photo))
        if len(self._at_hand) > MAX_AT_HAND:
            self._at_hand.popitem(last=False)
        return found


def _check_masks(masks: Mapping[str, DrawnMask]) -> None:
    """Raise JobError that names the masks that are no pictures: the pipeline knows them by number."""
    problems = Problems()
    for name, mask in masks.items():
        try:
            inspect(mask.base64, limits.MAX_ATTACHMENT_MEGAPIXELS, limits.MAX_MASK_BYTES, min_side=1)
        except ImageError as error:
            problems.add(f"mask_keys.{name}", str(error))
    problems.raise_if_any()
