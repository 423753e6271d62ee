"""Averages: what OpenCV's area interpolation answers, of whole pictures, parts and single channels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.editing.core.reduce import average, shrink


@pytest.mark.parametrize("shape", [(90, 120, 3), (91, 121, 3), (90, 120), (61, 300, 4), (700, 9, 3)])
@pytest.mark.parametrize("size", [(7, 11), (3, 5), (8, 60), (9, 45), (1, 1)])
def test_it_is_opencvs_to_the_rounding(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    difference = np.abs(average(image, size).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_a_part_and_a_read_only_picture() -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    image.flags.writeable = False
    part = image[11:190, 7:250]
    assert np.array_equal(average(part, (31, 17)), average(np.ascontiguousarray(part), (31, 17)))
    # Channels the other way round lie apart in memory.
    assert np.array_equal(average(image[..., ::-1], (31, 17)), average(image, (31, 17))[..., ::-1])


def test_flat_pictures_stay_flat_and_tall_ones_do_not_overflow() -> None:
    for code in (0, 1, 254, 255):
        assert (average(np.full((2000, 5, 3), code, np.uint8), (2, 3)) == code).all()


def test_a_picture_fits_and_a_small_one_stays() -> None:
    assert shrink(np.zeros((600, 900, 4), np.uint8), 256).shape == (171, 256, 4)
    small = np.zeros((48, 64, 3), np.uint8)
    assert shrink(small, 256) is small
