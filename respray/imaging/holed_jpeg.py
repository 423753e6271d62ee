"""JPEGs with a hole: an upload or a memory card that left zeros where a part of the file should be.

Zeros are codes like any others, so that a decoder makes grey of them and shifts what follows, without an error. In a whole file the pixels
end where the data ends: with other data behind them they stay the same, and with less they do not. A hole inside a single scan of a
progressive JPEG, which blurs, passes.
"""

from __future__ import annotations

from itertools import pairwise

from PIL import Image, ImageChops

from respray.contract.errors import ImageError
from respray.contract.jpeg_file import restarts, scan_data
from respray.imaging.endless_jpeg import END, FILLER, JPEG_FORMATS, decoded

# Optimised codes of a white background are zeros, too; so a run of them is only a reason to look.
HOLE = bytes(256)
SPARE = 64
"""Bytes behind the last pixel that a whole file may have: fewer than any hole leaves over."""


def check_whole(image: Image.Image, data: bytes) -> None:
    """Raise ImageError where a loaded JPEG's data has a hole; decodes it twice more where there may be one, else costs next to nothing."""
    if image.format not in JPEG_FORMATS or HOLE not in data:
        return
    begin, end = scan_data(data)
    at = data.find(HOLE, begin, end)
    if at < 0:
        return
    in_order = all((one + 1) % 8 == other for one, other in pairwise(restarts(data, begin, end)))
    if in_order and _alike(image, data[:end] + FILLER + END) and not _alike(image, data[: end - SPARE] + FILLER + END):
        return
    raise ImageError(f"the JPEG data has a hole: zeros from byte {at} on stand where its pixels should be; upload the whole file again")


def _alike(image: Image.Image, data: bytes) -> bool:
    try:
        other = decoded(data)
    except Exception:  # Pillow's readers raise many types on broken data
        return False
    return other.size == image.size and other.mode == image.mode and ImageChops.difference(image, other).getbbox() is None
