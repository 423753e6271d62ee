"""Holes filled by what is around them, evenly: Telea, "An image inpainting technique based on the fast marching method" (2004)."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from respray.imaging.arrays import BoolArray, UInt8Array


def diffused(image: UInt8Array, hole: BoolArray, radius: float) -> UInt8Array:
    """Fill a hole.

    Args:
        image: uint8 [H,W] or [H,W,3]; not changed.
        hole: bool [H,W].
        radius: pixels around each that tell its colour.

    Returns:
        As `image`; outside the hole the same.
    """
    if len(hole) == 1:
        # Of one row OpenCV 4.11 reads what lies beside the picture in memory; with a second one like it, it does not.
        return diffused(image.repeat(2, axis=0), hole.repeat(2, axis=0), radius)[:1]
    return cast(UInt8Array, cv2.inpaint(image, hole.astype(np.uint8), radius, cv2.INPAINT_TELEA))
