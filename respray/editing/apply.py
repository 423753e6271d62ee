"""The applier's one entry point: a decoded photo, what the network saw in it and a request -> encoded files and a report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np

from respray.catalog.preset import is_ground
from respray.contract.errors import ConceptNotFoundError, EditError, UnknownNameError
from respray.contract.photo_file import MEDIA_TYPES
from respray.contract.report import EditReport, FileReport, OutputReport, PhotoReport
from respray.contract.request import Edit, ObjectSource, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from respray.editing.fill.inpaint import Inpainter
from respray.editing.mask.matte import Matte, unite
from respray.editing.mask.overlap import resolve
from respray.editing.mask.select import Found, Segments, find
from respray.editing.paint.composite import Painter
from respray.editing.paint.neighbours import Neighbours
from respray.editing.paint.recolor import Recolorer
from respray.editing.paint.tone import Toner
from respray.editing.remove import Canvas, apply_remove
from respray.editing.report import measure
from respray.editing.surface.illuminant import Illuminant, estimate_illuminant
from respray.editing.surface.surface import SOLID_ALPHA, Surface, find_surfaces
from respray.editing.texture.lay import PhotoGeometry, TexturePainter, material_of
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.encode import encode, preview


@dataclass(frozen=True)
class EditResult:
    """`files` in the order of `report.files`."""

    files: list[bytes]
    report: PhotoReport


class Clock:
    """Seconds per named stage, summed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def edit_photo(
    photo: UInt8Array,
    segments: Segments,
    request: PhotoRequest,
    attachments: Sequence[bytes],
    object_source: ObjectSource = "instances",
    network: Inpainter | None = None,
) -> EditResult:
    """Carry out `request` on `photo` (uint8 [H,W,3] sRGB).

    `segments` answers `respray.contract.request.prompts_of(request.concepts)` in that order; `object_source` as in
    `mask.select.find`; `network` is a learned inpainter where one is mounted. Files: every output, then one preview per output, then
    instance masks where asked for. Pixels outside all mattes and of protected concepts are byte-identical to `photo`.
    Raises `EditError` (or `ImageError` for an attachment) with a message for the user.
    """
    _check(request)
    clock = Clock()
    with clock.stage("matte"):
        found = find(
            photo, request.concepts, segments, attachments, feather=request.feather, object_source=object_source, protect=request.protect
        )
        asked = {concept.name: found[concept.name] for concept in request.concepts if not concept.aid}
        warnings = _warnings(request, asked)
        whole = {name: item.matte for name, item in found.items() if item.matte is not None}
        visible = resolve(request.concepts, whole, request.protect)
    job = _Job(
        photo=photo,
        request=request,
        visible=visible,
        shield=_shield(request, whole),
        ground=[matte for name, matte in whole.items() if is_ground(name)],
        geometry=PhotoGeometry(photo),
        light=estimate_illuminant(photo),
        attachments=list(attachments),
        network=network,
    )
    files: list[bytes] = []
    file_reports: list[FileReport] = []
    previews: list[tuple[str, bytes]] = []
    output_reports: list[OutputReport] = []
    for output in request.outputs:
        canvas = Canvas(photo.copy())
        with clock.stage("apply"):
            painted = [e.concept for e in output.edits if not isinstance(e.rule, Remove) and not _changes_nothing(e.rule)]
            neighbours = Neighbours({name: job.visible[name] for name in painted if name in job.visible})
            edits = [_apply(canvas, edit, job, neighbours) for edit in output.edits]
            neighbours.rejoin(canvas.rgb)
        with clock.stage("encode"):
            files.append(encode(canvas.image, output.format, output.quality))
        file_reports.append(FileReport(kind="output", name=output.name, media_type=MEDIA_TYPES[output.format]))
        if request.preview_size:
            with clock.stage("preview"):
                previews.append((output.name, preview(canvas.image, request.preview_size)))
        output_reports.append(OutputReport(name=output.name, edits=edits))
    for name, data in previews:
        files.append(data)
        file_reports.append(FileReport(kind="preview", name=name, media_type=MEDIA_TYPES["jpeg"]))
    if request.masks:
        with clock.stage("encode"):
            _write_masks(asked.values(), files, file_reports)
    report = PhotoReport(
        width=photo.shape[1],
        height=photo.shape[0],
        concepts=[item.report for item in asked.values()],
        outputs=output_reports,
        files=file_reports,
        timings={name: round(seconds, 6) for name, seconds in clock.seconds.items()},
        warnings=warnings,
    )
    return EditResult(files, report)


def _check(request: PhotoRequest) -> None:
    names = [concept.name for concept in request.concepts]
    for name in request.protect:
        if name not in names:
            raise UnknownNameError("protected concept", name, names)
    for output in request.outputs:
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


def _warnings(request: PhotoRequest, found: dict[str, Found]) -> list[str]:
    implied = {concept.name for concept in request.concepts if concept.implied}
    missing = [
        f"'{name}'" + (f" ({item.why})" if item.why else "") for name, item in found.items() if item.matte is None and name not in implied
    ]
    if missing and request.missing_is_error:
        raise ConceptNotFoundError("nothing found for " + ", ".join(missing))
    return [f"nothing found for {name}" for name in missing] + [
        f"the edge of '{name}' is too long or too undecided to be followed at full size: it was found at {item.matte.detail:.0%} of it"
        for name, item in found.items()
        if item.matte is not None and item.matte.detail < 1.0
    ]


