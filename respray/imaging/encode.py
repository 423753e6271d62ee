"""uint8 arrays -> PNG, JPEG and WebP files.

Files carry no orientation (pixels are upright). All say that they are sRGB: PNG in its own chunk, JPEG and WebP by a profile.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

from respray.contract.errors import ImageError
from respray.contract.photo_facts import KeptMetadata
from respray.contract.photo_file import ImageFormat, check_sides
from respray.imaging.arrays import UInt8Array
from respray.imaging.jpeg import srgb_profile, with_metadata
from respray.imaging.png import encode_png

PREVIEW_QUALITY = 85
WHITE = 255
# As OpenCV and libwebp have it by default.
LOSSLESS_EFFORT = 70


def encode(image: UInt8Array, format: ImageFormat = "png", quality: int = 92, metadata: KeptMetadata = KeptMetadata()) -> bytes:
    """Encode uint8 [H,W] grey, [H,W,3] sRGB or [H,W,4] sRGB with straight alpha.

    `metadata` goes into the file. Colours below alpha 0 stay as they are in PNG and WebP (exactly, where it is lossless). `quality` 1..100
    is for JPEG and WebP (100 = lossless WebP). JPEG has no alpha: `ImageError` for four channels. So is a side over `LONGEST_SIDE`.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ImageError(f"cannot encode an array of {image.dtype} {list(image.shape)}; uint8 [H,W], [H,W,3] or [H,W,4] is accepted")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if format == "jpeg" and channels == 4:
        raise ImageError("JPEG cannot hold transparency; write PNG or WebP")
    check_sides(format, image.shape[1], image.shape[0])
    if format == "png":
        return encode_png(image, metadata)
    if format == "webp":
        return _webp(image, quality, metadata)
    swapped = image if channels == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpeg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ImageError(f"the {format} encoder failed on {image.shape[1]} x {image.shape[0]} pixels")
    return with_metadata(data.tobytes(), metadata, colour=channels == 3)


def _webp(image: UInt8Array, quality: int, metadata: KeptMetadata) -> bytes:
    """By Pillow: it writes metadata, and keeps the colours of transparent pixels. Without loss its `quality` is the effort."""
    stream = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "quality": LOSSLESS_EFFORT} if quality == 100 else {"quality": quality}
    options |= {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": srgb_profile(), "exact": True}
    try:
        Image.fromarray(image).save(stream, "WEBP", **options)
    except (OSError, ValueError) as error:
        raise ImageError(f"the webp encoder failed on {image.shape[1]} x {image.shape[0]} pixels ({error})") from error
    return stream.getvalue()


def preview(small: UInt8Array) -> bytes:
    """A small picture (uint8 [h,w,3|4]) as JPEG; transparent pixels are shown on white."""
    if small.ndim == 3 and small.shape[2] == 4:
        alpha = small[..., 3:].astype(np.float32) / WHITE
        small = np.round(small[..., :3] * alpha + WHITE * (1.0 - alpha)).astype(np.uint8)
    return encode(small, "jpeg", PREVIEW_QUALITY)
