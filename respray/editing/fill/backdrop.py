"""The plain surface behind what is removed: the wall that a picture hung on.

Patches carry their light with them: put together, light that changes slowly over a wall has creases. And what stands beside a hole bleeds
into it. So where one plain surface is seen around most of a hole, that surface is stretched over it, and only its grain is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.shapes import grown
from respray.imaging.arrays import BoolArray, UInt8Array


@dataclass(frozen=True)
class BackdropParameters:
    """What a plain surface is. Chosen on rooms 8200-8223 of the renderer."""

    max_step: int = 4
    """8-bit codes, in any channel, by which neighbouring pixels of one surface differ at most."""
    rim: int = 3
    """Pixels around a hole that count as its rim."""
    min_share: float = 0.7
    """A backdrop is seen in at least this share of the rim."""


def find_backdrop(
    picture: UInt8Array, hole: BoolArray, known: BoolArray, parameters: BackdropParameters = BackdropParameters()
) -> BoolArray | None:
    """Find the plain surface that is seen around most of a hole.

    Args:
        picture: uint8 [h,w,3], sRGB.
        hole: bool [h,w].
        known: bool [h,w], what may be continued into the hole.
        parameters: of the search.

    Returns:
        Bool [h,w], the surface as it is seen and hangs together; None where no one surface is seen around most of the hole.

    Example:
        >>> wall, hole = np.full((9, 9, 3), 200, np.uint8), np.zeros((9, 9), bool)
        >>> wall[:, 7:], hole[3:6, 1:4] = 90, True
        >>> surface = find_backdrop(wall, hole, ~hole)
        >>> surface is not None and surface[0].tolist()
        [True, True, True, True, True, True, True, False, False]
    """
    p = parameters
    rim = grown(hole, p.rim) & known & ~hole
    left, total = rim.copy(), int(rim.sum())
    barred = np.ones((hole.shape[0] + 2, hole.shape[1] + 2), np.uint8)
    barred[1:-1, 1:-1] = ~known | hole
    steps = (p.max_step,) * 3
    while left.sum() >= p.min_share * total > 0:
        y, x = np.argwhere(left)[0]
        before = barred.copy()
        cv2.floodFill(picture, barred, (int(x), int(y)), (0, 0, 0), steps, steps, 4 | cv2.FLOODFILL_MASK_ONLY | 255 << 8)
        surface = cast(BoolArray, (barred != before)[1:-1, 1:-1])
        if (surface & rim).sum() >= p.min_share * total:
            return surface
        left &= ~surface
    return None
