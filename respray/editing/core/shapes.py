"""Shapes as bool pictures."""

from __future__ import annotations

import cv2
import numpy as np

from respray.imaging.arrays import BoolArray


def grown(shape: BoolArray, reach: int) -> BoolArray:
    """A shape, bool [h,w], and `reach` pixels all around, corners included."""
    larger: BoolArray = cv2.dilate(shape.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    return larger
