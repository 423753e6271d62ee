"""Small smooth fields (light, colours near an edge) that are stretched over a large image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numba import float32, int64, void

from respray.editing.core.compiled import compiled, compiled_for
from respray.editing.core.windows import window_means
from respray.imaging.arrays import FloatArray, IntArray

# Rows and columns of a rectangle, as an index.
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """A rectangle of a surface's box, half open, in pixels of the box; `width`, `height` are the box's size."""

    x0: int
    y0: int
    x1: int
    y1: int
    width: int
    height: int

    def grown(self, margin: int) -> Tile:
        """The tile with `margin` more pixels on each side, cut at the box."""
        return Tile(
            max(0, self.x0 - margin),
            max(0, self.y0 - margin),
            min(self.width, self.x1 + margin),
            min(self.height, self.y1 + margin),
            self.width,
            self.height,
        )

    @property
    def window(self) -> Window:
        """The index of the tile in an array of the box."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def window_in(self, outer: Tile) -> Window:
        """The index of the tile in an array of another one that contains it."""
        return slice(self.y0 - outer.y0, self.y1 - outer.y0), slice(self.x0 - outer.x0, self.x1 - outer.x0)


def upsample(field: FloatArray, tile: Tile) -> FloatArray:
    """Stretch a small field bilinearly over a box and cut a tile out.

    Args:
        field: float32 [hs,ws] or [hs,ws,c], over all of the box.
        tile: what is needed of it.

    Returns:
        Float32 [h,w] or [h,w,c] of the tile, at 1/32 of a cell exact (OpenCV's fixed point).
    """
    scale_x, scale_y = field.shape[1] / tile.width, field.shape[0] / tile.height
    # warpAffine maps a destination pixel to a source pixel; pixel centres lie at +0.5.
    matrix = np.array([[scale_x, 0.0, (tile.x0 + 0.5) * scale_x - 0.5], [0.0, scale_y, (tile.y0 + 0.5) * scale_y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (tile.x1 - tile.x0, tile.y1 - tile.y0)
    return cast(FloatArray, cv2.warpAffine(field, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def sample(field: FloatArray, tile: Tile, rows: IntArray, columns: IntArray) -> FloatArray:
    """What `upsample` answers at some pixels of the tile.

    Args:
        field: float32 [hs,ws,c], over all of the box.
        tile: the tile.
        rows: int [n], of the tile.
        columns: int [n], of the tile.

    Returns:
        Float32 [n,c].
    """
    values = np.empty((len(rows), field.shape[2]), np.float32)
    _sample(field, rows + tile.y0, columns + tile.x0, tile.height, tile.width, values)
    return values


@compiled_for(void(float32[:, :, ::1], int64[::1], int64[::1], int64, int64, float32[:, ::1]))
def _sample(field: FloatArray, rows: IntArray, columns: IntArray, height: int, width: int, values: FloatArray) -> None:
    """`rows` and `columns` of a box of `height` x `width`, over all of which the field is stretched."""
    for i in range(len(rows)):
        y0, y1, down = between_cells((rows[i] + 0.5) * field.shape[0] / height - 0.5, field.shape[0])
        x0, x1, over = between_cells((columns[i] + 0.5) * field.shape[1] / width - 0.5, field.shape[1])
        for c in range(field.shape[2]):
            upper = field[y0, x0, c] + (field[y0, x1, c] - field[y0, x0, c]) * over
            lower = field[y1, x0, c] + (field[y1, x1, c] - field[y1, x0, c]) * over
            values[i, c] = upper + (lower - upper) * down


@compiled
def between_cells(place: float | np.float32, cells: int) -> tuple[int, int, float | np.float32]:
    """Where a place lies among the middles of cells in a row (cell k at k), for compiled loops.

    Returns:
        The cell before, the cell after and the way from the one to the other, 0..1; before the first and after the last, that one.
    """
    inside = min(max(place, 0.0), cells - 1.0)
    before = int(inside)
    return before, min(before + 1, cells - 1), inside - before


def smooth(values: FloatArray, radius: int, epsilons: FloatArray, per_value: float = 0.0) -> FloatArray:
    """Smooth a picture but for its edges: a guided filter with itself as guide (He, Sun, Tang, "Guided Image Filtering", 2013).

    Args:
        values: float32 [h,w].
        radius: of the window, in pixels. Rows and columns within twice as many of the border see less than they need.
        epsilons: float32 [n]: variation with a variance well below this goes, well above it stays. Which of them holds in a window, its
            mean says ...
        per_value: ... times this, rounded down: of a mean of 0 the first, beyond the last that one.

    Returns:
        Float32 [h,w].
    """
    values = np.ascontiguousarray(values)
    planes = np.empty((2, *values.shape), np.float32)
    _squares(values, planes)
    planes = window_means(planes, radius)
    _slopes(planes, epsilons, np.float32(per_value))
    planes = window_means(planes, radius)
    smoothed = np.empty_like(values)
    _along(values, planes, smoothed)
    return smoothed


@compiled_for(void(float32[:, ::1], float32[:, :, ::1]))
def _squares(values: FloatArray, planes: FloatArray) -> None:
    """Values [h,w] and their squares into planes [2,h,w]."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            planes[0, y, x], planes[1, y, x] = values[y, x], values[y, x] * values[y, x]


@compiled_for(void(float32[:, :, ::1], float32[::1], float32))
def _slopes(planes: FloatArray, epsilons: FloatArray, per_value: np.float32) -> None:
    """Means of windows and of squares in them, planes [2,h,w], become slopes and offsets; see `smooth`."""
    none, last = np.float32(0), np.float32(len(epsilons) - 1)
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            mean, square = planes[0, y, x], planes[1, y, x]
            variance, place = max(square - mean * mean, none), mean * per_value
            # Whatever is no number must not become an index: nothing checks bounds here.
            epsilon = epsilons[np.uint32(min(place, last)) if place > none else np.uint32(0)]
            slope = variance / (variance + epsilon)
            planes[0, y, x], planes[1, y, x] = slope, mean - slope * mean


@compiled_for(void(float32[:, ::1], float32[:, :, ::1], float32[:, ::1]))
def _along(values: FloatArray, planes: FloatArray, result: FloatArray) -> None:
    """Slopes and offsets [2,h,w] put on values [h,w]."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            result[y, x] = planes[0, y, x] * values[y, x] + planes[1, y, x]
