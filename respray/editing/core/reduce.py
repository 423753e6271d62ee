"""Pictures averaged down to a smaller size: what every statistic of a large photo begins with."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numba import uint8, void

from respray.editing.core.compiled import compiled, compiled_for, read_only
from respray.imaging.arrays import FloatArray, IntArray, UInt8Array, UInt16Array

# Sums of so many whole rows of codes fit into 16 bits.
MAX_ROWS = 257
# Of so few rows the sums are made in one go, and so much of them at a time that they stay in a core's nearest cache.
FEW_ROWS, SPAN = 2, 4096
# So many new pixels at a time are looked at whether all of them are 0 or 255, as most of a matte's are.
ALIKE = 64


def average(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Make a picture smaller: every new pixel is the mean of the part of the old picture that it covers.

    What `cv2.resize` does with `INTER_AREA`, to the rounding; for pictures of 12 megapixels and three channels that takes 32 ms, this 7.

    Args:
        image: uint8 [H,W] or [H,W,C]; rows may be apart in memory, pixels may not.
        size: width and height of the result, at least 1 and not more than those of the picture.

    Returns:
        uint8 [h,w] or [h,w,C]; the picture itself where it has this size.

    Example:
        >>> average(np.array([[0, 30, 60], [0, 30, 60]], np.uint8), (2, 1)).tolist()
        [[10, 50]]
    """
    height, width = image.shape[:2]
    if size == (width, height):
        return image
    if (2 * size[0], 2 * size[1]) == (width, height):  # which OpenCV has in vector instructions
        return cast(UInt8Array, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    channels = 1 if image.ndim == 2 else image.shape[2]
    # Rows of codes, whatever the picture is a part of.
    rows = image if image.strides[1:] == ((1,) if image.ndim == 2 else (channels, 1)) else np.ascontiguousarray(image)
    lines = np.lib.stride_tricks.as_strided(rows, (height, width * channels), (rows.strides[0], 1), writeable=False)
    result = np.empty((size[1], size[0], channels), np.uint8)
    _average(lines, result)
    return result[..., 0] if image.ndim == 2 else result


def shrink(image: UInt8Array, size: int) -> UInt8Array:
    """`image` (uint8 [H,W] or [H,W,C]) so that its longest side has `size` pixels; itself where it has no more."""
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    return average(image, (max(1, round(width * scale)), max(1, round(height * scale))))


class Reduced:
    """A picture that several ask for at the same smaller size: the last one is kept."""

    def __init__(self, picture: UInt8Array) -> None:
        """`picture` is uint8 [H,W] or [H,W,C]."""
        self.picture = picture
        self._last: tuple[tuple[int, int], UInt8Array] | None = None

    def at(self, size: tuple[int, int]) -> UInt8Array:
        """As `average`; not to be changed."""
        if self._last is None or self._last[0] != size:
            self._last = None  # let go of before the next is made
            self._last = size, average(self.picture, size)
        return self._last[1]


@compiled_for(void(read_only(uint8[:, :]), uint8[:, :, ::1]))
def _average(lines: UInt8Array, result: UInt8Array) -> None:
    """Rows uint8 [H, W x C] into `result` uint8 [h,w,C]."""
    height, length = lines.shape
    rows, columns, channels = result.shape
    width = length // channels
    down, over = height / rows, width / columns
    whole = np.empty(length, np.uint16)
    # One pixel more, of which nothing counts: it stands after the last.
    sums = np.zeros(length + channels, np.float32)
    firsts, lasts = np.empty(columns, np.int64), np.empty(columns, np.int64)
    befores, afters = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for x in range(columns):
        firsts[x], lasts[x], befores[x], afters[x] = _covered(x, over, width)
    scale = np.float32(1.0 / (down * over))
    for y in range(rows):
        first, last, before, after = _covered(y, down, height)
        _add_rows(lines, first, last, before, after, whole, sums)
        if channels == 3:
            _across_three(sums, firsts, lasts, befores, afters, scale, result[y])
        elif channels == 1:
            # The sum of rows of 255, added up as all sums are.
            full = np.float32(255 * (last - first)) + before * np.float32(255) + after * np.float32(255)
            _across_one(sums, firsts, lasts, befores, afters, scale, full, result[y, :, 0])
        else:
            _across(sums, firsts, lasts, befores, afters, scale, result[y])


@compiled
def _across(
    sums: FloatArray, firsts: IntArray, lasts: IntArray, befores: FloatArray, afters: FloatArray, scale: np.float32, row: UInt8Array
) -> None:
    """Means of cells from sums float32 [W x C] of their rows into `row` uint8 [w,C]; the others, [w], as `_covered` says."""
    columns, channels = row.shape
    for x in range(columns):
        for c in range(channels):
            total = np.float32(0)
            for i in range(np.uint64(firsts[x]), np.uint64(lasts[x])):  # signed indexes would be checked for being negative
                total += sums[np.uint64(i) * np.uint64(channels) + np.uint64(c)]
            if befores[x] > 0:
                total += befores[x] * sums[(firsts[x] - 1) * channels + c]
            if afters[x] > 0:
                total += afters[x] * sums[lasts[x] * channels + c]
            row[x, c] = np.uint8(np.rint(total * scale))


@compiled
def _across_one(
    sums: FloatArray,
    firsts: IntArray,
    lasts: IntArray,
    befores: FloatArray,
    afters: FloatArray,
    scale: np.float32,
    full: np.float32,
    row: UInt8Array,
) -> None:
    """`_across` for one channel, `row` uint8 [w]; `full`: the sum of pixels of 255. What does not count is added, too, times 0: whether it
    counts cannot be foreseen."""
    for start in range(0, len(row), ALIKE):
        end = min(start + ALIKE, len(row))
        value = sums[firsts[start]]
        if value in (np.float32(0), full):
            differ = False
            for i in range(max(firsts[start] - 1, 0), lasts[end - 1] + (afters[end - 1] > 0)):
                differ |= sums[i] != value
            if not differ:
                row[start:end] = 0 if value == 0 else 255
                continue
        for x in range(start, end):
            total = np.float32(0)
            for i in range(np.uint64(firsts[x]), np.uint64(lasts[x])):
                total += sums[i]
            total += befores[x] * sums[np.uint64(max(firsts[x] - 1, 0))]
            total += afters[x] * sums[np.uint64(lasts[x])]
            row[x] = np.uint8(np.rint(total * scale))


@compiled
def _across_three(
    sums: FloatArray, firsts: IntArray, lasts: IntArray, befores: FloatArray, afters: FloatArray, scale: np.float32, row: UInt8Array
) -> None:
    """`_across_one` for three channels at once."""
    for x in range(len(row)):
        red, green, blue = np.float32(0), np.float32(0), np.float32(0)
        for i in range(np.uint64(firsts[x]), np.uint64(lasts[x])):
            at = np.uint64(3) * np.uint64(i)
            red += sums[at]
            green += sums[at + np.uint64(1)]
            blue += sums[at + np.uint64(2)]
        for share, i in ((befores[x], max(firsts[x] - 1, 0)), (afters[x], lasts[x])):
            at = np.uint64(3) * np.uint64(i)
            red += share * sums[at]
            green += share * sums[at + np.uint64(1)]
            blue += share * sums[at + np.uint64(2)]
        row[x, 0], row[x, 1], row[x, 2] = np.uint8(np.rint(red * scale)), np.uint8(np.rint(green * scale)), np.uint8(np.rint(blue * scale))


@compiled
def _covered(cell: int, factor: float, count: int) -> tuple[int, int, np.float32, np.float32]:
    """The pixels that a cell covers wholly, half open, and how much of the one before and of the one after."""
    start, end = cell * factor, min((cell + 1) * factor, count * 1.0)
    first, last = int(np.ceil(start - 1e-9)), int(np.floor(end + 1e-9))
    if first > last:  # within one pixel, when nothing becomes smaller
        return last, last, np.float32(0), np.float32(end - start)
    return first, last, np.float32(max(first - start, 0.0)), np.float32(max(end - last, 0.0))


@compiled
def _add_rows(
    lines: UInt8Array, first: int, last: int, before: np.float32, after: np.float32, whole: UInt16Array, sums: FloatArray
) -> None:
    """Rows `first` to `last` and shares of those beside them, into `sums`; `whole` uint16 [W x C] is written over."""
    length, rows = lines.shape[1], last - first
    above, below = lines[max(first - 1, 0)], lines[min(last, lines.shape[0] - 1)]
    span = length if rows > FEW_ROWS else SPAN
    for left in range(0, length, span):
        right = min(left + span, length)
        total, count = sums[left:right], np.uint64(right - left)
        if rows == 1:
            one = lines[first, left:right]
            for i in range(count):
                total[i] = one[i]
        elif rows == FEW_ROWS:
            one, two = lines[first, left:right], lines[first + 1, left:right]
            for i in range(count):
                total[i] = np.uint16(one[i]) + np.uint16(two[i])
        else:
            total[:] = 0
            for start in range(first, last, MAX_ROWS):
                whole[:] = 0
                for row in range(start, min(last, start + MAX_ROWS)):
                    one = lines[row]
                    for i in range(count):
                        whole[i] += one[i]
                for i in range(count):
                    total[i] += whole[i]
        if before > 0:
            one = above[left:right]
            for i in range(count):
                total[i] += before * np.float32(one[i])
        if after > 0:
            one = below[left:right]
            for i in range(count):
                total[i] += after * np.float32(one[i])
