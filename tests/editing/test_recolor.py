"""Recolouring where the answer is known: plain surfaces under known light, and rendered rooms."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest

from respray.contract.report import EditReport
from respray.contract.request import Recolor, Sheen
from respray.editing.apply import edit_photo
from respray.editing.core.color import LUMINANCE, decode_scene, decode_srgb, encode_srgb, hex_to_linear
from respray.editing.paint.recolor import RecolorParameters
from respray.imaging.arrays import FloatArray, UInt8Array
from respray.imaging.decode import decode
from tests.editing.rooms import request, segments, shading, wall_photo


def recolored(source: str, target: str, strength: float = 1.0) -> tuple[UInt8Array, UInt8Array, EditReport]:
    photo, mask = wall_photo(source)
    result = edit_photo(photo, segments(mask), request({"wall": Recolor(color=target, strength=strength)}), [])
    return decode(result.files[0]), photo, result.report.outputs[0].edits[0]


@pytest.mark.parametrize("source", ["#F4F1EA", "#22304A", "#808080", "#A8A04A", "#9E3B34", "#2A2A2B"])
@pytest.mark.parametrize("target", ["#22304A", "#EFE9DD", "#A4573D", "#A3AF94", "#2A2A2B"])
def test_colour_and_light_are_right_from_any_source_to_any_target(source: str, target: str) -> None:
    edited, _, report = recolored(source, target)
    assert report.delta_e is not None and report.delta_e < 2.5
    inside = (slice(26, -26), slice(30, -30))
    light = decode_srgb(edited)[inside] @ LUMINANCE
    assert np.corrcoef(np.log(light.ravel()), np.log(shading()[inside].ravel()))[0, 1] > 0.97


def test_strength_blends_with_the_photo() -> None:
    full, photo, _ = recolored("#A8A04A", "#5E7F8C")
    half, _, _ = recolored("#A8A04A", "#5E7F8C", 0.5)
    none, _, _ = recolored("#A8A04A", "#5E7F8C", 0.0)
    middle = (slice(40, 80), slice(50, 110))
    assert np.abs(none[middle].astype(int) - photo[middle]).max() <= 1
    between = (decode_srgb(full)[middle] + decode_srgb(photo)[middle]) / 2
    assert np.abs(decode_srgb(half)[middle] - between).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "sheen", "share"),
    [("floor", None, 1.0), ("floor", "matte", 0.1), ("carpet", None, 0.0), ("carpet (2)", None, 0.0), ("wall", None, 0.0)],
)
def test_a_dark_hard_floor_mirrors_the_room(name: str, sheen: Sheen | None, share: float) -> None:
    """Beside its paint, so that the paint is reported as it was asked for; and in a shadow as much less as there is less light."""
    photo, mask = wall_photo("#F4F1EA")
    photo[60:80, 100:130] = 9
    result = edit_photo(photo, segments(mask), request({name: Recolor(color="#22304A", sheen=sheen)}), [])
    edited = decode_scene(decode(result.files[0]))
    lit = (slice(30, 55), slice(40, 120))
    paint = hex_to_linear("#22304A")
    # Of the red and the blue channel, how much is in both: the paint's own ratio is known.
    red, blue = (float(np.median(edited[lit][..., channel])) for channel in (0, 2))
    mirrored = (blue - red * paint[2] / paint[0]) / (1.0 - paint[2] / paint[0])
    room = float(decode_scene(photo).mean())
    assert mirrored == pytest.approx(share * RecolorParameters().mirrored * room, abs=0.001)
    delta_e = result.report.outputs[0].edits[0].delta_e
    assert delta_e is not None and delta_e < 2.5
    assert edited[65:75, 105:125].max() < 0.03 * edited[lit].max()


def test_a_glint_stays_a_glint() -> None:
    photo, mask = wall_photo("#9E3B34")
    linear = decode_srgb(photo)
    y, x = np.mgrid[0:120, 0:160]
    glint = 0.7 * np.exp(-(((x - 80) / 6) ** 2 + ((y - 60) / 6) ** 2))[..., None]
    photo = encode_srgb((linear + glint).astype(np.float32))
    edited = decode(edit_photo(photo, segments(mask), request({"wall": Recolor(color="#22304A")}), []).files[0])
    assert edited[60, 80].min() > 140
    assert np.ptp(edited[60, 80].astype(int)) < 60


def test_daylight_on_a_wall_in_warm_light_is_no_grey_veil_on_a_dark_paint() -> None:
    photo, mask = wall_photo("#D9AE62")
    y, x = np.mgrid[0:120, 0:160]
    daylight = 0.12 * np.exp(-(((x - 80) / 40) ** 2 + ((y - 60) / 30) ** 2))[..., None]
    lit = np.where(mask[..., None], encode_srgb((decode_srgb(photo) + daylight).astype(np.float32)), photo)
    edited = decode_srgb(decode(edit_photo(lit, segments(mask), request({"wall": Recolor(color="#22304A")}), []).files[0]))
    red, _, blue = edited[60, 80]
    assert red < 0.3 * blue


def test_noise_of_a_dark_surface_is_not_amplified() -> None:
    photo, mask = wall_photo("#22262E")
    rng = np.random.default_rng(0)
    noisy = np.clip(photo + rng.normal(0, 1.2, photo.shape), 0, 255).round().astype(np.uint8)
    edited = decode(edit_photo(noisy, segments(mask), request({"wall": Recolor(color="#EFE9DD")}), []).files[0])
    flat = edited[70:90, 100:120].astype(float).mean(axis=-1)
    assert flat.std() < 5.0


def test_no_fringe_at_the_edge() -> None:
    """Pixels in the mixed band lie between the new wall and the frame, and never beyond either in any channel."""
    photo, mask = wall_photo("#E2BE63", frame="#F4F4F4")
    blurred = encode_srgb(cast(FloatArray, cv2.GaussianBlur(decode_srgb(photo), (0, 0), 0.8)))
    edited = decode(edit_photo(blurred, segments(mask), request({"wall": Recolor(color="#22304A")}), []).files[0]).astype(int)
    row = edited[60]
    for channel in range(3):
        low, high = sorted((row[40, channel], row[10, channel]))
        assert row[15:34, channel].min() >= low - 14
        assert row[15:34, channel].max() <= high + 14


def test_a_surface_in_many_small_pieces_is_painted() -> None:
    mask = np.zeros((240, 320), bool)
    for y in range(6, 230, 24):
        for x in range(6, 310, 24):
            mask[y : y + 16, x : x + 16] = True
    photo = cast(UInt8Array, np.where(mask[..., None], np.uint8(200), np.uint8(60)) * np.ones((1, 1, 3), np.uint8))
    result = edit_photo(photo, segments(mask), request({"tile": Recolor(color="#22304A")}), [])
    delta_e = result.report.outputs[0].edits[0].delta_e
    assert delta_e is not None and delta_e < 2.0
    assert (decode(result.files[0])[cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0].mean(axis=0) < 100).all()


def test_two_walls_of_two_paints_keep_their_own_reference() -> None:
    photo, mask = wall_photo("#D8CFC0")
    photo[:, 78:82] = 30
    mask[:, 78:82] = False
    right = decode_srgb(photo)[:, 82:] / hex_to_linear("#D8CFC0") * hex_to_linear("#3F5A6B")
    photo[20:-20, 82:-24] = encode_srgb(right.astype(np.float32))[20:-20, :-24]
    result = edit_photo(photo, segments(mask), request({"wall": Recolor(color="#A3AF94")}), [])
    edited = decode(result.files[0])
    left_light, right_light = (float((decode_srgb(edited[50:70, a:b]) @ LUMINANCE).mean()) for a, b in ((40, 60), (95, 115)))
    assert 0.5 < right_light / left_light < 1.7
    delta_e = result.report.outputs[0].edits[0].delta_e
    assert delta_e is not None and delta_e < 3.0


@pytest.mark.parametrize(("pieces", "one_paint"), [(2, True), (24, False)], ids=["walls that meet", "stripes"])
def test_walls_of_two_paints_that_meet_are_alike_in_a_new_one_and_a_pattern_stays(pieces: int, one_paint: bool) -> None:
    """A red wall beside a white one is no white one in the shade."""
    wall, mask = wall_photo("#F4F1EA", 160, 240)
    red, _ = wall_photo("#7A2A20", 160, 240)
    column = np.arange(240)
    photo = np.where(((column * pieces // 240) % 2 == 0)[:, None] & mask[..., None], red, wall)
    edited = decode_srgb(decode(edit_photo(photo, segments(mask), request({"wall": Recolor(color="#5E7F8C")}), []).files[0])) @ LUMINANCE
    light = shading(160, 240)
    first = (column * pieces // 240 % 2 == 0) & (np.abs(column - 120) > 4)
    left, right = (float(np.median((edited / light)[60:100, at & (column > 40) & (column < 200)])) for at in (first, ~first))
    assert (left > 0.4 * right) is one_paint


def test_hues_of_a_pattern_are_no_light() -> None:
    """Spots on a rug left clouds of their hue behind in its new colour."""
    green, mask = wall_photo("#3F5B4A", 160, 240)
    purple, _ = wall_photo("#7A3F62", 160, 240)
    y, x = np.mgrid[0:160, 0:240]
    spots = (x % 40 - 20) ** 2 + (y % 40 - 20) ** 2 < 9**2
    photo = np.where((spots & mask)[..., None], purple, green)
    edited = decode(edit_photo(photo, segments(mask), request({"rug": Recolor(color="#B9B9B9")}), []).files[0])
    inside = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert np.ptp(edited[inside & spots].mean(axis=0)) < 8


def test_a_tint_at_the_top_of_a_photo_is_taken_for_light_and_one_at_the_bottom_for_paint() -> None:
    """What hangs high looks down: what lights it has bounced off the floor."""
    photo = np.full((240, 160, 3), 150, np.uint8)
    warmth = []
    for rows in (slice(0, 40), slice(200, 240)):
        cream, mask = photo.copy(), np.zeros((240, 160), bool)
        cream[rows], mask[rows] = (236, 222, 196), True
        edited = decode(edit_photo(cream, segments(mask), request({"wall": Recolor(color="#9A9D9C")}), []).files[0])
        red, _, blue = np.log(decode_srgb(edited[rows]).mean(axis=(0, 1)) / hex_to_linear("#9A9D9C"))
        warmth.append(red - blue)
    high, low = warmth
    assert 0.1 < high < 0.3 and 0.0 <= low < high / 2, (high, low)


@pytest.mark.parametrize("code", [(240, 200, 20), (230, 120, 30)])
def test_grain_of_a_bright_saturated_wall_does_not_grow_in_a_dark_colour(code: tuple[int, int, int]) -> None:
    """Its weakest channel is mostly noise, and must not say how strong the light is."""
    noisy = np.random.default_rng(0).normal(code, 3.0, (120, 160, 3)).clip(0, 255).astype(np.uint8)
    mask = np.ones((120, 160), bool)
    edited = decode(edit_photo(noisy, segments(mask), request({"wall": Recolor(color="#22304A")}), []).files[0])
    before, after = (np.std(light := decode_srgb(picture) @ LUMINANCE) / np.mean(light) for picture in (noisy, edited))
    assert after < 1.25 * before, (before, after)


def test_a_lamps_glow_has_no_ring_where_one_channel_burns_out() -> None:
    light = np.linspace(0.5, 1.6, 640, dtype=np.float32)[None, :, None] * np.ones((80, 1, 1), np.float32)
    photo = encode_srgb(np.minimum(light * hex_to_linear("#D3AE6D"), 1.0))
    assert photo[..., 0].max() == 255 and photo[..., 1].max() < 240
    edited = decode(edit_photo(photo, segments(np.ones((80, 640), bool)), request({"wall": Recolor(color="#7C9082")}), []).files[0])
    steps = np.diff((decode_scene(edited) @ LUMINANCE).mean(axis=0).reshape(-1, 20).mean(axis=1))
    assert steps.min() > 0 and steps.max() < 2.0 * np.median(steps), steps


def test_a_pale_floor_in_the_sun_is_exposed_down_and_a_wall_in_it_keeps_its_white() -> None:
    photo, mask = wall_photo("#9E8B70")
    height, width = photo.shape[:2]
    photo = encode_srgb(decode_srgb(photo) * np.where(np.arange(width) > width // 2, 4.0, 1.0).astype(np.float32)[None, :, None])
    shade = (slice(height // 3, 2 * height // 3), slice(width // 4, width // 2 - 10))
    wall, floor = (
        decode(edit_photo(photo, segments(mask), request({concept: Recolor(color="#F1EEE5")}), []).files[0])
        for concept in ("wall", "floor")
    )
    assert float(floor[shade].mean()) < 0.97 * float(wall[shade].mean())
