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
