"""A photo to the square that the image encoder takes."""

import cv2
import numpy as np

from respray.segmentation.arrays import UInt8Array
from respray.segmentation.errors import TensorError


def to_square(photo: UInt8Array, size: int) -> UInt8Array:
    """Stretch a photo to `size` x `size` like SAM3's own processor (no padding, no crop).

    Args:
        photo: uint8 [H, W, 3] sRGB.
        size: side in pixels.

    Returns:
        uint8 [size, size, 3], a new array.

    Raises:
        TensorError: another shape or type, or an empty photo.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or 0 in photo.shape:
        raise TensorError(f"a photo must be uint8 [H, W, 3] with at least one pixel, not {photo.dtype} {list(photo.shape)}")
    height, width = photo.shape[:2]
    if height > size or width > size:
        # Averaging avoids aliasing, as transformers' antialiased bilinear filter does. Sides that grow come after: where one side grows,
        # OpenCV's INTER_AREA averages neither of them.
        photo = np.asarray(cv2.resize(photo, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(photo, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
