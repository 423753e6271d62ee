"""Encoded photo -> uint8 sRGB array and alpha, and nothing is decoded before its header has passed the limits.

Pillow reads every format here: unlike OpenCV it reports truncated files, knows ICC profiles and lets the caller name the
formats that it may touch. See `docs/quality.md` for what the choice costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import numpy as np
from PIL import Image, ImageOps

from respray.contract.errors import ImageError
from respray.contract.photo_facts import PhotoFacts
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, open_photo, orientation
from respray.contract.tiff_file import ORIENTATION, first_directory, has_pages
from respray.imaging.arrays import UInt8Array
from respray.imaging.endless_jpeg import load
from respray.imaging.holed_jpeg import check_whole
from respray.imaging.jpeg_tables import jpeg_tables
from respray.imaging.layers import on_white, pixels, split
from respray.imaging.metadata import read_metadata
from respray.imaging.profile import plain_inks, to_srgb
from respray.imaging.said_colours import profile_of, said_colours
from respray.imaging.selection import LOSSY, selection

Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo, upright.

    Attributes:
        rgb: uint8 [H,W,3], sRGB. Its colours are not multiplied by alpha (straight); below alpha 0 they are what the file says.
        alpha: uint8 [H,W]; None where every pixel is opaque.
        facts: what its file says beside its pixels: the orientation that was applied, the metadata that outputs keep.
    """

    rgb: UInt8Array
    alpha: UInt8Array | None = None
    facts: PhotoFacts = field(default_factory=PhotoFacts)

    @property
    def seen(self) -> UInt8Array:
        """uint8 [H,W,3]: the photo as it is looked at, transparent pixels laid on white; `rgb` itself where there are none."""
        return self.rgb if self.alpha is None else on_white(self.rgb, self.alpha)


def decode_photo(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS) -> DecodedPhoto:
    """Decode a photo: its upright sRGB pixels, its own alpha, and its facts.

    EXIF orientation is applied, embedded ICC profiles are converted to sRGB, CMYK, palette, grey, 1-bit and 16-bit images become 8-bit
    RGB. A JPEG may lack its end marker where its last scan is whole (`endless_jpeg`).

    Raises:
        ImageError: As `inspect`, and for truncated or corrupt data.
    """
    info, image = open_photo(data, max_megapixels)
    with image:
        return _guard(lambda: _photo(_whole(image, data), data), info.format)


def decode(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS) -> UInt8Array:
    """Decode to uint8 [H,W,3], sRGB, upright, with transparent pixels laid on white. Otherwise as `decode_photo`."""
    return decode_photo(data, max_megapixels).seen


def decode_mask(data: bytes, max_megapixels: float = 200.0) -> UInt8Array:
    """Decode a user's mask (white = selected, any size and format) to uint8 [h,w], at its own size.

    What selects is said in `selection`: white, one colour, alpha, or a label. Raises `ImageError` like `decode`, and for several colours or
    labels.
    """
    info, image = open_photo(data, max_megapixels, min_side=1)
    with image:
        return _guard(lambda: _mask_pixels(_whole(image, data)), info.format)


def _guard(work: Callable[[], Result], kind: str | None) -> Result:
    try:
        return work()
    except ImageError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
        said = " ".join(str(error).split())  # some decoders write several lines
        raise ImageError(f"the {kind} data is truncated or corrupt ({said}); the whole file is needed") from error


def _whole(image: Image.Image, data: bytes) -> Image.Image:
    loaded = load(image, data)
    check_whole(loaded, data)
    return loaded


def _photo(image: Image.Image, data: bytes) -> DecodedPhoto:
    # The picture is loaded: Pillow turns a TIFF itself when it loads it, and then says orientation 1.
    turned, profile = orientation(image), image.info.get("icc_profile")
    stored = first_directory(data).get(ORIENTATION, (1,))[0] if image.format == "TIFF" else turned
    stored = stored if stored in range(1, 9) else 1
    metadata, warnings = read_metadata(image, data, stored)
    said = said_colours(image, data)
    inked, inks = plain_inks(image)
    layers = split(inked)
    colour = to_srgb(layers.colour, profile) if said is None else to_srgb(layers.colour.convert("RGB"), profile_of(said))
    rgb = pixels(_turn(colour, turned))
    alpha = None if layers.alpha is None else pixels(_turn(layers.alpha, turned))
    remarks = (*warnings, *inks, *_left_out(image, data))
    return DecodedPhoto(rgb, alpha, PhotoFacts(orientation=stored, jpeg=jpeg_tables(image, turned), metadata=metadata, warnings=remarks))


def _mask_pixels(image: Image.Image) -> UInt8Array:
    turned, lossy = orientation(image), image.format in LOSSY
    if image.mode.startswith("I;16") and cast(tuple[int, int], image.getextrema())[1] <= 255:
        # Labels: as 16-bit codes they would all be black.
        image = Image.fromarray(np.asarray(image).astype(np.uint8))
    layers = split(image)
    colour = pixels(_turn(layers.colour if layers.colour.mode in ("L", "RGB") else layers.colour.convert("RGB"), turned))
    alpha = None if layers.alpha is None else pixels(_turn(layers.alpha, turned))
    return selection(colour, alpha, lossy=lossy)


def _left_out(image: Image.Image, data: bytes) -> tuple[str, ...]:
    """What of a file of several pictures is not edited. Of HEIC and MPO the others are views of the same one."""
    if image.format == "TIFF" and has_pages(data):
        return ("the TIFF has further pages; its first one was edited",)
    if image.format == "GIF" and _moves(image):
        return ("the GIF is animated; its first picture was edited",)
    return ()


def _moves(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow's readers raise many types on a broken second picture
        return True


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    """`image`, upright. Orientations that do not exist are none."""
    if orientation not in range(2, 9):
        return image
    exif = image.getexif()
    exif[0x0112] = orientation
    return ImageOps.exif_transpose(image)
