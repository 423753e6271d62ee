"""What a JPEG file says of its own coarseness, turned as the photo is."""

from __future__ import annotations

from PIL import Image, JpegImagePlugin

from respray.contract.photo_facts import JpegTables

_BLOCK = 8
# EXIF orientations whose rows are the photo's columns, and those whose first column and row lie at the photo's far side.
_TRANSPOSED = (5, 6, 7, 8)
_FROM_RIGHT = (2, 3, 6, 7)
_FROM_BELOW = (3, 4, 7, 8)


def jpeg_tables(image: Image.Image, turned: int) -> JpegTables | None:
    """The quantisation of a JPEG in grey or YCbCr; None for what is no JPEG, or one of other components.

    Args:
        image: opened by Pillow, as stored.
        turned: EXIF orientation that is applied to it, 1 to 8.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in ("L", "RGB"):
        return None
    if image.info.get("adobe_transform") == 0:  # RGB, stored as it is
        return None
    layers = image.layer
    tables = [image.quantization.get(layer[3]) for layer in (layers[0], layers[-1])]
    if any(table is None or len(table) != _BLOCK**2 for table in tables):
        return None
    luma, chroma = (tuple(min(max(int(step), 1), 65535) for step in table or ()) for table in tables)
    across, down = (max(1, round(layers[0][way] / max(1, layers[-1][way]))) for way in (1, 2))
    width, height = image.size
    if turned in _TRANSPOSED:
        luma, chroma = _transposed(luma), _transposed(chroma)
        across, down, width, height = down, across, height, width
    origin = (width % _BLOCK if turned in _FROM_RIGHT else 0, height % _BLOCK if turned in _FROM_BELOW else 0)
    return JpegTables(luma=luma, chroma=chroma, sampling=(min(across, 4), min(down, 4)), origin=origin)


def _transposed(table: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(table[column * _BLOCK + row] for row in range(_BLOCK) for column in range(_BLOCK))
