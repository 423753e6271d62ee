"""Completion knows that rooms are layered: what stands in front of wall and floor is replaced by each on its own side."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.metrics import psnr
from editing.patchmatch import complete


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
