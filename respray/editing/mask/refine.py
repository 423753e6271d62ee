"""A network's probabilities or a user's mask -> a matte at the photo's size, its edge moved to the photo's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numba import int64, uint8

from respray.editing.core.compiled import compiled_for, read_only
from respray.editing.core.reduce import Reduced, average
from respray.editing.mask.crf import THINGS, FieldPicture, decide
from respray.editing.mask.fringe import with_tail
from respray.editing.mask.guided_upsample import UpsampleParameters, guided_upsample
from respray.editing.mask.holes import fill_holes
from respray.editing.mask.matte import Matte
from respray.editing.mask.narrow import settle_narrow
from respray.editing.mask.straight import settle_plane, work_picture
from respray.editing.mask.trust import moved_too_far
from respray.imaging.arrays import Float64Array, UInt8Array

# So many values at a time are counted in eight bits.
SPAN = 128


@dataclass(frozen=True)
class MatteParameters:
    """How a mask becomes a matte.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md). `tests/editing/test_matte.py`
    holds soft and hard masks that must be told apart.
    """

    band: float = 1.5
    """Half width of the band in which the edge may move, in pixels of the network's mask: such a pixel is uncertain by about one."""
    user_band_share: float = 0.004
    """The same for masks drawn by hand, as a share of their longest side."""
    max_user_side: int = 1400
    """Hand-drawn masks are worked on at this size (longest side, pixels); at full size only their edges are."""
    max_out: int = 5
    """Codes (0..255) of a user's mask up to this surely mean "out" ..."""
    min_in: int = 250
    """... and from this on surely "in"; what lies between them is grey."""
    soft_ratio: float = 2.0
    """A mask with this many times more grey pixels than a sharp frame's edge has is meant to be soft."""
    soft_share: float = 0.3
    """In a small mask a sharp edge may be half of it; from this share of grey on a mask is soft whatever its size."""
    narrow_width: int = 7
    """An edge of a soft mask is still an edge where alpha changes by `narrow_step` within so many pixels."""
    narrow_step: int = 192
    """See `narrow_width` (codes)."""


def refine(
    probability: UInt8Array,
    photo: UInt8Array,
    parameters: MatteParameters = MatteParameters(),
    upsampling: UpsampleParameters = UpsampleParameters(),
    reduced: Reduced | None = None,
) -> Matte:
    """Make a network's answer a matte.

    Args:
        probability: uint8 [h,w], 255 = certainly the concept.
        photo: uint8 [H,W,3], sRGB.
        parameters: of mattes.
        upsampling: of the guided upsampling.
        reduced: of the photo, where it has several concepts.

    Returns:
        A sharp matte of the photo's size.
    """
    found = guided_upsample(probability, photo, parameters.band, upsampling, reduced)
    return Matte.sharp(with_tail(found.alpha, found.edges), found.detail)


def refine_thing(probability: UInt8Array, photo: UInt8Array, work: FieldPicture | None = None, reduced: Reduced | None = None) -> Matte:
    """Make a network's answer the matte of a thing that colours tell from what is around it: decided again (`crf`), then refined.

    Args:
        probability: uint8 [h,w], 255 = certainly the concept.
        photo: uint8 [H,W,3], sRGB.
        work: the photo's `work_picture`; None: made here.
        reduced: of the photo, where it has several concepts.

    Returns:
        A sharp matte of the photo's size; nothing is straightened.
    """
    decided = decide(probability, work or FieldPicture(work_picture(photo)), THINGS)
    found = refine(decided, photo, reduced=reduced)
    alpha = _trusted(found.alpha, probability, decided, photo, reduced)
    return found if alpha is found.alpha else Matte.sharp(alpha, found.detail)


def _trusted(alpha: UInt8Array, probability: UInt8Array, decided: UInt8Array, photo: UInt8Array, reduced: Reduced | None) -> UInt8Array:
    """A matte uint8 [H,W] that follows an exact mask wherever it has left it for another edge (`trust`). Arguments as of `refine`;
    `decided`: what was made of the mask."""
    far = moved_too_far(alpha, probability, decided)
    return alpha if far is None else np.where(far, refine(probability, photo, reduced=reduced).alpha, alpha)


@dataclass(frozen=True)
class PlaneMatte:
    """A plane's matte; how many holes were `filled` in it and islands of it `dropped`, of which the photo shows nothing. So many of the
    former are bare `patches` beside it (`holes`)."""

    matte: Matte
    filled: int
    dropped: int
    patches: int


