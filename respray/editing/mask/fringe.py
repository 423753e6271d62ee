"""The surface's colour just outside its edge: JPEG stores colour at half the resolution of light, and smears it over the edge.

A matte ends in a tail of values that mean nothing as opacity (at most 3 of 255) but let an edit reach that fringe. There only chroma is
touched, by as much of the surface's chroma as the pixel shows; its luma (ITU-R BT.601, as in JPEG) stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numba import float32, float64, uint8, void
from numba.core.types import UniTuple

from respray.editing.core.codes import encode_scene
from respray.editing.core.compiled import compiled, compiled_for
from respray.imaging.arrays import FloatArray, UInt8Array

# Alpha one, two and three pixels outside the edge: the reach of a 2 x 2 chroma sample that is enlarged linearly.
TAIL = (3, 2, 1)
# The largest share of the surface's chroma at each tail value (index), and on the soft edge itself (last), beyond the pixel's own alpha:
# what the weights of such a sample leave for it.
MAX_TAIL_SHARE = np.array([0.0, 0.25, 0.5, 0.75], np.float32)
# RGB -> Cb, Cr and their part of RGB (BT.601, JPEG File Interchange Format 1.02).
TO_CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
FROM_CHROMA = np.array([[0.0, 1.402], [-0.344136, -0.714136], [1.772, 0.0]], np.float32)


@dataclass(frozen=True)
class FringeParameters:
    """When chroma beside an edge is taken for the surface's. Chroma is in 8-bit codes (Cb, Cr).

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    `tests/editing/test_fringe.py` holds edges behind a camera's JPEG that they must mend.
    """

    min_contrast: float = 8.0
    """Chroma of surface and surroundings that is too alike to tell the one in the other (codes)."""
    sure_contrast: float = 24.0
    """From this difference on it surely can be told (codes)."""
    max_off_line: float = 0.5
    """A pixel further from the line between both colours than this share of their distance is a third thing."""
    min_share: float = 0.06
    """Less than this is noise and stays untouched."""


def with_tail(alpha: UInt8Array, edges: Sequence[tuple[int, int, int, int]] | None = None) -> UInt8Array:
    """A matte uint8 [H,W] with its soft edge extended over the fringe.

    `edges` (x0, y0, x1, y1, half open): parts outside which no pixel above 0 has one of 0 beside it; None: not known.

    Example:
        >>> with_tail(np.array([[0, 0, 0, 0, 255]], np.uint8)).tolist()
        [[0, 1, 2, 3, 255]]
    """
    result, reach = alpha.copy(), len(TAIL)
    if edges is None:
        x, y, width, height = cv2.boundingRect(alpha)
        edges = [(x, y, x + width, y + height)] if width else []
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for x0, y0, x1, y1 in edges:
        # What gets a tail, and what it depends on.
        left, top, far_left, far_top = (max(0, start) for start in (x0 - reach, y0 - reach, x0 - 2 * reach, y0 - 2 * reach))
        grown = cv2.threshold(alpha[far_top : y1 + 2 * reach, far_left : x1 + 2 * reach], 0, 255, cv2.THRESH_BINARY)[1]
        view = result[top : y1 + reach, left : x1 + reach]
        shown = slice(top - far_top, top - far_top + view.shape[0]), slice(left - far_left, left - far_left + view.shape[1])
        for value in TAIL:
            grown = cv2.dilate(grown, cross)
            cv2.max(view, cv2.threshold(grown[shown], 0, value, cv2.THRESH_BINARY)[1], dst=view)
    return result


def without_tail(alpha: UInt8Array) -> UInt8Array:
    """The part of a matte uint8 [H,W] that means opacity.

    Example:
        >>> without_tail(np.array([[0, 1, 2, 3, 255]], np.uint8)).tolist()
        [[0, 0, 0, 0, 255]]
    """
    return cast(UInt8Array, cv2.threshold(alpha, max(TAIL), 255, cv2.THRESH_TOZERO)[1])


def repaint(
    codes: UInt8Array,
    painted: FloatArray,
    alpha: UInt8Array,
    photo: UInt8Array,
    colours: Sequence[FloatArray],
    parameters: FringeParameters = FringeParameters(),
) -> UInt8Array:
    """Replace the surface's old chroma in edge pixels by its new one; all arrays list the same n pixels.

    Args:
        codes: uint8 [n,3], sRGB: what the edit made of them when it painted the share `painted` of each.
        painted: float32 [n], 0..1.
        alpha: uint8 [n], the matte.
        photo: uint8 [n,3], sRGB: what they were.
        colours: four scene-linear float32 [n,3]: the surface's colour around them and its surroundings', and their own part of the surface
            before and after.
        parameters: of the decision.

    Returns:
        uint8 [n,3], sRGB.
    """
    fields = encode_scene(np.stack(colours))
    result = np.empty_like(codes)
    p = parameters
    limits = (p.min_contrast, p.sure_contrast, p.max_off_line, p.min_share)
    _repaint(codes, painted, alpha, photo, fields, limits, result)
    return result


@compiled_for(void(uint8[:, ::1], float32[::1], uint8[::1], uint8[:, ::1], uint8[:, :, ::1], UniTuple(float64, 4), uint8[:, ::1]))
def _repaint(
    codes: UInt8Array,
    painted: FloatArray,
    alpha: UInt8Array,
    photo: UInt8Array,
    fields: UInt8Array,
    limits: tuple[float, float, float, float],
    result: UInt8Array,
) -> None:
    """`fields` uint8 [4,n,3]: the four colours in codes; `limits`: the fields of `FringeParameters`, in their order."""
    min_contrast, sure_contrast, max_off_line, min_share = limits
    for i in range(len(codes)):
        # Chroma (Cb, Cr) of the pixel and of the surface as seen from the surroundings, and from the old colour to the new one.
        here_b, here_r = _chroma(photo[i], fields[1, i])
        axis_b, axis_r = _chroma(fields[0, i], fields[1, i])
        new_b, new_r = _chroma(fields[3, i], fields[2, i])
        square = max(axis_b**2 + axis_r**2, 1e-6)
        shown = (here_b * axis_b + here_r * axis_r) / square
        off = abs(here_b * axis_r - here_r * axis_b) / square
        trust = min(max((math.sqrt(square) - min_contrast) / (sure_contrast - min_contrast), 0.0), 1.0)
        trust *= min(max(2.0 - off * (2.0 / max_off_line), 0.0), 1.0)
        excess = min(max((shown - painted[i]) * trust, 0.0), MAX_TAIL_SHARE[min(alpha[i], len(MAX_TAIL_SHARE) - 1)])
        if excess < min_share:
            excess = 0.0
        for c in range(3):
            shift = excess * (FROM_CHROMA[c, 0] * new_b + FROM_CHROMA[c, 1] * new_r)
            result[i, c] = int(min(max(codes[i, c] + shift, 0.0), 255.0) + 0.5)


@compiled
def _chroma(one: UInt8Array, other: UInt8Array) -> tuple[float, float]:
    """Cb and Cr by which two colours (uint8 [3]) differ."""
    blue = red = 0.0
    for c in range(3):
        difference = float(one[c]) - float(other[c])
        blue += TO_CHROMA[0, c] * difference
        red += TO_CHROMA[1, c] * difference
    return blue, red
