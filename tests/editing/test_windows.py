"""Means over windows: what OpenCV's blur answers, to the bit, in pictures smaller than a window, too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.editing.core.windows import window_means


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 1), (3, 4), (64, 65), (67, 40)])
@pytest.mark.parametrize("radius", [1, 3, 12])
def test_they_are_opencvs(shape: tuple[int, int], radius: int) -> None:
    planes = np.random.default_rng(0).random((3, *shape), np.float32)
    side = 2 * radius + 1
    expected = [cv2.blur(plane, (side, side)) for plane in planes]
    assert np.array_equal(window_means(planes, radius), expected)
