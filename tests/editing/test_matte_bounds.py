"""The work of a matte is bounded whatever the mask, and the report says when its edge was found at less than full size."""

from __future__ import annotations

import numpy as np

from respray.contract.request import Tone
from respray.editing.apply import edit_photo
from respray.editing.mask.guided_upsample import UpsampleParameters, guided_upsample
from respray.editing.mask.refine import MatteParameters, refine
from respray.editing.mask.select import Segments
from respray.imaging.arrays import UInt8Array
from tests.editing.rooms import request, wall_photo

MAX_PIXELS, BAND = UpsampleParameters().max_pixels, MatteParameters().band
NOISE = np.random.default_rng(0).integers(0, 256, (288, 288)).astype(np.uint8)


def room_mask() -> UInt8Array:
    """A decided mask uint8 [288,288] with a long edge: a wall with a window and a row of battens in front of it."""
    mask = np.zeros((288, 288), np.uint8)
    mask[30:220, 12:276] = 255
    mask[60:140, 150:240] = 0
    mask[60:200, 40:130:30] = 0
    return mask


def test_an_undecided_mask_costs_no_more_pixels_than_the_limit() -> None:
    for height, width in ((3000, 4000), (5000, 7000)):
        photo = np.zeros((height, width, 3), np.uint8)
        found = guided_upsample(NOISE, photo, BAND)
        assert found.alpha.shape == (height, width)
        assert MAX_PIXELS / 2 < found.pixels <= MAX_PIXELS
        assert found.detail < 0.75


def test_a_decided_mask_is_worked_on_at_full_size() -> None:
    found = guided_upsample(room_mask(), np.zeros((3000, 4000, 3), np.uint8), BAND)
    assert 0 < found.pixels <= MAX_PIXELS
    assert found.detail == 1.0


def test_less_detail_is_the_same_selection() -> None:
    photo, mask = wall_photo("#A8A04A", 600, 800)
    coarse = mask.astype(np.uint8)[::2, ::2] * np.uint8(255)
    full, less = refine(coarse, photo), refine(coarse, photo, upsampling=UpsampleParameters(max_pixels=40_000))
    assert (full.detail, less.detail < 1.0) == (1.0, True)
    assert np.mean(np.abs(full.alpha.astype(int) - less.alpha)) < 1.0


def test_less_detail_is_a_warning() -> None:
    photo = np.zeros((2400, 3200, 3), np.uint8)
    answer = Segments(NOISE[None], NOISE[None, None], np.ones((1, 1), np.float32), np.zeros((1, 1, 4), np.float32), np.ones(1, np.float32))
    result = edit_photo(photo, answer, request({"wall": Tone()}), [])
    assert any("undecided" in warning and "'wall'" in warning for warning in result.report.warnings)
