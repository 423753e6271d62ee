"""Means over square windows around every pixel."""

from __future__ import annotations

import numpy as np
from numba import float32, int64, void

from respray.editing.core.compiled import compiled, compiled_for
from respray.imaging.arrays import FloatArray


def window_means(planes: FloatArray, radius: int) -> FloatArray:
    """Average planes over windows; beyond its border a plane is mirrored, its outermost pixels standing once.

    What `cv2.blur` does, to the bit, in three fifths of the time: there each sum of a row waits for the one before it, here those of four
    rows run side by side.

    Args:
        planes: float32 [n,h,w].
        radius: of the window, pixels: it has 2 radius + 1 a side.

    Returns:
        float32 [n,h,w].

    Example:
        >>> window_means(np.array([[[0, 3, 6]]], np.float32), 1).tolist()
        [[[2.0, 3.0, 4.0]]]
    """
    result = np.empty(planes.shape, np.float32)
    _window_means(planes, radius, result)
    return result


@compiled_for(void(float32[:, :, ::1], int64, float32[:, :, ::1]))
def _window_means(planes: FloatArray, radius: int, result: FloatArray) -> None:
    """See `window_means`."""
    count, height, width = planes.shape
    side = 2 * radius + 1
    scale = 1.0 / (side * side)
    # Sums of columns of the window around a row (float64, as they run), and those of four rows with what is mirrored on both sides.
    column, wide = np.empty(width), np.empty((4, width + side))
    for k in range(count):
        plane = planes[k]
        column[:] = 0.0
        for i in range(-radius - 1, radius):
            row = plane[_mirrored(i, height)]
            for x in range(width):
                column[x] += row[x]
        for top in range(0, height, 4):
            # The last row stands for those beyond it.
            for j in range(4):
                y = top + j
                if y < height:
                    new, old = plane[_mirrored(y + radius, height)], plane[_mirrored(y - radius - 1, height)]
                    for x in range(width):
                        column[x] += np.float64(new[x]) - np.float64(old[x])
                line = wide[j, radius + 1 : radius + 1 + width]
                for x in range(width):
                    line[x] = column[x]
                for i in range(radius + 1):
                    wide[j, i] = column[_mirrored(i - radius - 1, width)]
                for i in range(radius):
                    wide[j, radius + 1 + width + i] = column[_mirrored(width + i, width)]
            first, second, third, fourth = wide
            a, b, c, d = first[:side].sum(), second[:side].sum(), third[:side].sum(), fourth[:side].sum()
            rows, last = result[k], height - 1
            one, two, three, four = rows[top], rows[min(top + 1, last)], rows[min(top + 2, last)], rows[min(top + 3, last)]
            for x in range(width):
                a += first[x + side] - first[x]
                b += second[x + side] - second[x]
                c += third[x + side] - third[x]
                d += fourth[x + side] - fourth[x]
                four[x], three[x], two[x], one[x] = d * scale, c * scale, b * scale, a * scale


@compiled
def _mirrored(place: int, count: int) -> int:
    """The pixel of a row of `count` that stands at a place beyond its ends: OpenCV's BORDER_REFLECT_101."""
    if count == 1:
        return 0
    while place < 0 or place >= count:
        place = -place if place < 0 else 2 * count - 2 - place
    return place
