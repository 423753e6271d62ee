"""A user's mask -> what it selects, by the shortest way: most are PNGs of 8-bit grey, whose filters are undone here in a compiled loop."""

from __future__ import annotations

import numpy as np
from numba import uint8, void

from respray.editing.core.compiled import compiled, compiled_for, read_only
from respray.imaging.arrays import UInt8Array
from respray.imaging.isolated import decode_mask
from respray.imaging.selection import selection

# So many stored bytes that are all zero change nothing, and are passed over at once.
SPAN = 128


def read_mask(data: bytes) -> UInt8Array:
    """Decode a user's mask, as `respray.imaging.decode.decode_mask` does, where `respray.imaging.isolated.decoding_in` says.

    Returns:
        uint8 [h,w], 255 = selected, at the file's own size.

    Raises:
        ImageError: as there.
    """
    mask = decode_mask(data)
    return selection(unfilter(mask.values), None) if mask.stored else mask.values


def unfilter(rows: UInt8Array) -> UInt8Array:
    """Undo a PNG's filters.

    Args:
        rows: uint8 [h,1+w], of 8-bit grey, as `respray.imaging.grey_png.stored_rows` gives them.

    Returns:
        uint8 [h,w], the pixels. Source: PNG specification, third edition (https://www.w3.org/TR/png-3/#9Filters).

    Example:
        >>> unfilter(np.array([[1, 5, 0, 2], [2, 1, 1, 1]], np.uint8)).tolist()
        [[5, 5, 7], [6, 6, 8]]
    """
    pixels = np.empty((rows.shape[0], rows.shape[1] - 1), np.uint8)
    _unfilter(rows, pixels)
    return pixels


@compiled_for(void(read_only(uint8[:, ::1]), uint8[:, ::1]))
def _unfilter(rows: UInt8Array, pixels: UInt8Array) -> None:
    """See `unfilter`."""
    width = pixels.shape[1]
    above = np.zeros(width, np.uint8)
    for y in range(len(rows)):
        kind, stored, row = rows[y, 0], rows[y, 1:], pixels[y]
        if kind == 0:
            row[:] = stored
        elif kind == 1:
            _add_left(stored, row)
        elif kind == 2:
            for x in range(width):
                row[x] = stored[x] + above[x]
        else:
            left = corner = 0
            for x in range(width):
                up = int(above[x])
                guess = (left + up) >> 1 if kind == 3 else _paeth(left, up, corner)
                left, corner = (int(stored[x]) + guess) & 255, up
                row[x] = left
        above = row


@compiled
def _add_left(stored: UInt8Array, row: UInt8Array) -> None:
    """Running sums of stored bytes [w], modulo 256."""
    width, left = len(row), np.uint8(0)
    whole = width - width % SPAN
    for start in range(0, whole, SPAN):
        span, shown = stored[start : start + SPAN], row[start : start + SPAN]
        some = np.uint8(0)
        for i in range(SPAN):
            some |= span[i]
        if some == 0:
            for i in range(SPAN):
                shown[i] = left
            continue
        for i in range(SPAN):
            left = np.uint8(left + span[i])
            shown[i] = left
    for x in range(whole, width):
        left = np.uint8(left + stored[x])
        row[x] = left


@compiled
def _paeth(left: int, up: int, corner: int) -> int:
    """Of three neighbours the one that is nearest to left + up - corner."""
    from_left, from_up, from_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if from_left <= from_up and from_left <= from_corner:
        return left
    return up if from_up <= from_corner else corner
