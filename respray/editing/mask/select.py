"""From the network's answer to one picture of probabilities per concept: which prompts count as found, and which masks are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.contract.request import ConceptQuery, ObjectSource
from respray.imaging.arrays import FloatArray, UInt8Array


@dataclass(frozen=True)
class Segments:
    """The network's answer for one photo, prompts in the order of `prompts_of`. N may exceed the number of prompts (padding).

    Attributes:
        region: uint8 [N,h,w], semantic probability x 255.
        masks: uint8 [N,K,h,w], probability x 255 of every instance.
        scores: float32 [N,K], already multiplied by presence.
        boxes: float32 [N,K,4], (x0, y0, x1, y1) in 0..1.
        presence: float32 [N].
    """

    region: UInt8Array
    masks: UInt8Array
    scores: FloatArray
    boxes: FloatArray
    presence: FloatArray

    @classmethod
    def empty(cls) -> Segments:
        """For requests in which every concept brings its own mask.

        Example:
            >>> Segments.empty().presence.shape
            (0,)
        """
        masks, scores = np.zeros((0, 0, 1, 1), np.uint8), np.zeros((0, 0), np.float32)
        return cls(np.zeros((0, 1, 1), np.uint8), masks, scores, np.zeros((0, 0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Selection:
    """What of the network's answer is one concept.

    Attributes:
        probability: uint8 [h,w], 255 = certainly the concept; None where it was not found.
        instances: uint8 [h,w] of each instance.
        scores: of each instance, 0..1.
        score: the best, 0..1.
        by_instance: `probability` is the union of the instances, and not a region.
    """

    probability: UInt8Array | None
    instances: list[UInt8Array]
    scores: list[float]
    score: float
    by_instance: bool


def select(segments: Segments, rows: Iterable[int], concept: ConceptQuery, object_source: ObjectSource) -> Selection:
    """Choose what of the network's answer is a concept.

    A surface takes the semantic region where the prompt's presence reaches the threshold. An object takes the union of the instances that
    reach it, and falls back to the region when no instance does but the presence does.

    Args:
        segments: the network's answer.
        rows: the concept's prompts in it.
        concept: its kind and threshold count.
        object_source: "region": an object, too, always takes the region.

    Returns:
        The selection.
    """
    from_region = concept.kind == "surface" or object_source == "region"
    parts: list[UInt8Array] = []
    instances: list[UInt8Array] = []
    scores: list[float] = []
    by_instance = False
    best = 0.0
    for row in rows:
        presence = float(segments.presence[row])
        reached = [(segments.masks[row, k], float(score)) for k, score in enumerate(segments.scores[row]) if score >= concept.threshold]
        chosen = [mask for mask, _ in reached]
        best = max(best, float(segments.scores[row].max(initial=0.0)) if chosen else presence)
        instances += chosen
        scores += [score for _, score in reached]
        if chosen and not from_region:
            parts += chosen
            by_instance = True
        elif presence >= concept.threshold:
            parts.append(segments.region[row])
    if not parts:
        return Selection(None, [], [], best, False)
    probability = parts[0]
    for part in parts[1:]:
        probability = cast(UInt8Array, cv2.max(probability, part))
    return Selection(probability, instances, scores, best, by_instance)
