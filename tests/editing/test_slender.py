"""What is thinner than a pixel of the network's mask, in front of a plane."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.editing.mask.refine import refine_plane
from respray.imaging.arrays import BoolArray, UInt8Array

HEIGHT, WIDTH, SIDE = 600, 900, 120
# Columns that are far enough from the plant to be beyond what its mask leaves open.
BEYOND = slice(560, WIDTH)
WALL, LEAF = (150, 142, 104), (70, 120, 50)


def room(leaf: tuple[int, int, int], grows: bool = True) -> tuple[UInt8Array, BoolArray, UInt8Array]:
    """A plant's pot and its stem in front of a wall, with a leaf four pixels wide that the network does not see: photo, leaf, answer."""
    photo = np.full((HEIGHT, WIDTH, 3), WALL, np.uint8)
    plant, blade = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(plant, (400, 250), (500, 600), (255,), -1)
    cv2.line(blade, (495 if grows else 540, 300), (700, 220), (255,), 4, cv2.LINE_AA)
    for mask, colour in ((plant, LEAF), (blade, leaf)):
        share = mask[..., None] / np.float32(255)
        photo = np.round(photo * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)
    seen = cv2.GaussianBlur(cv2.resize(255 - plant, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    stored = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return np.ascontiguousarray(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1]), blade > 230, np.asarray(seen, np.uint8)


def test_a_leaf_that_grows_out_of_a_plant_is_left_out() -> None:
    photo, leaf, seen = room(LEAF)
    alpha = refine_plane(seen, photo).matte.alpha
    assert np.mean(alpha[:, BEYOND][leaf[:, BEYOND]] < 64) > 0.95
    inner, outer = (cv2.dilate(leaf.astype(np.uint8), np.ones((side, side), np.uint8)) > 0 for side in (9, 13))
    assert alpha[:, BEYOND][(outer & ~inner)[:, BEYOND]].min() > 250


@pytest.mark.parametrize(
    ("colour", "grows"),
    [((110, 104, 76), True), ((70, 120, 50), False), ((120, 40, 60), True)],
    ids=["a shadow", "a line on the wall", "another thing's hue"],
)
def test_other_lines_are_the_walls(colour: tuple[int, int, int], grows: bool) -> None:
    photo, leaf, seen = room(colour, grows)
    alpha = refine_plane(seen, photo).matte.alpha
    assert alpha[:, BEYOND][leaf[:, BEYOND]].min() > 250
