"""From the network's answer to one matte per concept: which prompts count as found, and which probabilities are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from respray.contract.errors import EditError
from respray.contract.report import ConceptReport
from respray.contract.request import ConceptQuery, ObjectSource, prompts_of
from respray.editing.mask import matte as mattes
from respray.editing.mask.matte import Matte
from respray.imaging.arrays import FloatArray, UInt8Array
from respray.imaging.decode import decode_mask

# A concept whose matte covers less than this share of the photo was not found.
LEAST_COVERAGE = 2e-4


@dataclass(frozen=True)
class Segments:
    """The network's answer for one photo, prompts in the order of `prompts_of`.

    `region` uint8 [N,h,w] (semantic probability x 255), `masks` uint8 [N,K,h,w] (instances), `scores` float32 [N,K] (already multiplied by
    presence), `boxes` float32 [N,K,4] (x0,y0,x1,y1 in 0..1), `presence` float32 [N]. N may exceed the number of prompts (padding).
    """

    region: UInt8Array
    masks: UInt8Array
    scores: FloatArray
    boxes: FloatArray
    presence: FloatArray

    @classmethod
    def empty(cls) -> Segments:
        """For requests in which every concept brings its own mask."""
        masks, scores = np.zeros((0, 0, 1, 1), np.uint8), np.zeros((0, 0), np.float32)
        return cls(np.zeros((0, 1, 1), np.uint8), masks, scores, np.zeros((0, 0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Found:
    """One concept's matte (None: not found), its instances' low-resolution probabilities uint8 [h,w], and the report.

    `why` tells a person the reason where it was not found for another reason than that the network did not see it.
    """

    matte: Matte | None
    instances: list[UInt8Array]
    report: ConceptReport
    why: str = ""


def find(
    photo: UInt8Array,
    concepts: Sequence[ConceptQuery],
    segments: Segments,
    attachments: Sequence[bytes],
    *,
    feather: float = 0.0,
    object_source: ObjectSource = "instances",
    protect: Collection[str] = (),
) -> dict[str, Found]:
    """One `Found` per concept name. Raises `EditError` when `segments` or `attachments` do not fit the request.

    User masks of the concepts in `protect` are kept to the pixel. What is protected is never feathered: a thin thing's matte would
    nowhere be whole any more, and what is not whole is not protected.

    A surface takes the semantic region where the prompt's presence reaches the threshold. An object takes the union of the instances that
    reach it, and falls back to the region when no instance does but the presence does (`object_source` "region": always the region).
    """
    needed = len(prompts_of(concepts))
    if len(segments.presence) < needed:
        raise EditError(f"{needed} prompts were asked for, but the segmentation answers {len(segments.presence)}")
    found: dict[str, Found] = {}
    row = 0
    for concept in concepts:
        keep = concept.name in protect
        if concept.mask_attachment is not None:
            found[concept.name] = _from_attachment(photo, concept, attachments, feather, keep=keep)
        elif not concept.complement_of:
            rows = range(row, row + len(concept.prompts))
            from_region = concept.kind == "surface" or object_source == "region"
            found[concept.name] = _from_network(photo, concept, segments, rows, from_region=from_region, feather=feather, keep=keep)
            row += len(concept.prompts)
    for concept in concepts:
        if concept.complement_of and concept.mask_attachment is None:
            found[concept.name] = _complement(concept, found, {item.name for item in concepts if item.kind == "object"})
    return {concept.name: found[concept.name] for concept in concepts}


def _from_network(
    photo: UInt8Array, concept: ConceptQuery, segments: Segments, rows: range, *, from_region: bool, feather: float, keep: bool
) -> Found:
    probability: UInt8Array | None = None
    instances: list[UInt8Array] = []
    best = 0.0
    for row in rows:
        presence = float(segments.presence[row])
        chosen = [k for k, score in enumerate(segments.scores[row]) if score >= concept.threshold]
        top = float(segments.scores[row].max(initial=0.0))
        best = max(best, top if chosen else presence)
        instances += [segments.masks[row, k] for k in chosen]
        parts: list[UInt8Array] = []
        if chosen and not from_region:
            parts = [segments.masks[row, k] for k in chosen]
        elif presence >= concept.threshold:
            parts = [segments.region[row]]
        for part in parts:
            probability = part if probability is None else cv2.max(probability, part)
    if probability is None:
        return Found(None, [], ConceptReport(name=concept.name, found=False, coverage=0.0, instances=0, score=round(best, 4)))
    matte = mattes.feather(mattes.refine(probability, photo), 0.0 if keep else feather)
    return _found(concept, matte, instances, best, "sam3")


def _from_attachment(photo: UInt8Array, concept: ConceptQuery, attachments: Sequence[bytes], feather: float, *, keep: bool) -> Found:
    index = concept.mask_attachment
    if index is None or index >= len(attachments):
        raise EditError(f"concept '{concept.name}' refers to attachment {index}, but {len(attachments)} were sent")
    matte = mattes.from_user_mask(decode_mask(attachments[index]), photo, keep=keep)
    return _found(concept, matte if keep else mattes.feather(matte, feather), [], 1.0, "user")


def _complement(concept: ConceptQuery, found: dict[str, Found], objects: Collection[str]) -> Found:
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
        report = ConceptReport(name=concept.name, found=False, coverage=0.0, instances=0, score=0.0, source="complement")
        return Found(None, [], report, why)
    return _found(concept, mattes.complement(mattes.unite(present)), [], 1.0, "complement")


def _found(concept: ConceptQuery, matte: Matte, instances: list[UInt8Array], score: float, source: str) -> Found:
    coverage = matte.coverage
    there = coverage >= LEAST_COVERAGE
    report = ConceptReport.model_validate(
        {
            "name": concept.name,
            "found": there,
            "coverage": round(coverage, 5),
            "score": round(score, 4),
            "source": source,
            "instances": (len(instances) or 1) if there else 0,
        }
    )
    return Found(matte if there else None, instances if there else [], report)
