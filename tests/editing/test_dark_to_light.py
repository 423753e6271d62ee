"""Dark surfaces of JPEG files made light: what JPEG left does not come up with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.dark_jpeg import Finding, black_sofa, dark_wall, measure
from respray.contract.photo_facts import PhotoFacts
from respray.contract.request import Recolor
from respray.editing.apply import edit_photo
from respray.editing.surface.jpeg_error import estimate_jpeg_error
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import DecodedPhoto, decode, decode_photo
from tests.editing.rooms import request, segments


@pytest.fixture(scope="module")
def wall() -> Finding:
    return measure(dark_wall(), 60)


@pytest.fixture(scope="module")
def sofa() -> Finding:
    return measure(black_sofa(), 80)


def test_a_near_black_wall_has_no_blocks_and_one_hue(wall: Finding) -> None:
    assert wall.blocks < 0.5  # 0.9 without
    assert max(wall.a_spread, wall.b_spread) < 1.5  # 3.5 and 4.2 without
    assert wall.mean < 1.6


def test_a_black_sofa_has_no_torn_rim_and_no_ridges(sofa: Finding) -> None:
    assert sofa.torn < 0.001
    assert sofa.blocks < 1.2  # 1.5 without
    assert sofa.mean < 1.0


def test_a_lossless_dark_surface_has_no_torn_rim() -> None:
    assert measure(black_sofa(), 0).torn < 0.001  # 10 % without


def edited(photo: DecodedPhoto, color: str) -> tuple[UInt8Array, list[str]]:
    job = dark_wall(color)
    result = edit_photo(photo, segments(job.mask), request({"wall": Recolor(color=color)}), [])
    return decode(result.files[0]), result.report.outputs[0].edits[0].warnings


def test_what_becomes_darker_is_not_smoothed() -> None:
    photo = decode_photo(dark_wall().photo(60))
    blind = replace(photo, facts=PhotoFacts())
    darker, lighter = (np.abs(edited(photo, color)[0].astype(int) - edited(blind, color)[0]).max() for color in ("#0B0B0C", "#EFE9DD"))
    assert darker <= 1  # the light's colour, rounded
    assert lighter > 5


def test_nothing_changes_outside_the_surface() -> None:
    photo = decode_photo(dark_wall().photo(60))
    far = np.ones(photo.rgb.shape[:2], bool)
    far[30:410] = False
    np.testing.assert_array_equal(edited(photo, "#EFE9DD")[0][far], photo.rgb[far])


def test_only_what_cannot_be_carried_is_warned_of() -> None:
    dark = replace(black_sofa(), albedo=black_sofa().albedo * np.float32(0.5))
    assert any("so dark" in warning and "higher quality" in warning for warning in measure(dark, 40).warnings)
    assert not any("higher quality" in warning for warning in measure(dark_wall(), 80).warnings)


def test_texture_is_no_error_and_calm_blocks_are_off_by_their_mean() -> None:
    tables = decode_photo(dark_wall().photo(60)).facts.jpeg
    assert tables is not None
    flat = np.full((64, 64, 3), 40, np.uint8)
    solid = np.full((64, 64), 255, np.uint8)
    calm = estimate_jpeg_error(flat, solid, (0, 0), tables)
    # The mean and the first frequency each way: steps 13, 9 and 10 of quality 60.
    assert calm.luma() == pytest.approx(np.sqrt((13**2 + 9**2 + 10**2) / 12 / 64), abs=0.02)
    assert calm.grain == pytest.approx(0.0, abs=0.01)
    squares = np.kron(np.random.default_rng(0).choice([20, 60], (16, 16)), np.ones((4, 4)))
    strong = estimate_jpeg_error(np.repeat(squares[..., None], 3, 2).astype(np.uint8), solid, (0, 0), tables)
    # Four-pixel squares of forty codes vary by twenty; what is off of it is a fraction.
    assert 1.0 < float(np.median(strong.luma())) < 6.0
    assert strong.grain <= 1.0


def test_blocks_are_found_where_the_file_has_them() -> None:
    tables = decode_photo(dark_wall().photo(60)).facts.jpeg
    assert tables is not None
    moved = tables.model_copy(update={"origin": (3, 5)})
    flat, solid = np.full((40, 48, 3), 40, np.uint8), np.full((40, 48), 255, np.uint8)
    assert estimate_jpeg_error(flat, solid, (16, 8), moved).corner == (-5, -3)
    assert estimate_jpeg_error(flat, solid, (3, 5), moved).corner == (0, 0)
