"""Encoded photo -> uint8 sRGB array, and nothing is decoded before its header has passed the limits.

Pillow reads every format here: unlike OpenCV it reports truncated files, knows ICC profiles and lets the caller name the
formats that it may touch. See `docs/quality.md` for what the choice costs.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.Image import DecompressionBombError

from respray.imaging.arrays import UInt8Array
from respray.imaging.errors import ImageError
from respray.imaging.profile import to_srgb
from respray.imaging.tiff16 import decode_tiff16, tiff16_size

# Phones' MPO files (JPEG with further views) open as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
ACCEPTED = "JPEG, PNG, WebP, TIFF, BMP and still GIF"
MAX_BYTES = 128 * 1024 * 1024
# The hard ceiling of PhotoRequest.max_megapixels. Pillow refuses at twice its own limit and warns above it.
MAX_MEGAPIXELS = 200.0
Image.MAX_IMAGE_PIXELS = int(MAX_MEGAPIXELS * 1e6) // 2
# Formats whose further frames are an animation; an MPO's are other views of one photo, a TIFF's other pages.
ANIMATED = frozenset({"GIF", "WEBP", "PNG"})
MIN_SIDE = 8
# A 16-bit code is an 8-bit code times 257.
SIXTEEN_TO_EIGHT = 1.0 / 257.0


@dataclass(frozen=True)
class PhotoInfo:
    """What the header says. `width` and `height` are in pixels after the EXIF orientation is applied."""

    format: str
    width: int
    height: int
    bytes: int

    @property
    def megapixels(self) -> float:
        """Million pixels."""
        return self.width * self.height / 1e6


def inspect(data: bytes, max_megapixels: float = 50.0, max_bytes: int = MAX_BYTES) -> PhotoInfo:
    """Check an encoded photo by its header alone; decodes no pixel, and of a GIF looks no further than whether a second frame follows.

    A PNG may say its orientation only behind its pixels. `decode` turns such a photo; here its sides are as they are stored.

    Raises `ImageError`: empty or more than `max_bytes`, not one of `FORMATS`, over `max_megapixels`, smaller than 8 pixels on a side,
    or animated.
    """
    if not data:
        raise ImageError(f"the file is empty (0 bytes); accepted are {ACCEPTED} files")
    if len(data) > max_bytes:
        raise ImageError(f"the file has {len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:.0f} MB are accepted")
    try:
        image = _open(data)
    except UnidentifiedImageError:
        size = tiff16_size(data)
        if size is None:
            raise ImageError(f"the file is not an image that can be read here ({_first_bytes(data)}); accepted are {ACCEPTED}") from None
        _check_size(*size, max_megapixels)
        return PhotoInfo("TIFF", *size, len(data))
    with image:
        width, height = image.size
        _check_size(width, height, max_megapixels)
        if _is_animated(image):
            raise ImageError(f"the {image.format} is animated; a still picture is accepted")
        # Not the format's own getexif: a PNG's decodes every pixel to see what comes behind them.
        if _orientation(image, lambda: Image.Image.getexif(image)) >= 5:
            width, height = height, width
        return PhotoInfo(str(image.format), width, height, len(data))


def decode(data: bytes, max_megapixels: float = 50.0) -> UInt8Array:
    """Decode to uint8 [H,W,3], sRGB, upright.

    EXIF orientation is applied, embedded ICC profiles are converted to sRGB, CMYK, palette, grey, 1-bit and 16-bit images become 8-bit
    RGB, and transparent pixels are laid on white. Raises `ImageError` as `inspect` does, and for truncated or corrupt data.
    """
    inspect(data, max_megapixels)
    try:
        image = _open(data)
    except UnidentifiedImageError:
        return decode_tiff16(data)
    with image:
        return _guard(lambda: _pixels(image), image.format)


def decode_mask(data: bytes, max_megapixels: float = 200.0) -> UInt8Array:
    """Decode a user's mask (white = selected, any size and format) to uint8 [h,w], at its own size.

    Colour masks are read by luminance; where alpha is not opaque, transparent means not selected. Raises `ImageError` like `decode`.
    """
    inspect(data, max_megapixels)
    try:
        image = _open(data)
    except UnidentifiedImageError:
        return cv2.cvtColor(decode_tiff16(data), cv2.COLOR_RGB2GRAY)
    with image:
        return _guard(lambda: _mask_pixels(image), image.format)


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise
        except DecompressionBombError as error:
            # Pillow gives up before it has a size to show, but says the number of pixels.
            pixels = re.search(r"\d+", str(error))
            given = f"{int(pixels.group()) / 1e6:.0f}" if pixels else "too many"
            raise ImageError(f"the image has {given} megapixels; at most {MAX_MEGAPIXELS:.0f} are ever accepted") from None
        except Exception as error:  # Pillow's readers raise many types (struct.error, SyntaxError, OSError) on a broken header
            raise ImageError(f"the image's header is corrupt ({error}); accepted are {ACCEPTED} files") from error


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        size = f"{width} x {height} pixels ({width * height / 1e6:.1f} megapixels)"
        raise ImageError(f"the image has {size}; at most {max_megapixels:g} megapixels are accepted")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"the image has {width} x {height} pixels; at least {MIN_SIDE} pixels on each side are needed")


def _is_animated(image: Image.Image) -> bool:
    """Whether there is a second frame. `n_frames` would count them all, for which a GIF is read to its end."""
    try:
        return image.format in ANIMATED and bool(getattr(image, "is_animated", False))
    except Exception as error:  # Pillow's readers raise many types on a broken header of a frame
        raise ImageError(f"the {image.format} is corrupt after its first frame ({error}); the whole file is needed") from error


def _orientation(image: Image.Image, read: Callable[[], Image.Exif] | None = None) -> int:
    try:
        return int((read or image.getexif)().get(0x0112, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo
        return 1


def _guard(work: Callable[[], UInt8Array], kind: str | None) -> UInt8Array:
    try:
        return work()
    except ImageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
        raise ImageError(f"the {kind} data is truncated or corrupt ({error}); the whole file is needed") from error


def _pixels(image: Image.Image) -> UInt8Array:
    profile = image.info.get("icc_profile")
    orientation = _orientation(image)
    rgb = to_srgb(_eight_bit(image), profile)
    if orientation != 1:
        rgb.getexif()[0x0112] = orientation
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
    orientation = _orientation(image)
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        grey = Image.fromarray(cv2.multiply(cv2.cvtColor(rgba, cv2.COLOR_RGBA2GRAY), np.ascontiguousarray(rgba[..., 3]), scale=1 / 255))
    else:
        grey = _eight_bit(image).convert("L")
    if orientation != 1:
        grey.getexif()[0x0112] = orientation
        grey = ImageOps.exif_transpose(grey)
    return np.array(grey, dtype=np.uint8)


def _first_bytes(data: bytes) -> str:
    return "it starts with " + " ".join(f"{byte:02x}" for byte in data[:8])
