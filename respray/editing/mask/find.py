"""The mattes of a photo, in one call: the network's answer and the users' masks -> what each concept is, and what each edit may touch.

In this order, each step from the one before it: choose among the network's masks (`select`), refine them at the photo's edges (`refine`),
feather (`matte`), build complements, and cut each by what lies in front of it (`overlap`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from respray.catalog.preset import has_straight_borders, is_decided_by_colour, is_narrow
from respray.contract.errors import EditError, ImageError
from respray.contract.report import BoxReport, ConceptReport
from respray.contract.request import Box, ConceptQuery, ObjectSource, Output, PhotoRequest, needs_segmentation, prompts_of
from respray.editing.core.reduce import Reduced
from respray.editing.mask.crf import FieldPicture
from respray.editing.mask.matte import Matte, complement, feather, unite
from respray.editing.mask.overlap import resolve
from respray.editing.mask.parts import Parts, connected_parts
from respray.editing.mask.png_rows import read_mask
from respray.editing.mask.refine import refine, refine_plane, refine_thing, refine_user_mask
from respray.editing.mask.select import Segments, Selection, select
from respray.editing.mask.straight import work_picture
from respray.editing.mask.straight_vanishing import vanishing_points
from respray.editing.mask.turned import alike, fits_stored_only, turn_upright
from respray.imaging.arrays import Float64Array, UInt8Array

# A concept whose matte covers less than this share of the photo was not found: a limit on a network's guesses, not on what people draw.
MIN_AREA_SHARE = 2e-4


@dataclass(frozen=True)
class FoundConcept:
    """What is known of one concept.

    Attributes:
        matte: None where it was not found.
        instances: probabilities uint8 [h,w] of each instance, at the network's size.
        pieces: the connected parts of an object that does not come as instances; None of anything else.
        scores: of each instance.
        by_instance: its matte is made of the instances, and not of a region.
        report: the numbers for the caller.
        why: the reason, for a person, where it was not found for another one than that the network did not see it.
    """

    matte: Matte | None
    instances: list[UInt8Array]
    report: ConceptReport
    why: str = ""
    pieces: Parts | None = None
    scores: Sequence[float] = ()
    by_instance: bool = False


@dataclass(frozen=True)
class PhotoMattes:
    """The mattes of one photo, as one output has them.

    Attributes:
        found: every concept that the output knows of, by name and in its order.
        visible: the mattes of the found and unprotected ones, where nothing in front of them hides them; by name.
        protected: uint8 [H,W], the matte of what must not be touched; None where nothing was found of that.
        kept: names of the concepts that must not be touched.
    """

    found: dict[str, FoundConcept]
    visible: dict[str, Matte]
    protected: UInt8Array | None
    kept: frozenset[str] = frozenset()


class FoundMattes:
    """What was found in a photo, once for all outputs; which of it each may touch, they say themselves."""

    def __init__(
        self, request: PhotoRequest, edited: dict[str, FoundConcept], kept: dict[str, FoundConcept], warnings: Sequence[str] = ()
    ) -> None:
        """Prepare for the outputs of a request.

        Args:
            request: the request.
            edited: its concepts that some output may touch, by name. Complements are built here.
            kept: its concepts that some output protects.
            warnings: what a person should know of the masks that were sent.
        """
        self._request, self._edited, self._kept = request, edited, kept
        self.warnings = tuple(warnings)
        self._queries = {concept.name: concept for concept in request.concepts}
        self._objects = {concept.name for concept in request.concepts if concept.kind == "object"}
        self.concepts = self._with_complements(_protected_by_all(request))

    def sharing(self, output: Output) -> tuple[frozenset[str], tuple[str, ...]]:
        """The same for outputs that have the same mattes: what they protect, and what they know of, in their order."""
        protect = (*self._request.protect, *output.protect)
        known = output.concepts or [concept.name for concept in self._request.concepts]
        return frozenset(protect), tuple(dict.fromkeys((*known, *protect)))

    def of(self, output: Output) -> PhotoMattes:
        """The mattes of one output, made anew."""
        protect, known = self.sharing(output)
        concepts = [self._queries[name] for name in known]
        every = self._with_complements(protect)
        found = {concept.name: every[concept.name] for concept in concepts}
        whole = {name: item.matte for name, item in found.items() if item.matte is not None}
        protected = [whole[concept.name] for concept in concepts if concept.name in protect and concept.name in whole]
        return PhotoMattes(found, resolve(concepts, whole, protect), unite(protected).alpha if protected else None, protect)

    def _with_complements(self, protect: Collection[str]) -> dict[str, FoundConcept]:
        """Every concept, as it is where `protect` names what is protected."""
        found: dict[str, FoundConcept] = {}
        for concept in self._request.concepts:
            first, second = (self._kept, self._edited) if concept.name in protect else (self._edited, self._kept)
            if concept.name in first or concept.name in second:
                found[concept.name] = first.get(concept.name) or second[concept.name]
        for concept in self._request.concepts:
            if concept.name not in found:
                found[concept.name] = _complement(concept, found, self._objects)
        return {concept.name: found[concept.name] for concept in self._request.concepts}


def find_mattes(
    photo: UInt8Array,
    request: PhotoRequest,
    segments: Segments,
    attachments: Sequence[bytes],
    object_source: ObjectSource = "instances",
    stored_orientation: int = 1,
) -> FoundMattes:
    """Find and refine the mattes of a photo.

    User masks of protected concepts are kept to the pixel. What is protected is never feathered: a thin thing's matte would nowhere be
    whole any more, and what is not whole is not protected. Nor are bare patches added to it: they would be bare for good. So a concept that
    one output edits and another protects has two mattes.

    Args:
        photo: uint8 [H,W,3], sRGB.
        request: its concepts, what it and its outputs protect, its feather.
        segments: answers `prompts_of(request.concepts)`, in that order.
        attachments: encoded files, the users' masks among them.
        object_source: which of the network's answers an object takes, see `select`.
        stored_orientation: the EXIF orientation, 1 to 8, that `photo` was stored with: a mask of the stored photo is turned along.

    Returns:
        The mattes.

    Raises:
        EditError: `segments` or `attachments` do not fit the request.
        ImageError: an attachment is no picture.
    """
    concepts = request.concepts
    needed = len(prompts_of(concepts))
    if len(segments.presence) < needed:
        raise EditError(f"{needed} prompts were asked for, but the segmentation answers {len(segments.presence)}")
    always, ever = _protected_by_all(request), {*request.protect, *(name for output in request.outputs for name in output.protect)}
    edited: dict[str, FoundConcept] = {}
    kept: dict[str, FoundConcept] = {}
    warnings: list[str] = []
    seen = [concept.name for concept in concepts if needs_segmentation(concept)]
    straight = any(has_straight_borders(name) for name in seen)
    work = FieldPicture(work_picture(photo) if straight or any(is_decided_by_colour(name) for name in seen) else photo)
    points = vanishing_points(work.photo) if straight else None
    reduced = Reduced(photo)
    row = 0
    for concept in concepts:
        wanted = [found for found, wanted in ((edited, concept.name not in always), (kept, concept.name in ever)) if wanted]
        if concept.mask_attachment is not None:
            mask, remarks = _user_mask(concept, attachments, photo.shape[:2], stored_orientation)
            warnings += remarks
            why = _why_nothing(int(mask.max(initial=0)))
            for found in wanted:
                drawn = refine_user_mask(mask, photo, keep=found is kept, reduced=reduced)
                radius = 0.0 if found is kept else request.feather
                found[concept.name] = _found(concept, feather(drawn, radius), _told(1.0), "user", why, at_any_size=True)
        elif needs_segmentation(concept):
            selection = select(segments, range(row, row + len(concept.prompts)), concept, object_source)
            row += len(concept.prompts)
            fill = concept.kind == "surface" and concept.name not in always and not is_narrow(concept.name)
            refined, patches = _refined(concept, selection.probability, reduced, work, points, fill, warnings)
            for found in wanted:
                matte = refined
                if found is kept and patches:
                    matte, _ = _refined(concept, selection.probability, reduced, work, points, False, [])
                elif found is edited and refined is not None:
                    matte = feather(refined, request.feather)
                found[concept.name] = _found(concept, matte, selection, "sam3", at_any_size=found is kept)
    return FoundMattes(request, edited, kept, warnings)


def _refined(
    concept: ConceptQuery,
    probability: UInt8Array | None,
    reduced: Reduced,
    work: FieldPicture,
    points: Float64Array | None,
    fill: bool,
    warnings: list[str],
) -> tuple[Matte | None, int]:
    """The matte of what the network saw, and how many bare patches were filled beside it, if `fill` says so; what was decided against the
    network is added to the warnings. `reduced`, `work`: the photo, and its `work_picture`; `points`: its `vanishing_points`."""
    if probability is None:
        return None, 0
    photo = reduced.picture
    if not has_straight_borders(concept.name):
        thing = is_decided_by_colour(concept.name)
        return (refine_thing(probability, photo, work, reduced) if thing else refine(probability, photo, reduced=reduced)), 0
    plane = refine_plane(probability, photo, work, points, is_narrow(concept.name), fill, reduced=reduced)
    done = [f"{count} {word}" for count, word in ((plane.filled, "filled in"), (plane.dropped, "left out")) if count]
    if done and not concept.aid:
        warnings.append(f"small patches of '{concept.name}' that the photo shows nothing of: {' and '.join(done)}")
    return plane.matte, plane.patches


def _protected_by_all(request: PhotoRequest) -> set[str]:
    """What no output may touch."""
    shared = set.intersection(*(set(output.protect) for output in request.outputs)) if request.outputs else set[str]()
    return shared.union(request.protect)


def _user_mask(
    concept: ConceptQuery, attachments: Sequence[bytes], photo: tuple[int, ...], stored_orientation: int
) -> tuple[UInt8Array, list[str]]:
    """A user's mask for a photo of (H, W), uint8 [h,w] of any size, and what its sender should know of it."""
    index = concept.mask_attachment
    if index is None or index >= len(attachments):
        raise EditError(f"concept '{concept.name}' refers to attachment {index}, but {len(attachments)} were sent")
    name = f"the mask of '{concept.name}'"
    try:
        mask = read_mask(attachments[index])
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    if fits_stored_only(mask.shape, photo, stored_orientation):
        return turn_upright(mask, stored_orientation), [f"{name} fits the photo before it was turned upright; it was turned along"]
    if not alike(mask.shape, photo):
        sizes = f"has {mask.shape[1]} x {mask.shape[0]} pixels and the photo {photo[1]} x {photo[0]}"
        return mask, [f"{name} {sizes}, which is another shape: it was stretched over the photo"]
    return mask, [f"{name} selects the whole photo: it is white everywhere"] if mask.min() == 255 else []


