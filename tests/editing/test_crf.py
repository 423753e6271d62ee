"""Masks of planes decided again: what a coarse mask smears is told by colours and edges; what the photo does not show stays."""

from __future__ import annotations

import numpy as np
import pytest

from respray.editing.mask.crf import FieldPicture, decide
from respray.editing.mask.refine import refine, refine_plane, refine_thing
from respray.imaging.arrays import BoolArray, UInt8Array
from tests.editing.test_straight import HEIGHT, SIDE, WIDTH, X, Y, as_photo, as_seen

FLOOR = Y > 250.0
TILES = np.where((X // 60 + Y // 60) % 2 > 0, np.float32(150), np.float32(225))


def wrong(alpha: UInt8Array, mask: BoolArray) -> int:
    """Pixels on the wrong side."""
    return int(((alpha >= 128) != mask).sum())


def test_legs_are_left_out_of_a_tiled_floor() -> None:
    legs = np.zeros_like(FLOOR)
    for x in (200.0, 420.0, 640.0):
        legs |= (np.abs(X - x) < 9.0) & (Y > 250.0) & (Y < 520.0)
    mask = FLOOR & ~legs
    photo, seen = as_photo(np.select([legs, FLOOR], [np.float32(60), TILES], np.float32(110))), as_seen(mask, 0.5)
    ours, before = refine_plane(seen, photo).matte.alpha, refine(seen, photo).alpha
    assert wrong(ours, mask) < 0.5 * wrong(before, mask)


def test_a_skirting_board_is_not_the_floors() -> None:
    board = (Y > 225.0) & ~FLOOR
    photo = as_photo(np.select([FLOOR, board], [TILES, np.float32(185)], np.float32(110)))
    seen = as_seen(FLOOR, 0.6)
    assert wrong(refine_plane(seen, photo).matte.alpha, FLOOR) < 0.5 * wrong(refine(seen, photo).alpha, FLOOR)


def test_a_table_keeps_its_legs_and_not_what_is_seen_between_them() -> None:
    table = (np.abs(X - 400.0) < 180.0) & (np.abs(Y - 260.0) < 22.0)
    for x in (240.0, 560.0):
        table |= (np.abs(X - x) < 11.0) & (Y > 260.0) & (Y < 470.0)
    photo, seen = as_photo(np.select([table, FLOOR], [np.float32(60), TILES], np.float32(110))), as_seen(table, 0.5)
    ours, before = refine_thing(seen, photo).alpha, refine(seen, photo).alpha
    assert wrong(ours, table) < 0.5 * wrong(before, table)


@pytest.mark.parametrize("code", [90.0, 238.0, 255.0])
def test_without_anything_to_see_the_networks_border_stays(code: float) -> None:
    seen = as_seen(FLOOR, 0.5)
    photo = np.full((HEIGHT, WIDTH, 3), code, np.uint8)
    answer = decide(seen, FieldPicture(photo))
    rows = [np.argmax(mask >= 128, axis=0) / mask.shape[0] for mask in (answer, seen)]
    across = np.interp((np.arange(SIDE) + 0.5) / SIDE, (np.arange(answer.shape[1]) + 0.5) / answer.shape[1], rows[0])
    assert np.abs(across - rows[1]).max() < 1.5 / SIDE


def test_a_photo_as_coarse_as_the_mask_changes_nothing() -> None:
    seen = as_seen(FLOOR)
    photo = np.random.default_rng(0).integers(0, 255, (SIDE // 2, SIDE // 2, 3), np.uint8)
    assert decide(seen, FieldPicture(photo)) is seen


def test_the_same_answer_every_time_and_nothing_of_nothing() -> None:
    photo = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
    noise = np.random.default_rng(2).integers(0, 255, (72, 72), np.uint8)
    assert np.array_equal(decide(noise, FieldPicture(photo)), decide(noise, FieldPicture(photo)))
    for value in (0, 255):
        assert (decide(np.full((72, 72), value, np.uint8), FieldPicture(photo)) == value).all()
