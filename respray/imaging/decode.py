"""Encoded photo -> uint8 sRGB array, and nothing is decoded before its header has passed the limits.

Pillow reads every format here: unlike OpenCV it reports truncated files, knows ICC profiles and lets the caller name the
formats that it may touch. See `docs/quality.md` for what the choice costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from PIL import Image, ImageOps

from respray.contract.errors import ImageError
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, open_photo, orientation
from respray.contract.tiff_file import ORIENTATION, first_directory
from respray.imaging.arrays import UInt8Array
from respray.imaging.endless_jpeg import load
from respray.imaging.profile import to_srgb
from respray.imaging.tiff16 import SIXTEEN_TO_EIGHT, decode_tiff16


def decode(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS) -> UInt8Array:
    """Decode to uint8 [H,W,3], sRGB, upright.

    EXIF orientation is applied, embedded ICC profiles are converted to sRGB, CMYK, palette, grey, 1-bit and 16-bit images become 8-bit
    RGB, and transparent pixels are laid on white. A JPEG may lack its end marker where its last scan is whole (`endless_jpeg`).

    Raises:
        ImageError: As `inspect`, and for truncated or corrupt data.
    """
    info, image = open_photo(data, max_megapixels)
    if image is None:
        return decode_tiff16(data)
    with image:
        return _guard(lambda: _pixels(load(image, data)), info.format)


def stored_orientation(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS) -> int:
    """The EXIF orientation, 1 to 8, of an encoded photo that `decode` turns upright. Raises `ImageError` like `inspect`."""
    _, image = open_photo(data, max_megapixels)
    if image is None:
        said = first_directory(data).get(ORIENTATION, (1,))[0]
    else:
        with image:
            said = orientation(image)
    return said if 1 <= said <= 8 else 1


def decode_mask(data: bytes, max_megapixels: float = 200.0) -> UInt8Array:
    """Decode a user's mask (white = selected, any size and format) to uint8 [h,w], at its own size.

    Colour masks are read by luminance; where alpha is not opaque, transparent means not selected. Where every opaque pixel is black, the
    selection is the alpha. Masks of 0 and 1 are understood as masks of 0 and 255. Raises `ImageError` like `decode`.
    """
    info, image = open_photo(data, max_megapixels)
    if image is None:
        return cast(UInt8Array, cv2.cvtColor(decode_tiff16(data), cv2.COLOR_RGB2GRAY))
    with image:
        return _guard(lambda: _mask_pixels(load(image, data)), info.format)


def _guard(work: Callable[[], UInt8Array], kind: str | None) -> UInt8Array:
    try:
        return work()
    except ImageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
        raise ImageError(f"the {kind} data is truncated or corrupt ({error}); the whole file is needed") from error


def _pixels(image: Image.Image) -> UInt8Array:
    # The picture is loaded: Pillow turns a TIFF itself when it loads it, and then says orientation 1.
    profile = image.info.get("icc_profile")
    turned = orientation(image)
    rgb = to_srgb(_eight_bit(image), profile)
    if turned != 1:
        rgb.getexif()[0x0112] = turned
        rgb = ImageOps.exif_transpose(rgb)
    return np.array(rgb, dtype=np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any Pillow mode -> one of L, RGB, CMYK, with transparency laid on white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(np.asarray(image).astype(np.float32) * SIXTEEN_TO_EIGHT).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float32)
        top = float(values.max(initial=0.0))
        # Pillow opens some 16-bit files as 32-bit integers; the largest value tells which scale was meant.
        scale = 255.0 if image.mode == "F" and top <= 1.0 else (SIXTEEN_TO_EIGHT if top > 255.0 else 1.0)
        return Image.fromarray(np.clip(np.round(values * scale), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("RGB")


def _mask_pixels(image: Image.Image) -> UInt8Array:
    turned = orientation(image)
    if image.has_transparency_data:
        grey = Image.fromarray(_selection_with_alpha(np.asarray(image.convert("RGBA"))))
    else:
        grey = _eight_bit(image).convert("L")
    if turned != 1:
        grey.getexif()[0x0112] = turned
        grey = ImageOps.exif_transpose(grey)
    values = np.array(grey, dtype=np.uint8)
    return values * np.uint8(255) if values.max(initial=0) == 1 else values


def _selection_with_alpha(rgba: UInt8Array) -> UInt8Array:
    """uint8 [h,w,4] -> uint8 [h,w]: luminance where opaque; the alpha itself where nothing that can be seen is lighter than black."""
    grey = cv2.cvtColor(rgba, cv2.COLOR_RGBA2GRAY)
    alpha = np.ascontiguousarray(rgba[..., 3])
    selected = cv2.multiply(grey, alpha, scale=1 / 255)
    in_alpha = not selected.any() and int(alpha.min(initial=255)) < int(alpha.max(initial=0))
    return alpha if in_alpha else cast(UInt8Array, selected)
