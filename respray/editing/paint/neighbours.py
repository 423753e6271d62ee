"""Surfaces of one output that meet: whose a pixel of their common edge is, and what it looks like once all of them are painted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numba import int64, uint8, uint16, void

from respray.editing.core.compiled import compiled_for
from respray.editing.core.field import Tile
from respray.editing.core.painter import Painter
from respray.editing.mask.matte import Matte
from respray.editing.paint.composite import Before, Seam, blend_seams, composite
from respray.editing.paint.edges import EDGE, HALF_ALPHA, background_field, nearest_outside
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array, UInt16Array

# So many pixels from another surface an edge may show some of it: a row of pixels may lie between two mattes that meet.
REACH = EDGE.rim_beside + 2
# Twice a larger number does not fit into eight bits.
MANY = 128


@dataclass(frozen=True)
class _Seams:
    """The seams of a painted surface, and its `nearest_outside`."""

    part: Surface
    seams: list[Seam]
    outside: IntArray | None


class Neighbours:
    """The concepts that one output paints.

    All are seen from one picture, as it was before the first of them, so that their order does not matter. Each pixel under sharp mattes is
    painted for one of them only, the one that has most of it; under feathers each adds its part of the change.
    """

    def __init__(self, mattes: Mapping[str, Matte]) -> None:
        """Prepare for some concepts.

        Args:
            mattes: by concept, as resolved by `respray.editing.mask.overlap`.
        """
        sharp = {name: matte.alpha for name, matte in mattes.items() if not matte.feathered}
        self._number = {name: number for number, name in enumerate(sharp)}
        # With one sharp matte or none, nobody shares an edge.
        self._owners = _owners(list(sharp.values())) if len(sharp) > 1 else None
        self._common: UInt8Array | None = None
        self._painted: set[str] = set()
        self._seams: dict[str, list[_Seams]] = {}
        self._settled: set[str] = set()

    def paint(self, picture: UInt8Array, concept: str, parts: Iterable[tuple[Surface, Painter]]) -> UInt8Array:
        """Paint the parts of a concept.

        Args:
            picture: uint8 [H,W,3], sRGB, as it is now; the first concept leaves it as it is, the others paint into it.
            concept: its name.
            parts: its surfaces, each with its painter.

        Returns:
            The painted picture.
        """
        if self._common is None:
            self._common, picture = picture, picture.copy()
        again = concept in self._painted
        beside: Callable[[Tile], BoolArray] | None = None
        crop = np.zeros((0, 0, 3), np.uint8)
        outside: IntArray | None = None
        outer = np.zeros((0, 0, 3), np.float32)
        seams: list[_Seams] = []
        for part, painter in parts:
            if not seams:  # all parts of a concept have the same box, and the same around them
                beside = self._beside(concept, part)
                x0, y0, x1, y1 = part.box
                crop = picture[y0:y1, x0:x1].copy() if again else self._common[y0:y1, x0:x1]
                outside = nearest_outside(part)
                outer = background_field(part, None if concept not in self._settled else crop, outside)
            found = composite(Before(crop, own=not again), picture, self._own(concept, part), painter, outer, beside=beside)
            seams.append(_Seams(part, found, outside))
        # A rug leaves the edge of the floor as the floor's own edit has made it.
        painted = [new.part for new in seams]
        left = [replace(old, seams=[_left(old.part, seam, painted) for seam in old.seams]) for old in self._seams.get(concept, ())]
        self._seams[concept] = left + seams
        self._painted.add(concept)
        return picture

    def blend_seams(self, target: UInt8Array) -> None:
        """Settle the edges in `target` (uint8 [H,W,3], in place), after the last edit and before one of another kind."""
        for concept, found in self._seams.items():
            self._seams[concept] = []
            around: FloatArray | None = None
            last: _Seams | None = None
            for one in filter(lambda one: one.seams, found):
                # The materials of a concept have the same around them; what was painted at another time may be another part of it.
                if around is None or last is None or one.outside is not last.outside or one.part.box != last.part.box:
                    x0, y0, x1, y1 = one.part.box
                    around, last = background_field(one.part, target[y0:y1, x0:x1], one.outside), one
                self._seams[concept].append(replace(one, seams=blend_seams(target, one.part, one.seams, around)))
        # Painted once more, they are seen beside their neighbours' new colours; what was not painted yet still shows the old ones.
        self._settled |= self._painted
        self._common = None

    def _own(self, concept: str, part: Surface) -> Surface:
        if self._owners is None or concept not in self._number:
            return part
        x0, y0, x1, y1 = part.box
        alpha = np.empty_like(part.alpha)
        _keep_own(part.alpha, self._owners[y0:y1, x0:x1], 2 * self._number[concept] + 1, alpha)
        return replace(part, alpha=alpha)

    def _beside(self, concept: str, part: Surface) -> Callable[[Tile], BoolArray] | None:
        """Tells which pixels of a tile of a part's box lie so near to another painted surface that they may show some of it, bool [h,w];
        None where none can."""
        if self._owners is None or concept not in self._number:
            return None
        x0, y0, x1, y1 = part.box
        owners, mine, side = self._owners[y0:y1, x0:x1], 2 * self._number[concept] + 1, 2 * REACH + 1

        def beside(tile: Tile) -> BoolArray:
            wide = tile.grown(REACH)
            other = np.empty(owners[wide.window].shape, np.uint8)
            _mark_others(owners[wide.window], mine, other)
            near = cast(UInt8Array, cv2.dilate(other, np.ones((side, side), np.uint8)))
            return near.view(np.bool_)[tile.window_in(wide)]

        return beside


def _left(part: Surface, seam: Seam, painted: Sequence[Surface]) -> Seam:
    """What of the mixed pixels of a surface is not painted once more with these."""
    rows, columns = np.divmod(seam.at, part.alpha.shape[1])
    left = np.ones(len(seam.at), bool)
    for new in painted:
        # Rows and columns of the other surface's box.
        y, x = rows + (part.box[1] - new.box[1]), columns + (part.box[0] - new.box[0])
        inside = (y >= 0) & (x >= 0) & (y < new.alpha.shape[0]) & (x < new.alpha.shape[1])
        left[inside] &= new.alpha[y[inside], x[inside]] == 0
    codes = None if seam.codes is None else seam.codes[left]
    return Seam(seam.at[left], seam.rest[left], seam.background[left], seam.around[left], codes)


def _owners(alphas: Sequence[UInt8Array]) -> UInt8Array | UInt16Array:
    """Which of the mattes (uint8 [H,W]) has most of each pixel, the first of several, and whether it has half of it: twice its number, and
    one more where it has; uint8 [H,W], or uint16 where there are many."""
    first, *others = alphas
    highest = first.copy()
    half = first >= HALF_ALPHA
    owner: UInt8Array | UInt16Array = half.view(np.uint8) if len(alphas) <= MANY else half.astype(np.uint16)
    for number, alpha in enumerate(others, start=1):
        _own_higher(np.ascontiguousarray(alpha).ravel(), 2 * number, highest.ravel(), owner.ravel())
    return owner


@compiled_for(void(uint8[::1], int64, uint8[::1], uint8[::1]), void(uint8[::1], int64, uint8[::1], uint16[::1]))
def _own_higher(alpha: UInt8Array, mine: int, highest: UInt8Array, owner: UInt8Array | UInt16Array) -> None:
    """Where a matte [n] is above the `highest` so far, it owns the pixel: `mine`, and one more where it has half of it."""
    for i in range(len(alpha)):
        higher = alpha[i] > highest[i]
        owner[i] = mine + (alpha[i] >= HALF_ALPHA) if higher else owner[i]
        highest[i] = max(alpha[i], highest[i])


@compiled_for(void(uint8[:, :], uint8[:, :], uint8, uint8[:, ::1]), void(uint8[:, :], uint16[:, :], uint16, uint8[:, ::1]))
def _keep_own(alpha: UInt8Array, owners: UInt8Array | UInt16Array, mine: int, own: UInt8Array) -> None:
    """What of a part of a matte [h,w] is its own, by `_owners` (`mine`: where it has half of a pixel), into `own` uint8 [h,w]."""
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            own[y, x] = alpha[y, x] if owners[y, x] | 1 == mine else 0


@compiled_for(void(uint8[:, :], uint8, uint8[:, ::1]), void(uint16[:, :], uint16, uint8[:, ::1]))
def _mark_others(owners: UInt8Array | UInt16Array, mine: int, other: UInt8Array) -> None:
    """Where another matte than this (`mine`, as of `_keep_own`) has half of a pixel, 1 in `other` uint8 [h,w], else 0."""
    for y in range(owners.shape[0]):
        for x in range(owners.shape[1]):
            other[y, x] = owners[y, x] & 1 if owners[y, x] != mine else 0
