"""TIFF with 16 bits per colour channel, which Pillow cannot open: its pixels, by OpenCV. `contract.photo_file` has read its header."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from respray.contract.errors import ImageError
from respray.imaging.layers import SIXTEEN_TO_EIGHT

cv2.setLogLevel(0)  # a broken file's tags are said once, in our error


def decode_tiff16(data: bytes) -> Image.Image:
    """16-bit colour TIFF -> Pillow's RGB or RGBA picture of 8 bits. Raises `ImageError` for corrupt data."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise ImageError("the 16-bit TIFF is truncated or of an unusual layout; 16-bit RGB or RGBA is accepted")
    codes = np.round(pixels * np.float32(SIXTEEN_TO_EIGHT)).astype(np.uint8)
    return Image.fromarray(cv2.cvtColor(codes, cv2.COLOR_BGRA2RGBA if codes.shape[2] == 4 else cv2.COLOR_BGR2RGB))
