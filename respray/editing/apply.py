"""The applier's one entry point: a decoded photo, what the network saw in it and a request -> encoded files and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from respray.catalog.preset import similar_name
from respray.contract.errors import ConceptNotFoundError, EditError, UnknownNameError
from respray.contract.photo_facts import PhotoFacts
from respray.contract.report import OutputReport, PhotoReport
from respray.contract.request import ObjectSource, Output, PhotoRequest, Remove, needs_segmentation
from respray.editing.core.reduce import shrink
from respray.editing.editor import PhotoEditor
from respray.editing.fill.inpaint import Inpainter
from respray.editing.mask.find import FoundConcept, find_mattes
from respray.editing.mask.select import Segments
from respray.editing.pack import Package
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import DecodedPhoto
from respray.imaging.layers import on_white

MAX_ANSWER_BYTES = 1536 << 20
"""Files of one photo. A gRPC message, which carries all of them, has at most 2 GB: protobuf.dev/programming-guides/proto-limits."""


@dataclass(frozen=True)
class EditResult:
    """`files` in the order of `report.files`."""

    files: list[bytes]
    report: PhotoReport


class Clock:
    """Seconds per named stage, summed, as `now` counts them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._now = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start


def edit_photo(
    photo: DecodedPhoto | UInt8Array,
    segments: Segments,
    request: PhotoRequest,
    attachments: Sequence[bytes],
    object_source: ObjectSource = "instances",
    network: Inpainter | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> EditResult:
    """Carry out a request on a photo. Pixels outside all mattes and of protected concepts are byte-identical to the photo.

    A photo's own alpha leaves as it came, except where something is made transparent, filled in or put on a background. What is in the
    photo is found as it is seen on white paper; colours are changed as they are stored, not multiplied by alpha.

    Args:
        photo: as `decode_photo` gives it, or the pixels of an opaque one, uint8 [H,W,3], sRGB; not changed.
        segments: answers `respray.contract.request.prompts_of(request.concepts)`, in that order.
        request: what to do.
        attachments: encoded files (masks, textures) that the request refers to by index.
        object_source: which of the network's answers an object takes, see `respray.editing.mask.select.select`.
        network: a learned inpainter, where one is mounted.
        now: the clock of the report's timings, seconds; a benchmark counts those of processors.

    Returns:
        Every output, then one preview per output, then instance masks where asked for; and the report.

    Raises:
        EditError: the request cannot be carried out as it stands; the message is for the user.
        ImageError: an attachment is no picture.
    """
    check_request(request)
    if not isinstance(photo, DecodedPhoto):
        photo = DecodedPhoto(photo)
    facts = photo.facts if request.metadata == "keep" else PhotoFacts()
    clock, package, reports = Clock(now), Package(facts.metadata), []
    seen = photo.seen
    with clock.stage("matte"):
        mattes = find_mattes(seen, request, segments, attachments, object_source, photo.facts.orientation)
    asked = {concept.name: mattes.concepts[concept.name] for concept in request.concepts if not concept.aid}
    warnings = [*facts.warnings, *mattes.warnings, *_warnings(request, asked)]
    editor = PhotoEditor(photo, seen, request, mattes, attachments, network)
    for output in request.outputs:
        with clock.stage("apply"):
            canvas, edits = editor.edit(output)
            if output is request.outputs[-1]:
                editor.let_go()  # an encoder takes memory, too
            image = canvas.image
            if canvas.alpha is not None and output.format == "jpeg":
                image = on_white(canvas.rgb, canvas.alpha)
                if not output.long_side and output.crop is None:  # what is small or a part is only looked at
                    warnings.append(f"the photo's transparency is laid on white in '{output.name}': JPEG has none, PNG and WebP keep it")
        reports.append(OutputReport(name=output.name, edits=edits))
        with clock.stage("encode"):
            package.add_output(output, part_of(image, output))
        if package.size > MAX_ANSWER_BYTES:
            raise EditError(
                f"the first {len(reports)} of {len(request.outputs)} outputs have {package.size >> 20} MB, and the files of one photo "
                f"may have {MAX_ANSWER_BYTES >> 20}; ask for fewer at once, for JPEG, or for a lower quality"
            )
        if request.preview_size:
            with clock.stage("preview"):
                package.add_preview(output, image, request.preview_size)
        del canvas, image  # one output's picture is held at a time
    if request.masks:
        with clock.stage("encode"):
            package.add_masks(asked.values())
    report = PhotoReport(
        width=seen.shape[1],
        height=seen.shape[0],
        concepts=[found.report for found in asked.values()],
        outputs=reports,
        files=package.reports,
        timings={name: round(seconds, 6) for name, seconds in clock.seconds.items()},
        light=editor.light,
        warnings=warnings,
    )
    return EditResult(package.files, report)


def part_of(image: UInt8Array, output: Output) -> UInt8Array:
    """The part and size of an edited photo (uint8 [H,W,3|4]) that an output is written in; at least one pixel."""
    height, width = image.shape[:2]
    if output.crop is not None:
        x0, y0, x1, y1 = output.crop
        left, top = min(width - 1, int(x0 * width)), min(height - 1, int(y0 * height))
        image = image[top : max(top + 1, round(y1 * height)), left : max(left + 1, round(x1 * width))]
    return shrink(image, output.long_side) if output.long_side else image


def check_request(request: PhotoRequest) -> None:
    """Refuse what cannot be carried out, before any work.

    Raises:
        UnknownNameError: an edit or a protection names a concept that the request does not have.
        EditError: a removal does not fit its output.
    """
    names = [concept.name for concept in request.concepts]
    for name in request.protect:
        if name not in names:
            raise UnknownNameError("protected concept", name, names)
    for output in request.outputs:
        for name in (*output.protect, *output.concepts):
            if name not in names:
                raise UnknownNameError("concept", name, names)
        for edit in output.edits:
            if edit.concept not in names:
                raise UnknownNameError("concept", edit.concept, names)
            if isinstance(edit.rule, Remove):
                _check_remove(output, edit.rule)


def _check_remove(output: Output, rule: Remove) -> None:
    if rule.mode == "transparent" and output.format == "jpeg":
        raise EditError(f"output '{output.name}' is JPEG, which cannot be transparent; write PNG or WebP")
    if rule.mode == "background" and rule.color is None:
        raise EditError("remove with a background needs a colour as '#rrggbb'")


def _warnings(request: PhotoRequest, found: Mapping[str, FoundConcept]) -> list[str]:
    implied = {concept.name for concept in request.concepts if concept.implied}
    missing = [
        f"'{name}'" + (f" ({why})" if (why := item.why or _mistyped(name)) else "")
        for name, item in found.items()
        if item.matte is None and name not in implied
    ]
    if missing and request.missing_is_error:
        raise ConceptNotFoundError("nothing found for " + ", ".join(missing))
    return (
        [f"nothing found for {name}" for name in missing]
        + _box_warnings(request, found)
        + [
            f"the edge of '{name}' is too long or too undecided to be followed at full size: it was found at {item.matte.detail:.0%} of it"
            for name, item in found.items()
            if item.matte is not None and item.matte.detail < 1.0
        ]
    )


def _mistyped(name: str) -> str:
    close = similar_name(name)
    return f"did you mean '{close}'?" if close else ""


def _box_warnings(request: PhotoRequest, found: Mapping[str, FoundConcept]) -> list[str]:
    warnings = []
    for concept in filter(lambda concept: concept.shown, request.concepts):
        if not needs_segmentation(concept):
            why = "its mask was sent" if concept.mask_attachment is not None else "it is everything but other concepts"
            warnings.append(f"the boxes of '{concept.name}' were not used, because {why}")
            continue
        report = found[concept.name].report if concept.name in found else None
        for box in report.boxes if report is not None and report.found else ():
            if box.use == "boxes" and box.covered == 0.0:
                corners = ", ".join(f"{value:g}" for value in box.box)
                warnings.append(f"the box [{corners}] of '{concept.name}' is on nothing that was found of it")
    return warnings
