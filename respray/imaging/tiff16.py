"""TIFF with 16 bits per colour channel, which Pillow cannot open: its pixels, by OpenCV. `contract.photo_file` has read its header."""

from __future__ import annotations

import cv2
import numpy as np

from respray.contract.errors import ImageError
from respray.imaging.arrays import UInt8Array

# A 16-bit code is an 8-bit code times 257.
SIXTEEN_TO_EIGHT = 1.0 / 257.0
cv2.setLogLevel(0)  # a broken file's tags are said once, in our error


def decode_tiff16(data: bytes) -> UInt8Array:
    """16-bit colour TIFF -> uint8 [H,W,3] RGB, alpha laid on white. Raises `ImageError` for corrupt data."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise ImageError("the 16-bit TIFF is truncated or of an unusual layout; 16-bit RGB or RGBA is accepted")
    values = pixels.astype(np.float32) * SIXTEEN_TO_EIGHT
    if values.shape[2] == 4:
        alpha = values[..., 3:] / 255.0
        values = values[..., :3] * alpha + 255.0 * (1.0 - alpha)
    return np.ascontiguousarray(np.round(values).astype(np.uint8)[..., ::-1])
