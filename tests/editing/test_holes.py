"""Bare wall that a network left out between the things in front of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.editing.mask.refine import refine_plane
from respray.imaging.arrays import UInt8Array

HEIGHT, WIDTH, SIDE = 600, 900, 120
WALL, PICTURE = (205, 190, 160), (60, 90, 120)
GAP = slice(256, 334), slice(444, 468)


def room(gap: tuple[int, int, int], *, doubt: int) -> tuple[UInt8Array, UInt8Array]:
    """Two pictures on a wall, and the network's answer, which takes what is between them for one with them, but for a doubt (0..255)."""
    rng = np.random.default_rng(4)
    photo = np.full((HEIGHT, WIDTH, 3), WALL, np.float32)
    photo[250:340, 300:600] = PICTURE
    photo[250:340, 440:472] = gap
    seen = np.full((HEIGHT, WIDTH), 250, np.float32)
    seen[250:340, 300:600] = 2
    seen[250:340, 440:472] = doubt
    noisy = np.clip(photo + rng.normal(0.0, 1.5, photo.shape), 0, 255).astype(np.uint8)
    low = cv2.GaussianBlur(cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    return noisy, np.asarray(low, np.uint8)


def test_wall_between_two_pictures_is_filled_and_told() -> None:
    photo, seen = room(WALL, doubt=50)
    plane = refine_plane(seen, photo)
    assert plane.matte.alpha[GAP].min() > 250
    assert plane.filled == 1
    assert plane.matte.alpha[256:334, 310:430].max() < 5


@pytest.mark.parametrize(
    ("gap", "doubt"), [((235, 190, 160), 50), ((180, 190, 205), 50), (WALL, 2)], ids=["pinker", "bluer", "what the network rules out"]
)
def test_what_has_another_colour_or_is_ruled_out_is_not_filled(gap: tuple[int, int, int], doubt: int) -> None:
    photo, seen = room(gap, doubt=doubt)
    plane = refine_plane(seen, photo)
    assert plane.filled == 0
    assert plane.matte.alpha[GAP].mean() < 20
