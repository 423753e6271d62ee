"""ICC profiles: anything -> sRGB, through Pillow's LittleCMS."""

from __future__ import annotations

import io
from collections import OrderedDict
from hashlib import sha256

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageStat

# Two profiles are the same for 8-bit work when no colour of a 9x9x9 grid moves by more than this many codes.
SAME_PROFILE_CODES = 1
GRID = 9
# Profiles of printers have up to 3 MB.
MAX_PROFILE_BYTES = 8 << 20
KEPT_ANSWERS = 1024
_answers: OrderedDict[bytes, bool] = OrderedDict()


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` (mode L, RGB, CMYK or LAB, any ICC `profile`) -> mode RGB, sRGB.

    A profile that cannot be read, is too large to be one, or does not fit the image's mode, is ignored: the photo is then taken as sRGB,
    as viewers do.
    """
    if image.mode == "LAB":  # CIELAB is defined without a profile
        # Optimised, LittleCMS is off by 12 codes in blues.
        return _transform(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), ImageCms.Flags.NOOPTIMIZE)
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return _plain(image)
    if image.mode == "RGB" and _is_srgb(profile):
        return image
    try:
        return _transform(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _plain(image)


def plain_inks(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """A loaded CMYK JPEG as amounts of ink, and what a person should know of it; any other picture as it is.

    Adobe stores inks inverted and marks the file, and Pillow takes every CMYK JPEG for such a one. Where the mark is missing the file may
    be either; black ink, of which photos have little, tells.
    """
    if image.format not in ("JPEG", "MPO") or image.mode != "CMYK" or "adobe" in image.info:
        return image, ()
    much_black = ImageStat.Stat(image.getchannel("K")).mean[0] > 127.5
    kind = "plain" if much_black else "inverted, as Adobe's are"
    warning = f"the CMYK JPEG does not say how its inks are stored; they were taken as {kind}"
    if not much_black:
        return image, (warning,)
    return ImageChops.invert(image), (warning,)


def _plain(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _transform(image: Image.Image, source: ImageCms.ImageCmsProfile, flags: int = 0) -> Image.Image:
    result = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | flags,
    )
    if result is None:
        raise ValueError("no transform")
    return result


def _is_srgb(profile: bytes) -> bool:
    """Whether a profile changes nothing. Answers are kept by digest: the profiles themselves would be the senders' to fill memory with."""
    digest = sha256(profile).digest()
    if digest not in _answers:
        _answers[digest] = _changes_nothing(profile)
        if len(_answers) > KEPT_ANSWERS:
            _answers.popitem(last=False)
    return _answers[digest]


def _changes_nothing(profile: bytes) -> bool:
    axis = np.linspace(0, 255, GRID).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(GRID, GRID * GRID, 3)
    try:
        moved = np.asarray(_transform(Image.fromarray(grid), ImageCms.ImageCmsProfile(io.BytesIO(profile)))).astype(int)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return True
    return int(np.abs(moved - grid.astype(int)).max()) <= SAME_PROFILE_CODES