def refine_plane(
    probability: UInt8Array,
    photo: UInt8Array,
    work: FieldPicture | None = None,
    points: Float64Array | None = None,
    narrow: bool = False,
    fill: bool = True,
    parameters: MatteParameters = MatteParameters(),
    upsampling: UpsampleParameters = UpsampleParameters(),
    reduced: Reduced | None = None,
) -> PlaneMatte:
    """Make a network's answer the matte of what ends in straight lines (a wall, a door).

    It is decided again by the photo's colours and edges (`crf`), bare patches of it are filled (`holes`), then it is refined, and ends in
    straight lines where the photo does not show how it ends. A mask that proves to be exact is followed (`trust`).

    Args:
        probability: uint8 [h,w], 255 = certainly the concept.
        photo: uint8 [H,W,3], sRGB.
        work: the photo's `work_picture`; None: made here.
        points: the room's `vanishing_points` in that picture; None: unknown.
        narrow: it is hardly wider than a pixel of the network's mask, and has two edges along all of it (`narrow`).
        fill: bare patches beside it are filled.
        parameters: of mattes.
        upsampling: of the guided upsampling.
        reduced: of the photo, where it has several concepts.

    Returns:
        A sharp matte of the photo's size.
    """
    work = work or FieldPicture(work_picture(photo))
    picture = work.photo
    decided = decide(probability, work)
    filled, patches = fill_holes(decided, probability, picture) if fill else (decided, 0)
    found = guided_upsample(filled, photo, parameters.band, upsampling, reduced)
    settled = settle_plane(found.alpha, probability, filled, picture, points)
    alpha = settle_narrow(settled.alpha, probability, picture) if narrow else settled.alpha
    alpha = _trusted(with_tail(alpha), probability, decided, photo, reduced)
    return PlaneMatte(Matte.sharp(alpha, found.detail), patches + settled.filled, settled.dropped, patches)


def refine_user_mask(
    mask: UInt8Array,
    photo: UInt8Array,
    *,
    keep: bool = False,
    parameters: MatteParameters = MatteParameters(),
    upsampling: UpsampleParameters = UpsampleParameters(),
    reduced: Reduced | None = None,
) -> Matte:
    """Make a user's mask a matte: a hard one is moved to the photo's edges within a few pixels, a soft one is kept.

    Args:
        mask: uint8 [h,w] of any size, stretched over the photo.
        photo: uint8 [H,W,3], sRGB.
        keep: the edge may move outwards but never gives up a selected pixel, as whoever protects something by hand expects.
        parameters: of mattes.
        upsampling: of the guided upsampling.
        reduced: of the photo, where it has several concepts.

    Returns:
        A matte of the photo's size; feathered where the mask is soft.
    """
    p = parameters
    if _is_soft(mask, p):
        alpha = _stretched(mask, photo)
        # A narrow edge in it is still an edge, and what is selected wholly is the concept.
        around = np.ones((p.narrow_width, p.narrow_width), np.uint8)
        narrow = cv2.subtract(cv2.dilate(alpha, around), cv2.erode(alpha, around)) >= p.narrow_step
        return Matte(alpha, np.where(narrow | (alpha > p.min_in), alpha, np.uint8(0)))
    scale = min(1.0, p.max_user_side / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    low = average(mask, size)
    found = guided_upsample(low, photo, max(1.0, p.user_band_share * max(low.shape)), upsampling, reduced)
    if keep:
        return Matte.sharp(np.where(_stretched(mask, photo) >= 128, np.uint8(255), found.alpha), found.detail)
    return Matte.sharp(with_tail(found.alpha, found.edges), found.detail)


def _is_soft(mask: UInt8Array, parameters: MatteParameters) -> bool:
    """Whether a mask's greys are meant. Asked of the mask as it came: stretching alone makes grey pixels."""
    p = parameters
    grey = _count_between(np.ascontiguousarray(mask).ravel(), p.max_out + 1, p.min_in) / mask.size
    perimeter = 4.0 * (mask.shape[0] + mask.shape[1]) / mask.size
    return grey > min(p.soft_ratio * perimeter, p.soft_share)


def _stretched(mask: UInt8Array, photo: UInt8Array) -> UInt8Array:
    height, width = photo.shape[:2]
    if mask.shape == (height, width):
        return mask
    shrink = mask.size > width * height
    return cast(UInt8Array, cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR))


@compiled_for(int64(read_only(uint8[::1]), uint8, uint8))
def _count_between(values: UInt8Array, low: int, high: int) -> int:
    """How many of the values [n] are at least `low` and below `high`."""
    total, whole = 0, len(values) - len(values) % SPAN
    for start in range(0, whole, SPAN):
        span, count = values[start : start + SPAN], np.uint8(0)
        for i in range(SPAN):
            count = np.uint8(count + np.uint8((span[i] >= low) & (span[i] < high)))
        total += count
    for i in range(whole, len(values)):
        total += (values[i] >= low) & (values[i] < high)
    return total
