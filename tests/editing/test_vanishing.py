"""Borders that run to a room's vanishing points."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.editing.mask.straight_line import best_line, strip_of
from respray.editing.mask.straight_runs import find_runs
from respray.editing.mask.straight_vanishing import directed_line, vanishing_points
from respray.imaging.arrays import UInt8Array

HEIGHT, WIDTH, CELL = 400, 600, 5.0
# Towards the right, beyond the picture; straight down; straight ahead.
POINTS = np.array([[1500.0, 40.0, 1.0], [0.0, 1.0, 0.0], [300.0, 200.0, 1.0]])


def found_angle(contrast: float, tilt: float) -> float:
    """Degrees between the line that is found for a wall's upper end, which runs to the first point, and that direction.

    The network's border is off it by `tilt` degrees.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    slope = (40.0 - 120.0) / (1500.0 - 300.0)
    photo = np.where(y > 120.0 + slope * (x - 300.0), np.float32(200.0 - contrast), np.float32(200.0))
    photo = np.repeat(photo[..., None], 3, axis=2).astype(np.float32)
    inside = (y > 120.0 + (slope + np.tan(np.radians(tilt))) * (x - 300.0)) & (x > 100) & (x < 500) & (y < 300)
    run = next(run for run in find_runs(inside, CELL) if abs(run.points[:, 1].mean() - 120.0) < 20.0)
    strip = strip_of(photo, inside, run, CELL)
    first, last = directed_line(strip, best_line(strip, CELL), CELL, POINTS)
    way = (strip.places - 1) * strip.spacing * strip.along + (last - first) * strip.across
    return abs(float(np.degrees(np.arctan(way[1] / way[0]) - np.arctan(slope))))


def test_where_the_photo_shows_nothing_a_border_runs_to_a_vanishing_point() -> None:
    assert found_angle(contrast=0.0, tilt=1.0) < 0.2


def test_a_border_that_turns_too_far_from_any_is_the_networks() -> None:
    assert found_angle(contrast=0.0, tilt=15.0) == pytest.approx(15.0, abs=1.0)


def test_what_the_photo_shows_is_where_it_shows_it() -> None:
    assert found_angle(contrast=60.0, tilt=1.0) < 0.2


def box_room() -> UInt8Array:
    """The lines of a room that one looks into straight on: walls, floor and ceiling run to the middle."""
    photo = np.full((HEIGHT, WIDTH, 3), 210, np.uint8)
    cv2.rectangle(photo, (200, 140), (400, 260), (150, 150, 150), -1)
    for corner, far in (((0, 20), (200, 140)), ((599, 20), (400, 140)), ((0, 380), (200, 260)), ((599, 380), (400, 260))):
        cv2.line(photo, corner, far, (90, 90, 90), 2, cv2.LINE_AA)
    for y in (160, 190, 220):
        cv2.line(photo, (210, y), (390, y), (90, 90, 90), 2, cv2.LINE_AA)
        cv2.line(photo, (0, round(200 + (y - 200) * 3)), (190, round(200 + (y - 200) * 1.1)), (90, 90, 90), 2, cv2.LINE_AA)
    return photo


def test_a_room_has_one_straight_ahead_and_a_picture_without_lines_none() -> None:
    points = vanishing_points(box_room())
    assert points is not None
    ahead = [point[:2] / point[2] for point in points if abs(point[2]) > 1e-6]
    assert min(np.hypot(*(point - (300.0, 200.0))) for point in ahead) < 8.0
    assert vanishing_points(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)) is None
