"""Surfaces of one output that meet: whose a pixel of their common edge is, and what it looks like once all of them are painted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np

from respray.editing.mask.matte import Matte
from respray.editing.paint.composite import Before, Painter, Seam, composite, rejoin
from respray.editing.paint.edges import HALF, RIM_BESIDE
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, UInt8Array

# A row of pixels may lie between two mattes that meet.
REACH = RIM_BESIDE + 2


class Neighbours:
    """The concepts that one output paints.

    Each pixel is painted for one of them only, the one that has most of it, from what the photo shows there: painted for both, one after
    the other, the second would take the first one's new colour for its own surroundings. Under wide soft edges each adds its part of the
    change, seen from the same picture, so that their order does not matter.
    """

    def __init__(self, mattes: Mapping[str, Matte]) -> None:
        """`mattes` by concept, as resolved by `respray.editing.mask.overlap`."""
        hard = {name: matte.alpha for name, matte in mattes.items() if matte.hard is None}
        self._names = list(hard)
        self._owner: UInt8Array | None = None
        self._most: UInt8Array | None = None
        if len(hard) > 1:
            self._owner, self._most = _owners(hard.values())
        self._any_soft = len(hard) < len(mattes)
        self._common: UInt8Array | None = None
        self._painted: set[str] = set()
        self._seams: dict[str, list[tuple[Surface, list[Seam]]]] = {}
        self._settled: set[str] = set()

    def paint(self, before: UInt8Array, target: UInt8Array, concept: str, parts: Iterable[tuple[Surface, Painter]]) -> None:
        """Paint the parts of a concept of `before`, which is what `target` (both uint8 [H,W,3]) looks like now, into `target`."""
        if self._any_soft and self._common is None:
            self._common = before
        again = concept in self._painted
        beside: BoolArray | None = None
        seams: list[tuple[Surface, list[Seam]]] = []
        for part, painter in parts:
            if not seams:  # all parts of a concept have the same box
                beside = self._beside(concept, part)
            picture = before if again or part.hard is None or self._common is None else self._common
            source = Before(picture, own=not again, around=concept not in self._settled)
            seams.append((part, composite(source, target, self._own(concept, part), painter, beside=beside)))
        self._seams[concept] = seams
        self._painted.add(concept)

    def rejoin(self, target: UInt8Array) -> None:
        """Settle the edges, after the last edit and before one of another kind."""
        for concept, seams in self._seams.items():
            self._seams[concept] = [(part, rejoin(target, part, found)) for part, found in seams if found]
        # Painted once more, they are seen beside their neighbours' new colours; what was not painted yet still shows the old ones.
        self._settled |= self._painted
        self._common = None

    def _own(self, concept: str, part: Surface) -> Surface:
        if self._owner is None or part.hard is not None:
            return part
        x0, y0, x1, y1 = part.box
        mine = self._owner[y0:y1, x0:x1] == self._names.index(concept)
        return replace(part, alpha=np.where(mine, part.alpha, np.uint8(0)))

    def _beside(self, concept: str, part: Surface) -> BoolArray | None:
        """The pixels of a part's box that lie so near to another painted surface that they may show some of it; None where none can."""
        if self._owner is None or self._most is None or part.hard is not None:
            return None
        x0, y0, x1, y1 = part.box
        other = (self._owner[y0:y1, x0:x1] != self._names.index(concept)) & (self._most[y0:y1, x0:x1] >= HALF)
        reach = 2 * REACH + 1
        return cv2.dilate(other.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0


def _owners(alphas: Iterable[UInt8Array]) -> tuple[UInt8Array, UInt8Array]:
    """Which of the mattes (uint8 [H,W]) has most of each pixel, the first of several, and how much: its number and its alpha."""
    first, *others = alphas
    most, owner = first.copy(), np.zeros_like(first)
    for number, alpha in enumerate(others, start=1):
        more = cv2.compare(alpha, most, cv2.CMP_GT)
        owner[more > 0] = number
        cv2.copyTo(alpha, more, most)
    return owner, most
