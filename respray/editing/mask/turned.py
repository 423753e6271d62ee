"""The shape of a user's mask: whether it is the photo's, or that of the photo as it is stored, before its EXIF orientation turned it."""

from __future__ import annotations

import numpy as np

from respray.imaging.arrays import UInt8Array

ASPECT_TOLERANCE = 0.02
"""By which share a mask's aspect ratio may differ from the photo's and still be its: reduced masks have rounded sides."""


def fits_stored_only(mask: tuple[int, ...], photo: tuple[int, ...], orientation: int) -> bool:
    """Whether a mask has the shape of the stored photo and not of the upright one.

    Args:
        mask: (h, w) of the mask, in pixels.
        photo: (H, W) of the upright photo, in pixels.
        orientation: EXIF orientation of the stored one, 1 to 8; 5 to 8 swap the sides, and of others a shape tells nothing.
    """
    return orientation in (5, 6, 7, 8) and alike(mask, (photo[1], photo[0])) and not alike(mask, photo)


def turn_upright(mask: UInt8Array, orientation: int) -> UInt8Array:
    """Turn a mask uint8 [h,w] as EXIF orientation 5 to 8 turns its photo (CIPA DC-008, "Orientation"); others stay.

    Returns:
        uint8 [w,h], contiguous.
    """
    turned = {5: mask.T, 6: np.rot90(mask, -1), 7: np.rot90(mask, 2).T, 8: np.rot90(mask)}.get(orientation, mask)
    return np.ascontiguousarray(turned)


def alike(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes (h, w) have the same aspect ratio, within the tolerance and one pixel of the smaller one's sides."""
    tolerance = ASPECT_TOLERANCE + 1 / max(1, min(*one, *other))
    first, second = one[0] * other[1], one[1] * other[0]
    return abs(first - second) <= tolerance * max(first, second)
