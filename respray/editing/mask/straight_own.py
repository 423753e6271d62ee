"""Where the matte's own edge crosses a strip along a border."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numba import float32, int64, uint8, void

from respray.editing.core.compiled import compiled_for
from respray.editing.mask.straight_line import Strip
from respray.imaging.arrays import FloatArray, UInt8Array


def own_edge(matte: UInt8Array, strip: Strip, window: float, leg: float, solid: float) -> FloatArray:
    """Find the matte's own edge along a border.

    Args:
        matte: uint8 [h,w], at the work size.
        strip: of the border.
        window: the edge is counted within so many pixels of it, for what is further off are other edges.
        leg: so is the far side of something that stands in front of the plane and is narrower than this (pixels), ...
        solid: ... if beyond it the plane goes on for so many pixels, and not only a crumb of it.

    Returns:
        How far across the strip it lies, float32 [places] (pixels).
    """
    x, y = strip.layout()
    selected = cast(UInt8Array, cv2.remap(matte, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    own = np.empty(strip.places, np.float32)
    _count(selected, strip.border, int(strip.side), np.float32(window), round(leg), round(solid), own)
    return own


@compiled_for(void(uint8[:, ::1], float32[::1], int64, float32, int64, int64, float32[::1]))
def _count(selected: UInt8Array, border: FloatArray, side: int, window: np.float32, leg: int, solid: int, own: FloatArray) -> None:
    """See `own_edge`; `selected` uint8 [2 reach + 1, places] is the matte in the strip, its middle row across 0."""
    rows, places = selected.shape
    reach = rows // 2
    for place in range(places):
        # The last row inside, where the matte ends nearest to the border.
        edge, nearest = -1, window
        for row in range(max(0, side), min(rows, rows + side)):
            if selected[row, place] >= 128 and selected[row - side, place] < 128:
                away = abs(np.float32(row - reach) - np.float32(0.5) * np.float32(side) - border[place])
                if away < nearest:
                    edge, nearest = row, away
        # From here on outwards nothing counts.
        end = -1 if side > 0 else rows
        if edge >= 0:
            row, run = edge - side, 0
            while 0 <= row < rows and run < solid:
                run = run + 1 if selected[row, place] >= 128 else 0
                row -= side
            begin = row + side * run
            if run >= solid and abs(begin - edge) <= leg:
                end = begin
        share, total = np.float32(0), np.float32(0)
        for row in range(rows):
            weight = min(max(window + np.float32(0.5) - abs(np.float32(row - reach) - border[place]), np.float32(0)), np.float32(1))
            total += weight
            if (row - end) * side > 0:
                share += weight * np.float32(selected[row, place])
        share /= np.float32(255) * total
        own[place] = border[place] + np.float32(side) * window * (np.float32(1) - np.float32(2) * share)
