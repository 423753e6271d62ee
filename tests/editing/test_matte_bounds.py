"""The work of a matte is bounded whatever the mask, and the report says when its edge was found at less than full size."""

from __future__ import annotations

import numpy as np
import pytest

from respray.contract.request import Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask import guided_upsample as snapping
from respray.editing.mask.guided_upsample import BAND_PIXELS, snap
from respray.editing.mask.matte import BAND_MASK_PIXELS, refine
from tests.editing.rooms import request, segments, wall_photo

NOISE = np.random.default_rng(0).integers(0, 256, (288, 288)).astype(np.uint8)


def room_mask() -> np.ndarray:
    """A decided mask uint8 [288,288] with a long edge: a wall with a window and a row of battens in front of it."""
    mask = np.zeros((288, 288), np.uint8)
    mask[30:220, 12:276] = 255
    mask[60:140, 150:240] = 0
    mask[60:200, 40:130:30] = 0
    return mask


def test_an_undecided_mask_costs_no_more_pixels_than_the_limit() -> None:
    for height, width in ((3000, 4000), (5000, 7000)):
        photo = np.zeros((height, width, 3), np.uint8)
        found = snap(NOISE, photo, BAND_MASK_PIXELS)
        assert found.alpha.shape == (height, width)
        assert BAND_PIXELS / 2 < found.pixels <= BAND_PIXELS
        assert found.detail < 0.75


def test_a_decided_mask_is_worked_on_at_full_size() -> None:
    found = snap(room_mask(), np.zeros((3000, 4000, 3), np.uint8), BAND_MASK_PIXELS)
    assert 0 < found.pixels <= BAND_PIXELS
    assert found.detail == 1.0


def test_less_detail_is_the_same_selection_and_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = wall_photo("#A8A04A", 600, 800)
    full = refine(mask.astype(np.uint8)[::2, ::2] * 255, photo)
    monkeypatch.setattr(snapping, "BAND_PIXELS", 60_000)
    less = refine(mask.astype(np.uint8)[::2, ::2] * 255, photo)
    assert (full.detail, less.detail < 1.0) == (1.0, True)
    assert np.mean(np.abs(full.alpha.astype(int) - less.alpha)) < 1.0
    result = edit_photo(photo, segments(mask), request({"wall": Recolor(color="#22304A")}), [])
    assert any("undecided" in warning and "'wall'" in warning for warning in result.report.warnings)
