"""The mattes of a photo, in one call: the network's answer and the users' masks -> what each concept is, and what each edit may touch.

In this order, each step from the one before it: choose among the network's masks (`select`), refine them at the photo's edges (`refine`),
feather (`matte`), build complements, and cut each by what lies in front of it (`overlap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from respray.contract.errors import EditError
from respray.contract.report import ConceptReport
from respray.contract.request import ConceptQuery, ObjectSource, PhotoRequest, needs_segmentation, prompts_of
from respray.editing.mask.matte import Matte, complement, feather, unite
from respray.editing.mask.overlap import resolve
from respray.editing.mask.refine import refine, refine_user_mask
from respray.editing.mask.select import Segments, select
from respray.imaging.arrays import UInt8Array
from respray.imaging.isolated import decode_mask

# A concept whose matte covers less than this share of the photo was not found: a limit on a network's guesses, not on what people draw.
MIN_AREA_SHARE = 2e-4


@dataclass(frozen=True)
class FoundConcept:
    """What is known of one concept.

    Attributes:
        matte: None where it was not found.
        instances: probabilities uint8 [h,w] of each instance, at the network's size.
        report: the numbers for the caller.
        why: the reason, for a person, where it was not found for another one than that the network did not see it.
    """

    matte: Matte | None
    instances: list[UInt8Array]
    report: ConceptReport
    why: str = ""


@dataclass(frozen=True)
class PhotoMattes:
    """The mattes of one photo.

    Attributes:
        found: every concept of the request, by name and in its order.
        visible: the mattes of the found and unprotected ones, where nothing in front of them hides them; by name.
        protected: uint8 [H,W], the matte of what must not be touched; None where nothing was found of that.
    """

    found: dict[str, FoundConcept]
    visible: dict[str, Matte]
    protected: UInt8Array | None


def find_mattes(
    photo: UInt8Array,
    request: PhotoRequest,
    segments: Segments,
    attachments: Sequence[bytes],
    object_source: ObjectSource = "instances",
) -> PhotoMattes:
    """Find and refine the mattes of a photo.

    User masks of protected concepts are kept to the pixel. What is protected is never feathered: a thin thing's matte would nowhere be
    whole any more, and what is not whole is not protected.

    Args:
        photo: uint8 [H,W,3], sRGB.
        request: its concepts, what it protects, its feather.
        segments: answers `prompts_of(request.concepts)`, in that order.
        attachments: encoded files, the users' masks among them.
        object_source: which of the network's answers an object takes, see `select`.

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
    found: dict[str, FoundConcept] = {}
    row = 0
    for concept in concepts:
        keep = concept.name in request.protect
        radius = 0.0 if keep else request.feather
        if concept.mask_attachment is not None:
            drawn = refine_user_mask(_user_mask(concept, attachments), photo, keep=keep)
            found[concept.name] = _found(concept, feather(drawn, radius), [], 1.0, "user", at_any_size=True)
        elif needs_segmentation(concept):
            selection = select(segments, range(row, row + len(concept.prompts)), concept, object_source)
            row += len(concept.prompts)
            probability = selection.probability
            selected = None if probability is None else feather(refine(probability, photo), radius)
            found[concept.name] = _found(concept, selected, selection.instances, selection.score, "sam3", at_any_size=keep)
    objects = {concept.name for concept in concepts if concept.kind == "object"}
    for concept in concepts:
        if concept.mask_attachment is None and not needs_segmentation(concept):
            found[concept.name] = _complement(concept, found, objects)
    whole = {concept.name: item for concept in concepts if (item := found[concept.name].matte) is not None}
    protected = [whole[name] for name in request.protect if name in whole]
    return PhotoMattes(
        found={concept.name: found[concept.name] for concept in concepts},
        visible=resolve(concepts, whole, request.protect),
        protected=unite(protected).alpha if protected else None,
    )


def _user_mask(concept: ConceptQuery, attachments: Sequence[bytes]) -> UInt8Array:
    index = concept.mask_attachment
    if index is None or index >= len(attachments):
        raise EditError(f"concept '{concept.name}' refers to attachment {index}, but {len(attachments)} were sent")
    return decode_mask(attachments[index])


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
        return _found(concept, None, [], 0.0, "complement", why)
    return _found(concept, complement(unite(present)), [], 1.0, "complement")


def _found(
    concept: ConceptQuery,
    matte: Matte | None,
    instances: list[UInt8Array],
    score: float,
    source: str,
    why: str = "",
    *,
    at_any_size: bool = False,
) -> FoundConcept:
    """A concept with its report; not found where there is next to nothing of it, unless a person has drawn it or it is protected."""
    share = 0.0 if matte is None else matte.area_share
    there = matte is not None and (bool(matte.alpha.any()) if at_any_size else share >= MIN_AREA_SHARE)
    report = ConceptReport.model_validate(
        {
            "name": concept.name,
            "found": there,
            "coverage": round(share, 5),
            "score": round(score, 4),
            "source": source,
            "instances": (len(instances) or 1) if there else 0,
        }
    )
    return FoundConcept(matte if there else None, instances if there else [], report, why)
