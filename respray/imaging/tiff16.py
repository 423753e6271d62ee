"""TIFF with 16 bits per colour channel, which Pillow cannot open: its header by Pillow's tag reader, its pixels by OpenCV."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import TiffImagePlugin

from respray.imaging.arrays import UInt8Array
from respray.imaging.errors import ImageError

WIDTH_TAG, HEIGHT_TAG, BITS_TAG = 256, 257, 258
SIXTEEN_TO_EIGHT = 1.0 / 257.0


def tiff16_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a 16-bit colour TIFF, from its header alone; None where `data` is anything else."""
    if data[:4] not in (b"II*\x00", b"MM\x00*"):
        return None
    try:
        stream = io.BytesIO(data)
        header = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
        stream.seek(header.next)
        header.load(stream)
        bits = header.get(BITS_TAG, (1,))
        if set(bits) != {16} or len(bits) not in (3, 4):
            return None
        return int(header[WIDTH_TAG]), int(header[HEIGHT_TAG])
    except Exception:  # a broken tag directory: not a TIFF that anybody could read
        return None


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
