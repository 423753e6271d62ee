"""Photos that come with an alpha of their own: which of a pixel's colour a concept is, where the pixel itself is only partly there.

A cut-out is segmented as it is looked at, on white paper. At its edge the matte of what was cut out is then no more than the pixel's own
alpha, although all of the pixel's (straight) colour is the thing's: an edit by that matte would leave a rim of the old colour.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from respray.editing.mask.matte import Matte
from respray.imaging.arrays import FloatArray, UInt8Array

# What a concept is of the paper is read from transparent pixels so far away (pixels).
REACH = 15


def of_colours(matte: Matte, opacity: UInt8Array) -> Matte:
    """A matte of what is seen on paper -> the matte of the photo's own straight colours.

    A pixel of opacity o shows its colour by o and the paper by 1 - o, so that a matte m = o x + (1 - o) p, of which x is what the concept
    has of the colour, and p what it has of the paper (1 for a background, 0 for a thing). It is solved for x; where nothing shows, x is 0.

    Args:
        matte: of the photo as it is seen on white.
        opacity: uint8 [H,W], the photo's own alpha.
    """
    alpha = _of_colours(matte.alpha, opacity)
    return replace(matte, alpha=alpha, coverage=_of_colours(matte.coverage, opacity) if matte.feathered else alpha)


def _of_colours(alpha: UInt8Array, opacity: UInt8Array) -> UInt8Array:
    result = alpha.copy()
    result[opacity == 0] = 0
    mixed = ((opacity > 0) & (opacity < 255) & (alpha > 0) & (alpha < 255)).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mixed)
    if not width:
        return result
    # All of it happens in the box of such pixels, and a little around it.
    box = slice(max(0, y - REACH), y + height + REACH), slice(max(0, x - REACH), x + width + REACH)
    seen, shown, at = alpha[box].astype(np.float32) / 255.0, opacity[box].astype(np.float32) / 255.0, mixed[box] > 0
    paper = _of_paper(seen, 1.0 - shown)
    part = (seen[at] - (1.0 - shown[at]) * paper[at]) / shown[at]
    result[box][at] = np.round(np.clip(part, 0.0, 1.0) * 255.0)
    return result


def _of_paper(seen: FloatArray, paper: FloatArray) -> FloatArray:
    """What the concept has of the paper around each pixel: the mean of its matte, weighed by how alone the paper is seen there."""
    weight = paper**8
    size = (2 * REACH + 1, 2 * REACH + 1)
    total = cv2.boxFilter(weight, -1, size, normalize=False)
    return cast(FloatArray, cv2.boxFilter(seen * weight, -1, size, normalize=False) / np.maximum(total, np.float32(1e-9)))
