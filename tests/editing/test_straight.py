"""Borders of planes: straight where the photo leaves them open, the photo's where it does not, and other things as they are."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest

from respray.catalog.preset import has_straight_borders
from respray.contract.request import ConceptQuery, Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask.find import find_mattes
from respray.editing.mask.refine import refine, refine_plane, refine_thing, refine_user_mask
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.encode import encode
from tests.editing.rooms import request

HEIGHT, WIDTH, SIDE = 600, 900, 120
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) + np.float32(0.5)


def as_photo(codes: FloatArray, quality: int = 85) -> UInt8Array:
    """Grey codes float32 [H,W] as a camera stores them: noise and JPEG."""
    noisy = np.clip(codes + np.random.default_rng(3).normal(0.0, 1.5, codes.shape), 0, 255).astype(np.uint8)
    stored = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def as_seen(mask: BoolArray, wobble: float = 0.35, seed: int = 5) -> UInt8Array:
    """A mask as a network answers it, uint8 [SIDE, SIDE], its border off by about so many of its pixels here and there."""
    rng = np.random.default_rng(seed)
    shifts = [cv2.GaussianBlur(rng.normal(0.0, 1.0, mask.shape).astype(np.float32), (0, 0), 25.0) for _ in range(2)]
    cell = WIDTH / SIDE
    x, y = (
        (grid - 0.5 + shift * np.float32(wobble * cell / shift.std())).astype(np.float32)
        for grid, shift in zip((X, Y), shifts, strict=True)
    )
    moved = cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    low = cv2.resize(moved, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cast(UInt8Array, np.round(cv2.GaussianBlur(low, (0, 0), 0.7) * 255).astype(np.uint8))


def off_by(alpha: UInt8Array, mask: BoolArray) -> FloatArray:
    """Of every column, by how many pixels the matte has more or less of the plane than the mask."""
    return np.asarray(np.abs((alpha >= 128).sum(axis=0) - mask.sum(axis=0)), np.float32)


WALL = 180.0 + 0.12 * X < Y


@pytest.mark.parametrize(("ceiling", "most"), [(238.0, 4.0), (233.0, 2.0), (40.0, 1.0)])
def test_a_white_wall_ends_in_a_straight_line_under_a_white_ceiling(ceiling: float, most: float) -> None:
    photo, seen = as_photo(np.where(WALL, np.float32(238), np.float32(ceiling))), as_seen(WALL)
    ours, before = off_by(refine_plane(seen, photo).matte.alpha, WALL), off_by(refine(seen, photo).alpha, WALL)
    assert ours.max() <= most
    if ceiling != 40.0:
        assert before.max() > 4.0
    # A line, whether or not it is the right one.
    border = (refine_plane(seen, photo).matte.alpha >= 128).sum(axis=0)
    assert np.abs(border - np.polyval(np.polyfit(np.arange(WIDTH), border, 1), np.arange(WIDTH))).max() < 1.5


def test_a_moulding_is_left_out() -> None:
    line = 180.0 + 0.12 * X
    photo = as_photo(np.select([line - 22 > Y, line > Y], [np.float32(236), np.float32(246)], np.float32(238)))
    alpha = refine_plane(as_seen(WALL), photo).matte.alpha
    assert off_by(alpha, WALL).max() <= 2.0


@pytest.mark.parametrize("opening", [120.0, 236.0])
def test_an_arch_stays_curved(opening: float) -> None:
    arch = ((X - 450.0) ** 2 + (Y - 420.0) ** 2 < 200.0**2) | ((np.abs(X - 450.0) < 200.0) & (Y > 420.0))
    photo, seen = as_photo(np.where(arch, np.float32(opening), np.float32(238))), as_seen(~arch, 0.3)
    ours, before = refine_plane(seen, photo).matte.alpha, refine(seen, photo).alpha
    top = slice(0, 400)
    # No nearer to a polygon than what is not straightened, by much: the wrong area of an arch with flat sides is several times as large.
    wrong = [int(((alpha[top] >= 128) ^ ~arch[top]).sum()) for alpha in (ours, before)]
    assert wrong[0] <= 1.1 * wrong[1] + 0.0005 * 400 * WIDTH
    assert off_by(ours[top, 300:600], ~arch[top, 300:600]).max() <= off_by(before[top, 300:600], ~arch[top, 300:600]).max() + 1.0


def test_a_border_that_the_photo_shows_is_not_moved() -> None:
    waves = 300.0 + 6.0 * np.sin(X / 25.0) < Y
    photo, seen = as_photo(np.where(waves, np.float32(200), np.float32(90))), as_seen(waves, 0.4)
    assert off_by(refine_plane(seen, photo).matte.alpha, waves).max() <= 2.0


def test_what_stands_on_the_border_is_kept() -> None:
    worktop = Y > 400.0
    bottles = (np.abs(X - 300.0) < 14.0) & (Y > 378.0)
    wall = ~worktop & ~bottles
    photo = as_photo(np.select([bottles & ~worktop, worktop], [np.float32(90), np.float32(170)], np.float32(235)))
    alpha = refine_plane(as_seen(wall, 0.2), photo).matte.alpha
    assert float(np.mean(alpha[bottles & ~worktop & (Y > 382.0) & (np.abs(X - 300.0) < 12.0)] < 128)) > 0.9
    assert off_by(alpha, wall)[400:].max() <= 1.0


def test_corners_are_corners() -> None:
    door = (X > 300.0) & (X < 560.0) & (Y > 150.0) & (Y < 520.0)
    photo, seen = as_photo(np.where(door, np.float32(231), np.float32(238))), as_seen(~door, 0.5)
    ours, before = ((alpha >= 128) ^ ~door for alpha in (refine_plane(seen, photo).matte.alpha, refine(seen, photo).alpha))
    for x, y in ((300, 150), (560, 150), (300, 520), (560, 520)):
        assert ours[y - 20 : y + 20, x - 20 : x + 20].sum() <= 60
    assert ours.sum() < 0.3 * before.sum()


def test_things_that_are_no_planes_are_not_straightened() -> None:
    photo, seen = as_photo(np.where(WALL, np.float32(238), np.float32(236))), as_seen(WALL)
    segments = Segments(seen[None], seen[None, None], np.ones((1, 1), np.float32), np.zeros((1, 1, 4), np.float32), np.ones(1, np.float32))
    for name, expected in (("curtain", refine(seen, photo)), ("floor lamp", refine(seen, photo)), ("sofa", refine_thing(seen, photo))):
        job = request({name: Recolor(color="#204060")})
        matte = find_mattes(photo, job, segments, []).concepts[name].matte
        assert matte is not None and np.array_equal(matte.alpha, expected.alpha)
    assert [has_straight_borders(name) for name in ("accent wall", "wall (2)", "Floor tile", "DOOR", "worktop")] == [True] * 5


def test_a_persons_own_mask_is_not_straightened() -> None:
    drawn = (as_seen(WALL) >= 128).astype(np.uint8) * np.uint8(255)
    photo = as_photo(np.where(WALL, np.float32(238), np.float32(238)))
    job = request({"wall": Recolor(color="#204060")})
    job = job.model_copy(update={"concepts": [ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)]})
    matte = find_mattes(photo, job, Segments.empty(), [encode(drawn)]).concepts["wall"].matte
    assert matte is not None and np.array_equal(matte.alpha, refine_user_mask(drawn, photo).alpha)


def test_blotches_are_filled_and_told_and_switches_stay() -> None:
    blotch, switch = ((np.abs(X - x) < 12.0) & (np.abs(Y - 300.0) < 12.0) for x in (250.0, 650.0))
    grey = np.where(switch, np.float32(205), np.float32(232))
    photo, seen = as_photo(grey), as_seen(~(blotch | switch), 0.0)
    alpha = refine(seen, photo).alpha
    assert alpha[300, 250] == 0
    segments = Segments(seen[None], seen[None, None], np.ones((1, 1), np.float32), np.zeros((1, 1, 4), np.float32), np.ones(1, np.float32))
    result = edit_photo(photo, segments, request({"wall": Recolor(color="#204060")}, masks=True), [])
    assert "small patches of 'wall' that the photo shows nothing of: 1 filled in" in result.report.warnings
    ours = refine_plane(seen, photo).matte.alpha
    assert ours[280:320, 230:270].min() == 255 and ours[300, 650] == 0


def test_any_size_and_any_mask() -> None:
    rng = np.random.default_rng(0)
    for height, width, side in ((8, 9, 288), (63, 65, 72), (200, 37, 120), (1300, 700, 120)):
        photo = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        for seen in (
            rng.integers(0, 255, (side, side), dtype=np.uint8),
            np.zeros((side, side), np.uint8),
            np.full((side, side), 255, np.uint8),
        ):
            first, second = (refine_plane(seen, photo).matte.alpha for _ in range(2))
            assert first.shape == (height, width) and np.array_equal(first, second)
            if seen.min() == seen.max():
                assert (first == seen.min()).all()


def test_a_wall_goes_on_behind_a_leg_that_the_network_saw_too_wide() -> None:
    middle = 400.0 + 0.08 * Y
    leg, floor = (np.abs(X - middle) < 4.5) & (Y > 150.0), Y > 520.0
    shadow = 25.0 * np.clip(1.0 - (middle - X) / 30.0, 0.0, 1.0) * (middle > X)
    photo = as_photo(np.select([floor, leg], [np.float32(240), np.float32(90)], np.float32(170) - shadow))
    wall = ~leg & ~floor
    lost = (middle - X > 0.0) & (middle - X < 16.5) & (Y > 150.0)
    found = refine_plane(as_seen(wall & ~lost, 0.2), photo).matte.alpha >= 128
    around = np.s_[170:500, 330:500]
    assert (wall & ~found)[around].sum() < 200
    assert (leg & found)[around].sum() < 30
