"""CIEDE2000 against Sharma's pairs, and colour conversions against themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respray.editing.core import color
from respray.editing.core.codes import encode_scene
from respray.editing.paint.gamut import build_paint_table, fit_to_srgb
from respray.editing.paint.recolor_pixels import MAX_SHADING, TABLE_ROWS, apply_light

# Sharma, Wu, Dalal (2005), table 1: L, a, b of both colours and their difference.
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425 | 50 3.1571 -77.2803 50 0 -82.7485 2.8615 | 50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000 | 50 -1.1848 -84.8006 50 0 -82.7485 1.0000 | 50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669 | 50 -1 2 50 0 0 2.3669 | 50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792 | 50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195 | 50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045 | 50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045 | 50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065 | 50 2.5 0 73 25 -18 27.1492 | 50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030 | 50 2.5 0 58 24 15 19.4535 | 50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000 | 50 2.5 0 50 1.8634 0.5757 1.0000 | 50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644 | 63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731 | 35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373 | 36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441 | 90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377 | 2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_ciede2000_reproduces_all_34_pairs() -> None:
    rows = np.array([[float(v) for v in pair.split()] for pair in SHARMA.replace("\n", "|").split("|") if pair.strip()])
    assert rows.shape == (34, 7)
    assert color.delta_e_2000(rows[:, :3], rows[:, 3:6]) == pytest.approx(rows[:, 6], abs=5e-5)
    assert color.delta_e_2000(rows[:, 3:6], rows[:, :3]) == pytest.approx(rows[:, 6], abs=5e-5)


def test_known_lab_values() -> None:
    assert color.hex_to_lab("#FFFFFF") == pytest.approx([100.0, 0.0, 0.0], abs=0.02)
    assert color.hex_to_lab("#FF0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.03)


def test_every_code_survives_both_linear_spaces() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(color.encode_srgb(color.decode_srgb(codes)), codes)
    assert np.array_equal(encode_scene(color.decode_scene(codes)), codes)


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3))
def test_oklab_round_trip(values: list[float]) -> None:
    linear = np.array(values)
    assert color.oklab_to_linear(color.linear_to_oklab(linear)) == pytest.approx(linear, abs=1e-5)


def test_gamut_fit_keeps_hue_and_lightness() -> None:
    lab = np.array([[0.7, 0.3, 0.1], [0.5, -0.2, 0.3], [0.9, 0.0, -0.3]])
    fitted = color.linear_to_oklab(fit_to_srgb(lab))
    assert fitted[:, 0] == pytest.approx(lab[:, 0], abs=0.01)
    assert np.arctan2(fitted[:, 2], fitted[:, 1]) == pytest.approx(np.arctan2(lab[:, 2], lab[:, 1]), abs=0.03)


def test_a_paint_keeps_its_hue_under_any_light_and_gets_brighter() -> None:
    target = color.hex_to_linear("#C9803A")
    steps = np.linspace(0.05, 4.0, 40, dtype=np.float32)[:, None]
    table = build_paint_table(target, steps)
    lab = color.linear_to_oklab(color.to_display(table[:, :3]))
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    coloured = np.hypot(lab[:, 1], lab[:, 2]) > 0.02
    assert np.ptp(hue[coloured]) < 3.0
    assert np.all(np.diff(lab[:, 0]) > -1e-6)
    # A light's tint shows in full up to the camera's shoulder, and fades into it.
    assert table[0, 3] == 1.0
    assert np.all(np.diff(table[:, 3]) <= 0.0)
    assert table[-1, 3] < 0.1


def test_no_pixels_decode_to_no_pixels() -> None:
    assert color.decode_scene(np.zeros((0, 3), np.uint8)).shape == (0, 3)


def test_a_bluish_light_does_not_make_a_paint_pink_before_it_is_white() -> None:
    oak, lights = color.from_display(color.hex_to_linear("#C3A27B")).astype(np.float32), np.linspace(0.0, MAX_SHADING, TABLE_ROWS)
    table = build_paint_table(oak, lights[:, None].astype(np.float32))
    shading = np.linspace(0.5, 3.5, 300, dtype=np.float32)[None]
    window = np.array([[[0.93, 1.0, 1.22]]], np.float32)
    out = np.empty((1, 300, 3), np.float32)
    apply_light(shading, np.zeros_like(shading), np.float32(1), table, window, (0, 0, 1, 300), out)
    lab = color.srgb8_to_lab(color.encode_srgb(color.to_display(out).astype(np.float32)))[0]
    bright = (lab[:, 0] > 85.0) & (np.hypot(lab[:, 1], lab[:, 2]) > 4.0)
    # It was down to 13 degrees, pink, where all of the tint was put on it.
    assert bright.sum() > 20
    assert np.degrees(np.arctan2(lab[bright, 2], lab[bright, 1])).min() > 50.0
