"""Which of two sides a pixel's colour is of: histograms of what lies inside and outside a mask nearby.

Histograms, not means: a tiled floor and the legs that stand on it have several colours each. Nearby: light changes across a room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.compiled import compiled
from respray.imaging.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ColourParameters:
    """How colours are told apart. Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md)."""

    lightness_bins: int = 16
    """Over L* of 0..100 ..."""
    chroma_bins: int = 8
    """... and for a* and b*, ..."""
    chroma_step: float = 10.0
    """... each so wide; the outermost have all that is beyond."""
    tile: float = 8.0
    """Histograms are of tiles with so many cells (pixels of the network's mask) a side and half of those beside them."""
    beside: float = 0.7
    """What a neighbouring tile's pixels count."""
    floors: tuple[float, float] = (0.1, 1.0)
    """A colour that is nowhere near has, inside and outside, these shares of what all would have if they were equally frequent. A colour
    that neither side has is no plane's: mouldings, legs, frames. ..."""
    min_pixels: float = 20.0
    """... A side with fewer pixels than this says less."""


def colour_bins(photo: FloatArray, parameters: ColourParameters = ColourParameters()) -> IntArray:
    """The number of every pixel's colour, int32 [h,w], of a photo float32 [h,w,3] in codes 0..255 (sRGB)."""
    p = parameters
    lab = cv2.cvtColor(photo * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
    lightness = np.clip(lab[..., 0] * np.float32(p.lightness_bins / 100), 0, p.lightness_bins - 1).astype(np.int32)
    chroma = np.clip(lab[..., 1:] * np.float32(1 / p.chroma_step) + np.float32(p.chroma_bins / 2), 0, p.chroma_bins - 1).astype(np.int32)
    return cast(IntArray, (lightness * p.chroma_bins + chroma[..., 0]) * p.chroma_bins + chroma[..., 1])


def log_ratio(
    bins: IntArray, sides: tuple[BoolArray, BoolArray], where: IntArray, cell: float, parameters: ColourParameters = ColourParameters()
) -> FloatArray:
    """How much likelier a pixel's colour is inside than outside, near it.

    Args:
        bins: int32 [h,w], see `colour_bins`.
        sides: bool [h,w] each, what is inside and what is outside.
        where: int64 [n], pixels that are asked for (counted through the rows).
        cell: a pixel of the network's mask, in pixels of `bins`.
        parameters: of the histograms.

    Returns:
        Float32 [n], natural logarithm.
    """
    p = parameters
    step = np.float32(max(4.0, p.tile * cell))
    tiles = [int(side / step) + 1 for side in bins.shape]
    count = p.lightness_bins * p.chroma_bins**2
    found = np.zeros((2, *tiles, count), np.float32)
    _count(bins, sides[0], sides[1], step, found)
    for axis in (1, 2):
        found = _spread(found, axis, p.beside, 1.0)
    found = found.reshape(2, *tiles, p.lightness_bins, p.chroma_bins, p.chroma_bins)
    for axis in (3, 3, 4, 5):
        found = _spread(found, axis, 0.25, 0.5)
    found = found.reshape(2, *tiles, count)
    total = found.sum(axis=-1, keepdims=True)
    floors = np.array(p.floors, np.float32)[:, None, None, None] / np.float32(count)
    share = (found + floors * np.maximum(total, np.float32(p.min_pixels))) / (total + 1)
    answer = np.empty(len(where), np.float32)
    _look_up(bins, np.log(share[0] / share[1]), step, where, answer)
    return answer


def _spread(values: FloatArray, axis: int, beside: float, own: float) -> FloatArray:
    """Values with what their neighbours on one axis have."""
    result = values * np.float32(own)
    source, target = np.moveaxis(values, axis, 0), np.moveaxis(result, axis, 0)
    target[1:] += np.float32(beside) * source[:-1]
    target[:-1] += np.float32(beside) * source[1:]
    return result


@compiled
def _count(bins: IntArray, inside: BoolArray, outside: BoolArray, step: np.float32, found: FloatArray) -> None:
    """Add every pixel of either side to its tile's histogram, float32 [2,tiles down,tiles across,bins]."""
    for y in range(bins.shape[0]):
        row = int(y / step)
        for x in range(bins.shape[1]):
            if inside[y, x]:
                found[0, row, int(x / step), bins[y, x]] += np.float32(1)
            elif outside[y, x]:
                found[1, row, int(x / step), bins[y, x]] += np.float32(1)


@compiled
def _look_up(bins: IntArray, table: FloatArray, step: np.float32, where: IntArray, answer: FloatArray) -> None:
    """What the tiles around say of the colours at `where`, bilinearly."""
    width = bins.shape[1]
    rows, columns = table.shape[:2]
    half = np.float32(0.5)
    for i in range(len(where)):
        y, x = where[i] // width, where[i] % width
        down = min(max(np.float32(y) / step - half, np.float32(0)), np.float32(rows - 1))
        over = min(max(np.float32(x) / step - half, np.float32(0)), np.float32(columns - 1))
        top, left = int(down), int(over)
        bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        down, over = down - np.float32(top), over - np.float32(left)
        colour = bins[y, x]
        upper = table[top, left, colour] + (table[top, right, colour] - table[top, left, colour]) * over
        lower = table[bottom, left, colour] + (table[bottom, right, colour] - table[bottom, left, colour]) * over
        answer[i] = upper + (lower - upper) * down
