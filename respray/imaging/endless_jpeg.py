"""JPEGs that lack their end marker, as cameras and uploads that were cut off leave them."""

from __future__ import annotations

import io

from PIL import Image, ImageChops

END = b"\xff\xd9"
# Entropy-coded data of no meaning. A decoder that still needs pixels makes some of it; one that has them all passes over it.
FILLER = b"\xa5\x5a\x3c\x96" * 256
JPEG_FORMATS = ("JPEG", "MPO")


def load(image: Image.Image, data: bytes) -> Image.Image:
    """`image`, loaded. A JPEG without its end marker is accepted where its last scan is whole: what follows then changes no pixel.

    Args:
        image: opened from `data`, not yet loaded.
        data: the encoded file.

    Raises:
        OSError: The data is truncated. Pillow's readers raise other types as well.
    """
    try:
        image.load()
    except OSError:
        if image.format not in JPEG_FORMATS:
            raise
        stored = data.removesuffix(b"\xff")
        ended, filled = (decoded(stored + tail) for tail in (END, FILLER + END))
        if ended.size != filled.size or ImageChops.difference(ended, filled).getbbox() is not None:
            raise
        return ended
    return image


def decoded(data: bytes) -> Image.Image:
    """A JPEG, loaded. Raises as Pillow's readers do."""
    image = Image.open(io.BytesIO(data), formats=JPEG_FORMATS)
    image.load()
    return image
