"""The photo's square for the image encoder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from respray.imaging.arrays import UInt8Array
from respray.segmentation.errors import TensorError
from respray.segmentation.prepare import to_square


@pytest.mark.parametrize("shape", [(1, 1), (2000, 30), (30, 2000), (320, 320), (999, 501)])
def test_any_photo_becomes_the_square(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), (10, 120, 250), np.uint8)
    square = to_square(photo, 320)
    assert square.shape == (320, 320, 3) and square.dtype == np.uint8 and square.flags.c_contiguous
    assert np.abs(square.astype(int) - (10, 120, 250)).max() <= 1


def test_shrinking_averages() -> None:
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(float(to_square(stripes, 100).mean()) - 127.5) < 1


@pytest.mark.parametrize("small_side", [1, 90, 100])
def test_the_long_side_of_a_narrow_photo_is_averaged_too(small_side: int) -> None:
    """PIL's antialiased filter makes stripes of one pixel grey; two taps would leave them black and white."""
    stripes = np.zeros((small_side, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    for photo in (stripes, stripes.transpose(1, 0, 2)):
        grey = np.asarray(Image.fromarray(photo).resize((100, 100), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(to_square(photo, 100) - grey).max() <= 24


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused_with_what_they_are(photo: UInt8Array) -> None:
    with pytest.raises(TensorError, match="uint8"):
        to_square(photo, 8)
