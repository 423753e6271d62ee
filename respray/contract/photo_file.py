"""Encoded photos as they travel: what is accepted, what a header says, what a format can hold. Decodes no pixel and needs Pillow only.

What Pillow has to say of a broken file ends here, in an error's one sentence: its warnings and log lines repeat the file's own tags, and a
file of 1 MB can make 10 MB of them.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from dataclasses import dataclass
from typing import Literal

import pi_heif
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.Image import DecompressionBombError

from respray.contract.errors import ImageError
from respray.contract.foreign_file import foreign_name
from respray.contract.gif_file import check_gif
from respray.contract.jpeg_file import check_jpeg, unread_jpeg
from respray.contract.png_file import MAX_TEXT, without_useless_chunks
from respray.contract.raw_file import raw_name
from respray.contract.tiff_file import WIDTH, check_tiff, first_directory, not_read

warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
pi_heif.register_heif_opener(thumbnails=False)

ImageFormat = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: dict[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
# Pixels on a side: WebP has 14 bits for it; JPEG has 16, of which libjpeg leaves some aside (its JPEG_MAX_DIMENSION).
LONGEST_SIDE: dict[str, int] = {"webp": 16_383, "jpeg": 65_500}
# Phones' MPO files (JPEG with further views) open as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF")
ACCEPTED = "JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC and AVIF"
MAX_BYTES = 128 * 1024 * 1024
# The hard ceiling of PhotoRequest.max_megapixels. Pillow refuses at twice its own limit and warns above it.
MAX_MEGAPIXELS = 200.0
Image.MAX_IMAGE_PIXELS = int(MAX_MEGAPIXELS * 1e6) // 2
PngImagePlugin.MAX_TEXT_CHUNK = MAX_TEXT
# 8192 x 8192 pixels.
DEFAULT_MEGAPIXELS = 67.108864
# Formats whose further frames are an animation; an MPO's are other views of one photo, a TIFF's other pages. Of a GIF the first is taken.
ANIMATED = frozenset({"WEBP", "PNG", "AVIF"})
MIN_SIDE = 8


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


def inspect(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS, max_bytes: int = MAX_BYTES, min_side: int = MIN_SIDE) -> PhotoInfo:
    """Check an encoded photo by its header alone; decodes no pixel.

    A PNG may say its orientation only behind its pixels. `imaging.decode` turns such a photo; here its sides are as they are stored.

    Raises:
        ImageError: Empty or more than `max_bytes`, not one of `FORMATS`, over `max_megapixels`, under `min_side` pixels on a side (masks
            may have any size), or animated.
    """
    info, image = open_photo(data, max_megapixels, max_bytes, min_side)
    image.close()
    return info


def open_photo(
    data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS, max_bytes: int = MAX_BYTES, min_side: int = MIN_SIDE
) -> tuple[PhotoInfo, Image.Image]:
    """Open an encoded photo and check its header, as `inspect` does.

    Returns:
        What the header says, and Pillow's picture, which the caller closes.

    Raises:
        ImageError: As `inspect`.
    """
    if not data:
        raise ImageError(f"the file is empty (0 bytes); accepted are {ACCEPTED} files")
    if len(data) > max_bytes:
        raise ImageError(f"the file has {len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:.0f} MB are accepted")
    raw = raw_name(data)
    if raw is not None:
        raise ImageError(f"the file is a camera raw file ({raw}), which is not developed here; export it as JPEG or TIFF")
    check_tiff(data)
    check_gif(data)
    if data.startswith(b"\xff\xd8"):
        check_jpeg(data)
    try:
        image = _open_image(without_useless_chunks(data))
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    try:
        width, height = image.size
        _check_size(width, height, max_megapixels, min_side)
        if _is_animated(image):
            raise ImageError(f"the {image.format} is animated; a still picture is accepted")
        if _said_in_header(image) and orientation(image) >= 5:
            width, height = height, width
        return PhotoInfo(str(image.format), width, height, len(data)), image
    except BaseException:
        image.close()
        raise


def may_be_transparent(data: bytes) -> bool:
    """Whether the header of a photo that `inspect` takes says that it has alpha or a transparent colour; decodes no pixel."""
    _, image = open_photo(data, MAX_MEGAPIXELS)
    with image:
        return image.has_transparency_data


def check_sides(format: str, width: int, height: int) -> None:
    """Raise `ImageError` where a picture of `width` x `height` pixels is too long for `format`, naming the formats that can hold it."""
    longest = max(width, height)
    if longest <= LONGEST_SIDE.get(format, longest):
        return
    others = " or ".join(name for name in MEDIA_TYPES if longest <= LONGEST_SIDE.get(name, longest))
    limit = f"a {format} file holds at most {LONGEST_SIDE[format]} pixels on a side"
    raise ImageError(f"{limit}, and the image has {width} x {height}; ask for {others}, or send a smaller photo")


def _open_image(data: bytes) -> Image.Image:
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


def _check_size(width: int, height: int, max_megapixels: float, min_side: int) -> None:
    if width * height > max_megapixels * 1e6:
        size = f"{width} x {height} pixels ({width * height / 1e6:.1f} megapixels)"
        raise ImageError(f"the image has {size}; at most {max_megapixels:.4g} megapixels are accepted")
    if min(width, height) < min_side:
        raise ImageError(f"the image has {width} x {height} pixels; at least {min_side} pixels on each side are needed")


def _is_animated(image: Image.Image) -> bool:
    """Whether there is a second frame. `n_frames` would count them all, for which a GIF is read to its end."""
    try:
        return image.format in ANIMATED and bool(getattr(image, "is_animated", False))
    except Exception as error:  # Pillow's readers raise many types on a broken header of a frame
        raise ImageError(f"the {image.format} is corrupt after its first frame ({error}); the whole file is needed") from error


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where none is said or it is broken. Decodes all of a PNG that has none in its header."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the photo
        return 1


def _said_in_header(image: Image.Image) -> bool:
    """Whether the orientation can be read without decoding a pixel: a PNG may say it behind them, and Pillow then goes there to look."""
    return image.format != "PNG" or "exif" in image.info


def _unidentified(data: bytes) -> ImageError:
    """What to say of a file that Pillow does not know."""
    tags = first_directory(data)
    if WIDTH in tags:
        return not_read(tags)
    if data.startswith(b"\xff\xd8\xff"):
        return ImageError(unread_jpeg(data))
    known = foreign_name(data)
    what = f"({_first_bytes(data)})" if known is None else f"but {known[0]} ({known[1]})"
    return ImageError(f"the file is not an image that can be read here {what}; accepted are {ACCEPTED}")


def _first_bytes(data: bytes) -> str:
    return "it starts with " + " ".join(f"{byte:02x}" for byte in data[:8])
