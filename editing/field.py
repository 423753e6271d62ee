"""Small smooth fields (light, colours near an edge) that are stretched over a large image strip by strip."""

from __future__ import annotations

import cv2
import numpy as np

from imaging.arrays import FloatArray


def upsample_rows(field: FloatArray, y0: int, rows: int, width: int, height: int) -> FloatArray:
    """Rows y0..y0+rows of a small field [hs,ws,c] stretched bilinearly to [height,width,c]."""
    scale_x, scale_y = field.shape[1] / width, field.shape[0] / height
    # warpAffine maps a destination pixel to a source pixel; pixel centres lie at +0.5.
    matrix = np.array([[scale_x, 0.0, 0.5 * scale_x - 0.5], [0.0, scale_y, (y0 + 0.5) * scale_y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, matrix, (width, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def smooth(values: FloatArray, radius: int, epsilon: float) -> FloatArray:
    """Edge-preserving smoothing of float32 [h,w] by itself: variation with a variance well below `epsilon` goes, well above stays
    (guided filter with itself as guide; He, Sun, Tang 2013). Rows and columns within 2 x `radius` of the border see less than they need.
    """
    box = (2 * radius + 1, 2 * radius + 1)
    mean: FloatArray = cv2.boxFilter(values, -1, box)
    squares: FloatArray = np.multiply(values, values)
    variance: FloatArray = np.maximum(cv2.boxFilter(squares, -1, box) - mean * mean, 0.0)
    slope: FloatArray = np.divide(variance, variance + np.float32(epsilon))
    offset: FloatArray = mean - slope * mean
    return cv2.boxFilter(slope, -1, box) * values + cv2.boxFilter(offset, -1, box)