@dataclass(frozen=True)
class _Job:
    """What the rules of one photo share. `visible`: resolved mattes by concept; `shield` uint8 [H,W]: protected pixels;
    `ground`: the mattes of what furniture stands on."""

    photo: UInt8Array
    request: PhotoRequest
    visible: dict[str, Matte]
    shield: UInt8Array | None
    ground: list[Matte]
    geometry: PhotoGeometry
    light: Illuminant
    attachments: list[bytes]
    network: Inpainter | None
    _parts: dict[tuple[str, bool], list[Surface]] = field(default_factory=dict)

    def parts_of(self, edit: Edit) -> list[Surface]:
        """The surfaces that an edit works on, found once for all outputs; none where the concept was not found."""
        matte = self.visible.get(edit.concept)
        if matte is None:
            return []
        background = isinstance(edit.rule, Remove) and edit.rule.mode == "background"
        key = (edit.concept, background)
        if key not in self._parts:
            # A new background also goes under the shadow that is kept on it.
            shadow = self.shadow_of(edit.concept) if background else None
            extent = matte.alpha if shadow is None else cv2.add(matte.alpha, shadow)
            self._parts[key] = find_surfaces(self.photo, extent, self.light, matte.hard)
        return self._parts[key]

    def floor(self) -> BoolArray | None:
        """What of the photo is floor, bool [H,W], where that is known."""
        return unite(self.ground).alpha >= SOLID_ALPHA if self.ground else None

    def shadow_of(self, concept: str) -> UInt8Array | None:
        """For "everything but product and shadow": the matte of the surfaces left out (the shadow), which stays on a new background."""
        named = {item.name: item for item in self.request.concepts}
        left = [self.visible[name].alpha for name in named[concept].complement_of if named[name].kind == "surface" and name in self.visible]
        return unite([Matte(alpha) for alpha in left]).alpha if left else None


def _shield(request: PhotoRequest, whole: dict[str, Matte]) -> UInt8Array | None:
    protected = [whole[name] for name in request.protect if name in whole]
    return unite(protected).alpha if protected else None


def _apply(canvas: Canvas, edit: Edit, job: _Job, neighbours: Neighbours) -> EditReport:
    """Apply one edit to `canvas` in place. Several edits of one concept build on each other."""
    rule, parts = edit.rule, job.parts_of(edit)
    if isinstance(rule, Remove):
        neighbours.rejoin(canvas.rgb)
        before = canvas.rgb.copy()
        apply_remove(canvas, rule, parts, shadow=job.shadow_of(edit.concept), protected=job.shield, floor=job.floor(), network=job.network)
        return measure(edit.concept, rule, parts, before, canvas.rgb)
    before = canvas.rgb.copy()
    painters = [_painter(edit, part, job) for part in parts]
    if not _changes_nothing(rule):
        neighbours.paint(before, canvas.rgb, edit.concept, zip(parts, painters, strict=True))
    confidence = min((painter.confidence for painter in painters if isinstance(painter, TexturePainter)), default=None)
    requested = rule.color.upper() if isinstance(rule, Recolor) else None
    return measure(edit.concept, rule, parts, before, canvas.rgb, requested=requested, geometry=confidence)


def _changes_nothing(rule: Rule) -> bool:
    if isinstance(rule, Tone):
        return rule == Tone()
    return isinstance(rule, Recolor | Texture) and rule.strength == 0.0


def _painter(edit: Edit, part: Surface, job: _Job) -> Painter:
    if isinstance(edit.rule, Recolor):
        return Recolorer(part, edit.rule)
    if isinstance(edit.rule, Texture):
        plane = job.geometry.plane(edit.concept, part, edit.rule.camera_height_m)
        return TexturePainter(part, edit.rule, material_of(edit.rule, job.attachments), plane)
    if isinstance(edit.rule, Tone):
        return Toner(edit.rule)
    raise EditError(f"the rule '{edit.rule.rule}' cannot be painted")


def _write_masks(found: Iterable[Found], files: list[bytes], reports: list[FileReport]) -> None:
    for item in found:
        if item.matte is None:
            continue
        for number, mask in enumerate(instance_masks(item), start=1):
            files.append(encode(mask, "png"))
            reports.append(FileReport(kind="mask", name=item.report.name, instance=number, media_type=MEDIA_TYPES["png"]))


def instance_masks(item: Found) -> list[UInt8Array]:
    """Full-resolution masks uint8 [H,W], one per instance: the concept's matte where that instance is the most probable."""
    if item.matte is None:
        return []
    if len(item.instances) <= 1:
        return [item.matte.alpha]
    height, width = item.matte.alpha.shape
    stack = np.stack(item.instances)
    owner = stack.argmax(axis=0).astype(np.uint8)
    owner_full = cv2.resize(owner, (width, height), interpolation=cv2.INTER_NEAREST)
    return [np.where(owner_full == index, item.matte.alpha, np.uint8(0)) for index in range(len(item.instances))]
