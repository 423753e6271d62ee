"""How far a mask's border is off, by what the photo says where it says something, and so how far the photo may move it anywhere else.

A border that is decided again (`crf`) or made straight follows the photo's edges. Where it finds the mask's own border nearly everywhere,
the mask is exact, and what lies further off elsewhere is another edge: a frame beside a wall, a shadow. Of masks that are off all of the
border moves, and coarse ones do not show what is thin: none of theirs is held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array


@dataclass(frozen=True)
class TrustParameters:
    """When a mask is exact, and how far its border may move then. Lengths are pixels of the picture that it is decided on, but for `soft`.

    Chosen on rooms 9000-9011 (docs/log/edges-and-borders.md).
    """

    max_error: float = 0.32
    """Mean distance of an exact mask's border to what the photo makes of it, at most: a border that is found again to a third of a pixel is
    right. Of masks of 288 pixels at 600 x 400 that is 0.03 to 0.31, and from 0.44 on where they are displaced."""
    max_cell: float = 3.0
    """Pixels of the photo for one of an exact mask, at most. A coarser one has lost legs and frames, however right its border is elsewhere:
    of the demo model's masks, 7.5 pixels each at 900 x 600, three of 28 were taken for exact and lost 0.02 to 0.05 of boundary F."""
    reach: float = 3.0
    """An exact mask's border may move by so many times that distance ..."""
    min_reach: float = 0.5
    """... and by so much at least."""
    soft: int = 3
    """Pixels of the photo around what moved further that are taken from the mask as well: its soft edge."""


def border_error(probability: UInt8Array, decided: UInt8Array) -> float:
    """How far a mask's border is off what was decided instead, on average.

    Args:
        probability: uint8 [h,w], the mask.
        decided: uint8 [h2,w2], what was made of it.

    Returns:
        Pixels of `decided`; what is further off than a pixel of the mask counts as that. Infinite where one of both has no border.
    """
    inside = _enlarged(probability, decided.shape) >= 128
    own, new = _border(inside), _border(decided >= 128)
    if not own.any() or not new.any():
        return float("inf")
    distance = cv2.distanceTransform((~new).astype(np.uint8), cv2.DIST_L2, 5)[own]
    return float(np.minimum(distance, np.sqrt(decided.size / probability.size)).mean())


def moved_too_far(
    alpha: UInt8Array, probability: UInt8Array, decided: UInt8Array, parameters: TrustParameters = TrustParameters()
) -> BoolArray | None:
    """Where an exact mask's matte has left its border.

    Args:
        alpha: uint8 [H,W], the matte.
        probability: uint8 [h,w], the mask.
        decided: uint8 [h2,w2], what was decided of it.
        parameters: when it is exact.

    Returns:
        Bool [H,W]; None where the mask is not exact, or nothing has.
    """
    p, size = parameters, decided.shape
    error = border_error(probability, decided) if alpha.size <= p.max_cell**2 * probability.size else float("inf")
    if error > p.max_error:
        return None
    reach = max(p.reach * error, p.min_reach)
    inside = (_enlarged(probability, size) >= 128).astype(np.uint8)
    # Half a pixel on both sides: the border runs between them.
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    depth = depth - np.where(inside > 0, np.float32(0.5), np.float32(-0.5))
    deep: FloatArray = cv2.resize(depth, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    wrong = ((deep > reach) & (alpha < 128)) | ((deep < -reach) & (alpha >= 128))
    if not wrong.any():
        return None
    side = 2 * (p.soft + int(np.ceil(reach * alpha.shape[1] / size[1]))) + 1
    found: BoolArray = cv2.dilate(wrong.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return found


def _enlarged(probability: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    return cast(UInt8Array, cv2.resize(probability, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def _border(inside: BoolArray) -> BoolArray:
    """Pixels of a mask bool [h,w] that touch what is not in it; the picture's edge is none."""
    grey = inside.astype(np.uint8)
    border: BoolArray = inside & (cv2.erode(grey, np.ones((3, 3), np.uint8), borderValue=[1]) == 0)
    return border
