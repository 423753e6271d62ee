"""Mouldings: narrow surfaces whose two edges a coarse mask loses along the way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from respray.catalog.preset import is_narrow
from respray.editing.mask.refine import refine_plane
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

HEIGHT, WIDTH, SIDE = 600, 900, 120
CEILING, MOULDING, WALL, LAMP = (222, 218, 208), (227, 223, 213), (218, 214, 204), (90, 60, 40)
LEVEL, THICK = 150, 18
# Where the network loses it, and where something stands in front of it (columns).
LOST, FRONT = slice(380, 500), slice(700, 724)


def edges(slope: float) -> FloatArray:
    """The moulding's upper edge at each column, float32 [WIDTH]."""
    return np.asarray(LEVEL + slope * np.arange(WIDTH), np.float32)


def room(slope: float = -0.03) -> tuple[UInt8Array, BoolArray, UInt8Array]:
    """A white moulding between a white wall and a white ceiling: JPEG photo, moulding, and a network's answer that fades and swells."""
    upper, rows = edges(slope), np.arange(HEIGHT)[:, None]
    share = np.clip(rows + 1 - upper, 0.0, 1.0) * np.clip(upper + THICK - rows, 0.0, 1.0)
    plane = np.where((rows < upper + THICK / 2)[..., None], np.array(CEILING, np.float32), np.array(WALL, np.float32))
    photo: UInt8Array = np.round(plane * (1 - share[..., None]) + np.array(MOULDING, np.float32) * share[..., None]).astype(np.uint8)
    photo[100:400, FRONT] = LAMP
    truth = share > 0.5
    truth[100:400, FRONT] = False
    seen = truth.astype(np.float32)
    seen[:, LOST] *= np.float32(0.3)
    # A blob that hangs below it.
    seen[:, 600:640] = np.maximum(seen, np.roll(seen, 10, axis=0))[:, 600:640]
    small = cv2.GaussianBlur(cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
    stored = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1]), truth, np.round(np.asarray(small) * 255).astype(np.uint8)


@pytest.mark.parametrize("slope", [-0.03, 0.0, 0.06])
def test_a_moulding_has_two_straight_edges_all_along(slope: float) -> None:
    photo, truth, seen = room(slope)
    before, ours = (refine_plane(seen, photo, narrow=narrow).matte.alpha >= 128 for narrow in (False, True))
    inner = slice(40, WIDTH - 40)
    wrong = [int((found != truth)[:, inner].sum()) for found in (before, ours)]
    assert wrong[1] < 0.5 * wrong[0]
    assert ours[truth & (np.arange(WIDTH) >= LOST.start) & (np.arange(WIDTH) < LOST.stop)].mean() > 0.9


def test_what_stands_in_front_is_no_part_of_it() -> None:
    photo, _, seen = room()
    alpha = refine_plane(seen, photo, narrow=True).matte.alpha
    assert alpha[100:400, FRONT.start + 3 : FRONT.stop - 3].max() < 128


def test_a_wide_surface_is_left_alone() -> None:
    photo, _, _ = room()
    wall = (np.arange(HEIGHT)[:, None] > edges(-0.03) + THICK).astype(np.float32)
    seen = np.round(cv2.resize(wall, (SIDE, SIDE), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    plain, narrow = (refine_plane(seen, photo, narrow=narrow).matte.alpha for narrow in (False, True))
    assert np.array_equal(plain, narrow)


@pytest.mark.parametrize(
    ("name", "expected"), [("Frame_Molding", True), ("white skirting board", False), ("cornice", True), ("Wall", False)]
)
def test_which_names_are_narrow(name: str, expected: bool) -> None:
    assert is_narrow(name) is expected
