"""The soft selection of a concept, and what can be made of several: their union, what one leaves of another, everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numba import uint8, void

from respray.editing.core.compiled import compiled_for, read_only
from respray.editing.core.reduce import average
from respray.editing.mask.fringe import TAIL, without_tail
from respray.imaging.arrays import BoolArray, UInt8Array

# A wider feather than this (pixels) is made at a smaller size, where it looks the same and costs less.
MAX_FULL_SIZE_FEATHER = 8.0


@dataclass(frozen=True)
class Matte:
    """Soft selection of one concept over a whole photo.

    Attributes:
        alpha: uint8 [H,W], how much to edit of each pixel: 0 = untouched, 255 = fully selected; up to 3: the tail of `fringe`.
        coverage: uint8 [H,W], how much of each pixel the concept is. Of a sharp matte it is `alpha`, the same array; of a feathered one,
            whose edge somebody asked to be wide, another (0 in a drawn ramp, which does not tell).
        detail: size at which the edge was found, over the photo's, 0..1: below 1 where the mask was all edge.
    """

    alpha: UInt8Array
    coverage: UInt8Array
    detail: float = 1.0

    @classmethod
    def sharp(cls, alpha: UInt8Array, detail: float = 1.0) -> Matte:
        """A matte whose alpha is the concept's coverage."""
        return cls(alpha, alpha, detail)

    @property
    def feathered(self) -> bool:
        """Whether `alpha` says something else than `coverage`."""
        return self.coverage is not self.alpha

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the pixels above 0, half open; all zero where nothing is selected."""
        x, y, width, height = cv2.boundingRect(self.alpha)
        return x, y, x + width, y + height

    @property
    def area_share(self) -> float:
        """Share of the photo that is selected, 0..1."""
        return float(cv2.mean(self.alpha)[0]) / 255.0


def feather(matte: Matte, radius: float) -> Matte:
    """Soften the edge by a Gaussian of `radius` pixels (standard deviation; 0 changes nothing)."""
    if radius <= 0.0:
        return matte
    alpha, (height, width) = matte.alpha, matte.alpha.shape
    shrink = min(1.0, MAX_FULL_SIZE_FEATHER / radius)
    if shrink < 1.0:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        alpha = average(alpha, size)
    alpha = cast(UInt8Array, cv2.GaussianBlur(alpha, (0, 0), radius * shrink))
    if shrink < 1.0:
        alpha = cast(UInt8Array, cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR))
    return replace(matte, alpha=alpha)


def unite(mattes: Sequence[Matte]) -> Matte:
    """The union (pixel-wise maximum) of at least one matte.

    Example:
        >>> left, right = (Matte.sharp(np.array([alpha], np.uint8)) for alpha in ((255, 0), (0, 128)))
        >>> unite([left, right]).alpha.tolist()
        [[255, 128]]
    """

    def highest(*alphas: UInt8Array) -> UInt8Array:
        result = alphas[0]
        for alpha in alphas[1:]:
            result = cast(UInt8Array, cv2.max(result, alpha))
        return result

    return Matte(*_on_both(highest, *mattes))


def complement(matte: Matte) -> Matte:
    """Everything but `matte` (without tails: its edge is the other's).

    Example:
        >>> complement(Matte.sharp(np.array([[255, 100, 2, 0]], np.uint8))).alpha.tolist()
        [[0, 155, 255, 255]]
    """
    return Matte(*_on_both(_left, matte), matte.detail)


def subtract(matte: Matte, above: Matte) -> Matte:
    """`matte` where what lies in front of it (`above`) leaves it visible.

    Two things that meet share the pixels of their edge: what the one leaves is the other's, and not a part of it.
    """
    return Matte(*_on_both(_left_of, matte, above), matte.detail)


def cut_out(matte: Matte, hole: BoolArray) -> Matte:
    """`matte` with nothing selected in `hole` (bool [H,W])."""
    return Matte(*_on_both(lambda alpha: np.where(hole, np.uint8(0), alpha), matte), matte.detail)


def add_shadow(matte: Matte, shadow: UInt8Array) -> Matte:
    """`matte` and the shadow (uint8 [H,W]) beside it, which is no part of the concept where its edge is feathered."""
    alpha = cast(UInt8Array, cv2.add(matte.alpha, shadow))
    return Matte(alpha, matte.coverage if matte.feathered else alpha, matte.detail)


def _left(alpha: UInt8Array) -> UInt8Array:
    """What a matte leaves of every pixel."""
    return cast(UInt8Array, cv2.bitwise_not(without_tail(alpha)))


def _left_of(alpha: UInt8Array, above: UInt8Array) -> UInt8Array:
    """The lower of a matte and of what another one leaves, in one pass."""
    result = np.empty(alpha.shape, np.uint8)
    _take_away(np.ascontiguousarray(alpha).ravel(), np.ascontiguousarray(above).ravel(), max(TAIL), result.ravel())
    return result


@compiled_for(void(read_only(uint8[::1]), read_only(uint8[::1]), uint8, uint8[::1]))
def _take_away(alpha: UInt8Array, above: UInt8Array, tail: int, result: UInt8Array) -> None:
    """See `_left_of`; `above` up to `tail` leaves everything."""
    for i in range(len(result)):
        left = np.uint8(255) - above[i] if above[i] > tail else np.uint8(255)
        result[i] = min(alpha[i], left)


def _on_both(operation: Callable[..., UInt8Array], *mattes: Matte) -> tuple[UInt8Array, UInt8Array]:
    """Alpha and coverage of an operation on pixels of mattes: sharp where all of them are."""
    alpha = operation(*(matte.alpha for matte in mattes))
    if not any(matte.feathered for matte in mattes):
        return alpha, alpha
    return alpha, operation(*(matte.coverage for matte in mattes))
