"""Completion knows that rooms are layered: what stands in front of wall and floor is replaced by each on its own side."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.metrics import psnr
from respray.editing.fill.diffusion import diffused
from respray.editing.fill.patchmatch import complete


def test_wall_and_floor_meet_again_behind_what_stood_there() -> None:
    y, x = np.mgrid[0:120, 0:180]
    floor = y >= 70
    # A like-coloured picture on the wall must not be used for the floor.
    picture = (y > 10) & (y < 40) & (x > 60) & (x < 120)
    colour = np.where((floor | picture)[..., None], (120, 70, 40), (200, 196, 188))
    room = np.clip(colour + np.random.default_rng(0).normal(0, 3, (120, 180, 3)), 0, 255).astype(np.uint8)
    hole = (x >= 70) & (x < 110) & (y >= 50) & (y < 95)
    filled = complete(room, hole, guess="across").image
    assert np.array_equal(filled[~hole], room[~hole])
    # 30 dB is a mean error of 8 codes, noise included.
    assert psnr(filled, room, hole) > 30.0
    assert filled[55:66, 75:105, 2].min() > 150
    assert filled[74:90, 75:105, 2].max() < 80


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_hole_that_is_gone_in_smaller_pictures(rows: int) -> None:
    image = np.random.default_rng(0).integers(90, 110, (200, 300, 3), np.uint8)
    hole = np.zeros((200, 300), bool)
    hole[80 : 80 + rows, 50:250] = True
    image[hole] = 255
    found = complete(image, hole)
    assert np.array_equal(found.image[~hole], image[~hole])
    assert rows == 0 or found.image[hole].max() < 115
    assert found.offset[hole].any(axis=-1).all()
    assert not found.offset[~hole].any()


@pytest.mark.parametrize("shape", [(1, 60), (60, 1), (2, 60)])
def test_what_lies_beside_a_thin_picture_in_memory_is_never_seen_in_it(shape: tuple[int, int]) -> None:
    """A photo of 8 x 8192 pixels is searched at a size with one row."""
    rng = np.random.default_rng(0)
    picture, hole = np.full((*shape, 3), 200, np.uint8), np.zeros(shape, bool)
    hole[tuple(slice(side // 3, 2 * side // 3) if side > 2 else slice(None) for side in shape)] = True
    answers = set()
    for _ in range(20):
        # What a process has freed is where the next picture comes to lie.
        for size in range(20, 3000, 60):
            rng.integers(0, 255, size, np.uint8)
        answers.add(diffused(picture, hole, 5).tobytes())
    assert len(answers) == 1
