"""Which of two sides a pixel's colour is of: histograms of what lies inside and outside a mask nearby.

Histograms, not means: a tiled floor and the legs that stand on it have several colours each. Nearby: light changes across a room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numba import boolean, float32, int32, int64, void
from numba.core.types import UniTuple

from respray.editing.core.compiled import compiled, compiled_for
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
    lab = cast(FloatArray, cv2.cvtColor(photo * np.float32(1 / 255), cv2.COLOR_RGB2LAB))
    bins = np.empty(lab.shape[:2], np.int32)
    scales = np.float32(p.lightness_bins / 100), np.float32(1 / p.chroma_step)
    _number(lab, scales, p.lightness_bins, p.chroma_bins, bins)
    return bins


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
    asked = np.zeros(tiles, np.bool_)
    _ask(where, bins.shape[1], step, asked)
    floors = np.array(p.floors, np.float32) / np.float32(count)
    table = np.empty((*tiles, count), np.float32)
    _compare(found, asked, p.chroma_bins, np.float32(p.beside), floors, np.float32(p.min_pixels), table)
    answer = np.empty(len(where), np.float32)
    _look_up(bins, table, step, where, answer)
    return answer


@compiled_for(void(float32[:, :, ::1], UniTuple(float32, 2), int64, int64, int32[:, ::1]))
def _number(lab: FloatArray, scales: tuple[np.float32, np.float32], lightness_bins: int, chroma_bins: int, bins: IntArray) -> None:
    """See `colour_bins`, of float32 [h,w,3] in CIE L*a*b*; `scales`: bins for one unit of lightness and of chroma."""
    none, most, widest = np.float32(0), np.float32(lightness_bins - 1), np.float32(chroma_bins - 1)
    middle = np.float32(chroma_bins / 2)
    for y in range(lab.shape[0]):
        for x in range(lab.shape[1]):
            lightness = min(max(lab[y, x, 0] * scales[0], none), most)
            a = min(max(lab[y, x, 1] * scales[1] + middle, none), widest)
            b = min(max(lab[y, x, 2] * scales[1] + middle, none), widest)
            bins[y, x] = (int(lightness) * chroma_bins + int(a)) * chroma_bins + int(b)


@compiled_for(void(int32[:, ::1], boolean[:, ::1], boolean[:, ::1], float32, float32[:, :, :, ::1]))
def _count(bins: IntArray, inside: BoolArray, outside: BoolArray, step: np.float32, found: FloatArray) -> None:
    """Add every pixel of either side to its tile's histogram, float32 [2,tiles down,tiles across,bins]."""
    columns = np.empty(bins.shape[1], np.int64)
    for x in range(len(columns)):
        columns[x] = int(x / step)
    for y in range(bins.shape[0]):
        row = int(y / step)
        for x in range(len(columns)):
            if inside[y, x]:
                found[0, row, columns[x], bins[y, x]] += np.float32(1)
            elif outside[y, x]:
                found[1, row, columns[x], bins[y, x]] += np.float32(1)


@compiled
def _tiles_around(pixel: int, step: np.float32, tiles: int) -> tuple[int, int, np.float32]:
    """The tile whose middle is before a pixel's place on one axis, the one after, and the way between both."""
    place = min(max(np.float32(pixel) / step - np.float32(0.5), np.float32(0)), np.float32(tiles - 1))
    before = int(place)
    return before, min(before + 1, tiles - 1), place - np.float32(before)


@compiled_for(void(int64[::1], int64, float32, boolean[:, ::1]))
def _ask(where: IntArray, width: int, step: np.float32, asked: BoolArray) -> None:
    """Mark the tiles, bool [tiles down, tiles across], that `_look_up` looks at."""
    for i in range(len(where)):
        top, bottom, _ = _tiles_around(where[i] // width, step, asked.shape[0])
        left, right, _ = _tiles_around(where[i] % width, step, asked.shape[1])
        asked[top, left] = asked[top, right] = asked[bottom, left] = asked[bottom, right] = True


@compiled_for(void(float32[:, :, :, ::1], boolean[:, ::1], int64, float32, float32[::1], float32, float32[:, :, ::1]))
def _compare(
    found: FloatArray, asked: BoolArray, chroma_bins: int, beside: np.float32, floors: FloatArray, min_pixels: np.float32, table: FloatArray
) -> None:
    """How much likelier each colour is inside than outside (natural logarithm), into the `asked` tiles of `table`, float32 [tiles down,
    tiles across, bins]; `found` as in `_count`, `floors` float32 [2]. Alike colours and the tiles beside have a say."""
    rows, columns, count = table.shape
    both, spread = np.empty((2, count), np.float32), np.empty(count, np.float32)
    totals = np.empty(2, np.float32)
    for row in range(rows):
        for column in range(columns):
            if not asked[row, column]:
                continue
            for side in range(2):
                sums = both[side]
                sums[:] = 0
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(column - 1, 0), min(column + 2, columns)):
                        weight = np.float32(1)
                        if r != row:
                            weight *= beside
                        if c != column:
                            weight *= beside
                        tile = found[side, r, c]
                        for k in range(count):
                            sums[k] += weight * tile[k]
                # Twice along lightness, once along a* and b*.
                _spread(sums, count, chroma_bins * chroma_bins, spread)
                _spread(spread, count, chroma_bins * chroma_bins, sums)
                _spread(sums, chroma_bins * chroma_bins, chroma_bins, spread)
                _spread(spread, chroma_bins, 1, sums)
                totals[side] = sums.sum()
            least = floors * np.maximum(totals, min_pixels)
            unseen = np.log((least[0] / (totals[0] + np.float32(1))) / (least[1] / (totals[1] + np.float32(1))))
            for k in range(count):
                if both[0, k] == 0 and both[1, k] == 0:  # most of them
                    table[row, column, k] = unseen
                    continue
                inside = (both[0, k] + least[0]) / (totals[0] + np.float32(1))
                outside = (both[1, k] + least[1]) / (totals[1] + np.float32(1))
                table[row, column, k] = np.log(inside / outside)


@compiled
def _spread(values: FloatArray, run: int, step: int, result: FloatArray) -> None:
    """Half of each value [n] and a quarter of what is `step` before and after it in its run of so many."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    for i in range(len(values)):
        result[i] = half * values[i]
    for first in range(0, len(values), run):
        # From 0 on, in views: an index that may be negative keeps loops from becoming vector instructions.
        source, target = values[first : first + run - step], result[first + step : first + run]
        for i in range(len(source)):
            target[i] += quarter * source[i]
        source, target = values[first + step : first + run], result[first : first + run - step]
        for i in range(len(source)):
            target[i] += quarter * source[i]


@compiled_for(void(int32[:, ::1], float32[:, :, ::1], float32, int64[::1], float32[::1]))
def _look_up(bins: IntArray, table: FloatArray, step: np.float32, where: IntArray, answer: FloatArray) -> None:
    """What the tiles around say of the colours at `where`, bilinearly."""
    width = bins.shape[1]
    for i in range(len(where)):
        y, x = where[i] // width, where[i] % width
        top, bottom, down = _tiles_around(y, step, table.shape[0])
        left, right, over = _tiles_around(x, step, table.shape[1])
        colour = bins[y, x]
        upper = table[top, left, colour] + (table[top, right, colour] - table[top, left, colour]) * over
        lower = table[bottom, left, colour] + (table[bottom, right, colour] - table[bottom, left, colour]) * over
        answer[i] = upper + (lower - upper) * down
