"""Surfaces of one output that meet: whose a pixel of their common edge is, and what it looks like once all of them are painted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np

from editing.composite import Painter, Seam, composite, rejoin
from editing.edges import RIM_BESIDE
from editing.matte import Matte
from editing.surface import Surface
from imaging.arrays import BoolArray, UInt8Array

# A pixel is a surface's when its matte has this much of it.
HALF = 128
# A row of pixels may lie between two mattes that meet.
REACH = RIM_BESIDE + 2


class Neighbours:
    """The concepts that one output paints.

    Each pixel is painted for one of them only, the one that has most of it, from what the photo shows there: painted for both, one after
    the other, the second would take the first one's new colour for its own surroundings. Wide soft edges lie over one another as asked.
    """

    def __init__(self, mattes: Mapping[str, Matte]) -> None:
        """`mattes` by concept, as resolved by `editing.overlap`."""
        hard = {name: matte.alpha for name, matte in mattes.items() if not matte.soft}
        self._names = list(hard)
        self._owner: UInt8Array | None = None
        self._most: UInt8Array | None = None
        if len(hard) > 1:
            self._owner, self._most = _owners(hard.values())
        self._seams: dict[str, list[tuple[Surface, list[Seam]]]] = {}
        self._other = False

    def paint(self, before: UInt8Array, target: UInt8Array, concept: str, parts: Iterable[tuple[Surface, Painter]]) -> None:
        """Paint the parts of a concept of `before` into `target` (both uint8 [H,W,3])."""
        again = self._other or concept in self._seams
        painted: list[tuple[Surface, list[Seam]]] = []
        for part, painter in parts:
            mine = self._own(concept, part)
            seams: list[Seam] = []
            composite(before, target, mine, painter, again=again, beside=self._beside(concept, part), seams=seams)
            painted.append((mine, seams))
        self._seams[concept] = painted

    def rejoin(self, target: UInt8Array) -> None:
        """Settle the edges, after the last edit or before one of another kind."""
        for painted in self._seams.values():
            for part, seams in painted:
                if seams:
                    rejoin(target, part, seams)
        # What comes now is not the photo any more.
        self._other = self._other or bool(self._seams)
        self._seams = {}

    def _own(self, concept: str, part: Surface) -> Surface:
        if self._owner is None or part.soft:
            return part
        x0, y0, x1, y1 = part.box
        mine = self._owner[y0:y1, x0:x1] == self._names.index(concept)
        return replace(part, alpha=np.where(mine, part.alpha, np.uint8(0)))


    def _beside(self, concept: str, part: Surface) -> BoolArray | None:
        """The pixels of a part's box that lie so near to another painted surface that they may show some of it; None where none can."""
        if self._owner is None or self._most is None or part.soft:
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
        cv2.copyTo(np.full_like(owner, number), more, owner)
        cv2.copyTo(alpha, more, most)
    return owner, most
