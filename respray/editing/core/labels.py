"""Pictures in which each pixel has the number of what it belongs to; 0 is not known."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np

from respray.imaging.arrays import UInt8Array, UInt16Array

Labels = TypeVar("Labels", UInt8Array, UInt16Array)


def spread_labels(labels: Labels) -> Labels:
    """Give every pixel the label of the nearest labelled one.

    Args:
        labels: uint8 or uint16 [h,w]; at least one is not 0.

    Returns:
        The same type and shape, without 0.
    """
    missing = (labels == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(missing, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(nearest.max()) + 1, labels.dtype)
    table[nearest[labels > 0]] = labels[labels > 0]
    return table[nearest]