def _why_nothing(brightest: int) -> str:
    """What to say of a mask whose concept was not found, by its brightest value."""
    if brightest:
        return f"its mask selects next to nothing: it is nowhere brighter than {brightest} of 255"
    return "its mask selects nothing: it is black or transparent everywhere"


def _complement(concept: ConceptQuery, found: dict[str, FoundConcept], objects: set[str]) -> FoundConcept:
    """Everything but what was found, unless an object was not: a product need not have a shadow, but it would be painted over itself."""
    present, missed = [], []
    for name in concept.complement_of:
        if name not in found:
            raise EditError(f"concept '{concept.name}' is everything but '{name}', which is not in the request: {', '.join(found)}")
        matte = found[name].matte
        if matte is not None:
            present.append(matte)
        elif name in objects:
            missed.append(name)
    if missed or not present:
        names = " and ".join(f"'{name}'" for name in missed or concept.complement_of)
        why = f"without {names} it cannot be told; lower options.threshold, or send a mask of {names} in mask_keys"
        return _found(concept, None, _told(0.0), "complement", why)
    return _found(concept, complement(unite(present)), _told(1.0), "complement")


def _found(
    concept: ConceptQuery,
    matte: Matte | None,
    seen: Selection,
    source: str,
    why: str = "",
    *,
    at_any_size: bool = False,
) -> FoundConcept:
    """A concept with its report; not found where there is next to nothing of it, unless a person has drawn it or it is protected."""
    share = 0.0 if matte is None else matte.area_share
    there = matte is not None and (bool(matte.alpha.any()) if at_any_size else share >= MIN_AREA_SHARE)
    # However much stands in front of a surface, it is one; things that are apart are several.
    apart = matte is not None and there and concept.kind == "object" and not seen.by_instance and not concept.complement_of
    pieces = connected_parts(matte.alpha) if matte is not None and apart else None
    instances = seen.instances if there and pieces is None else []
    count = pieces.count if pieces is not None else (len(instances) or 1)
    report = ConceptReport.model_validate(
        {
            "name": concept.name,
            "found": there,
            "coverage": round(share, 5),
            "score": round(seen.score, 4),
            "source": source,
            "instances": count if there else 0,
            "boxes": _box_reports(concept, matte if there else None) if source == "sam3" else [],
        }
    )
    return FoundConcept(matte if there else None, instances, report, why, pieces, seen.scores if instances else (), seen.by_instance)


def _box_reports(concept: ConceptQuery, matte: Matte | None) -> list[BoxReport]:
    reports: list[BoxReport] = []
    for use, boxes in (("boxes", concept.boxes), ("not_boxes", concept.not_boxes)):
        for box in boxes:
            covered = 0.0 if matte is None else _covered(matte.alpha, box)
            reports.append(BoxReport.model_validate({"use": use, "box": box, "covered": round(covered, 4)}))
    return reports


def _covered(alpha: UInt8Array, box: Box) -> float:
    """How much of a box is a matte, uint8 [H,W]; a box has at least one pixel."""
    height, width = alpha.shape
    left, top = min(width - 1, int(box[0] * width)), min(height - 1, int(box[1] * height))
    part = alpha[top : max(top + 1, round(box[3] * height)), left : max(left + 1, round(box[2] * width))]
    return float(part.mean()) / 255.0


def _told(score: float) -> Selection:
    """What is known without the network."""
    return Selection(None, [], [], score, False)
