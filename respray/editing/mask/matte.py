"""Low-resolution probabilities -> a soft matte at the photo's resolution, guided by the photo, in a narrow band around the edge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import cv2
import numpy as np

from respray.editing.mask.fringe import with_tail, without_tail
from respray.editing.mask.guided_upsample import snap
from respray.imaging.arrays import UInt8Array

# Half width of the band in which the edge may move, in pixels of the low-resolution mask: a mask pixel is uncertain by about one.
BAND_MASK_PIXELS = 1.5
# The same for masks drawn by hand, as a share of the longest side.
USER_BAND = 0.004
# Hand-drawn masks are worked on at this size (longest side); at full size only their edges are.
USER_SIDE = 1400
# A mask with this many times more grey pixels than a sharp frame's edge has is meant to be soft.
SOFT_MASK = 2.0
SURELY_OUT, SURELY_IN = 5, 250
# In a small mask that may be half of it; from this share on a mask is soft whatever its size.
SURELY_SOFT = 0.3
# An edge of a soft mask is narrow where alpha changes by NARROW_STEP within so many pixels.
NARROW, NARROW_STEP = 7, 192
# A wider feather than this (pixels) is made at a smaller size.
FEATHER_FULL = 8.0


@dataclass(frozen=True)
class Matte:
    """Soft selection of one concept: `alpha` uint8 [H,W] over the whole photo (0 = untouched, 255 = fully selected; up to 3: the tail of
    `fringe`). `detail` 0..1 is the size at which its edge was found, over the photo's: below 1 where the mask was all edge.
    `hard`, where somebody asked for a wide edge: alpha then says how much to edit, and `hard` how much of each pixel the concept is (0 in
    a drawn ramp, which does not tell).
    """

    alpha: UInt8Array
    detail: float = 1.0
    hard: UInt8Array | None = None

    @property
    def extent(self) -> UInt8Array:
        """How much of each pixel the concept is."""
        return self.alpha if self.hard is None else self.hard

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the pixels above 0, half open; all zero where nothing is selected."""
        x, y, width, height = cv2.boundingRect(self.alpha)
        return x, y, x + width, y + height

    @property
    def coverage(self) -> float:
        """Share of the photo that is selected, 0..1."""
        return float(self.alpha.mean(dtype=np.float64)) / 255.0


def refine(probability: UInt8Array, photo: UInt8Array) -> Matte:
    """Probabilities uint8 [h,w] (255 = certainly the concept) + photo uint8 [H,W,3] sRGB -> `Matte` at the photo's size."""
    snapped = snap(probability, photo, BAND_MASK_PIXELS)
    return Matte(with_tail(snapped.alpha), snapped.detail)


def from_user_mask(mask: UInt8Array, photo: UInt8Array, *, keep: bool = False) -> Matte:
    """A user's mask uint8 [h,w] of any size, stretched over the photo uint8 [H,W,3] -> `Matte`. A hard mask is snapped to the photo's
    edges within a few pixels; a soft one is kept.

    `keep`: snapping may add pixels but never gives up a selected one, as whoever protects something by hand expects.
    """
    # Asked of the mask as it came: stretching alone makes grey pixels.
    grey = float(np.mean((mask > SURELY_OUT) & (mask < SURELY_IN)))
    perimeter = 4.0 * (mask.shape[0] + mask.shape[1]) / mask.size
    if grey > min(SOFT_MASK * perimeter, SURELY_SOFT):
        alpha = _stretched(mask, photo)
        # A narrow edge in it is still an edge, and what is selected wholly is the concept.
        around = np.ones((NARROW, NARROW), np.uint8)
        narrow = cv2.subtract(cv2.dilate(alpha, around), cv2.erode(alpha, around)) >= NARROW_STEP
        return Matte(alpha, hard=np.where(narrow | (alpha > SURELY_IN), alpha, np.uint8(0)))
    scale = min(1.0, USER_SIDE / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    low = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else mask
    snapped = snap(low, photo, max(1.0, USER_BAND * max(low.shape)))
    if keep:
        return Matte(np.where(_stretched(mask, photo) >= 128, np.uint8(255), snapped.alpha), snapped.detail)
    return Matte(with_tail(snapped.alpha), snapped.detail)


def _stretched(mask: UInt8Array, photo: UInt8Array) -> UInt8Array:
    height, width = photo.shape[:2]
    if mask.shape == (height, width):
        return mask
    shrink = mask.size > width * height
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def feather(matte: Matte, radius: float) -> Matte:
    """Soften the edge by a Gaussian of `radius` pixels (0 changes nothing)."""
    if radius <= 0.0:
        return matte
    alpha, (height, width) = matte.alpha, matte.alpha.shape
    shrink = min(1.0, FEATHER_FULL / radius)
    if shrink < 1.0:
        alpha = cv2.resize(alpha, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), radius * shrink)
    if shrink < 1.0:
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
    return replace(matte, alpha=alpha, hard=matte.extent)


def unite(mattes: list[Matte]) -> Matte:
    """The union (pixel-wise maximum) of at least one matte."""
    alpha = reduce(cv2.max, (matte.alpha for matte in mattes))
    if all(matte.hard is None for matte in mattes):
        return Matte(alpha)
    return Matte(alpha, hard=reduce(cv2.max, (matte.extent for matte in mattes)))


def complement(matte: Matte) -> Matte:
    """Everything but `matte` (without tails: its edge is the other's)."""
    hard = None if matte.hard is None else cv2.bitwise_not(without_tail(matte.hard))
    return Matte(cv2.bitwise_not(without_tail(matte.alpha)), matte.detail, hard)


def without(matte: Matte, above: Matte) -> Matte:
    """`matte` where what lies in front of it (`above`) leaves it visible.

    Two things that meet share the pixels of their edge: what the one leaves is the other's, and not a part of it.
    """
    alpha = cv2.min(matte.alpha, cv2.bitwise_not(without_tail(above.alpha)))
    if matte.hard is None and above.hard is None:
        return replace(matte, alpha=alpha)
    return replace(matte, alpha=alpha, hard=cv2.min(matte.extent, cv2.bitwise_not(without_tail(above.extent))))
