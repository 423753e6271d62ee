"""Surfaces that meet and are both painted share the pixels of their edge; wide soft edges only blend."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from editing.apply import edit_photo
from editing.color import decode_srgb, encode_srgb, hex_to_srgb
from editing.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from editing.select import Segments
from imaging.arrays import BoolArray, UInt8Array
from imaging.decode import decode
from imaging.encode import encode
from tests.editing.rooms import request, segments

WHITE, RED, NAVY, BLACK = "#F0F0F0", "#8A2A1E", "#22304A", "#2A2A2B"


def picture(upper: str, lower: str) -> UInt8Array:
    """Two flat colours that meet in row 120, seen through a lens: uint8 [240,320,3]."""
    linear = np.empty((240, 320, 3), np.float32)
    linear[:120], linear[120:] = (decode_srgb(hex_to_srgb(c)[None, None])[0, 0] for c in (upper, lower))
    return encode_srgb(cv2.GaussianBlur(linear, (0, 0), 1.0))


def door(color: str, noise: float = 0.0) -> tuple[UInt8Array, BoolArray]:
    """A door of that colour in a red wall, seen through a lens: uint8 [240,320,3], and its exact mask."""
    mask = np.zeros((240, 320), bool)
    mask[60:, 100:220] = True
    codes = np.where(mask[..., None], hex_to_srgb(color), hex_to_srgb(RED)).astype(np.float32)
    codes = cv2.GaussianBlur(codes, (0, 0), 0.8) + np.random.default_rng(0).normal(0, noise, codes.shape)
    return np.clip(codes, 0, 255).round().astype(np.uint8), mask


def upper() -> BoolArray:
    return np.arange(240)[:, None] < 120 * np.ones((1, 320), int)


@pytest.mark.parametrize("order", [("wall", "floor"), ("floor", "wall")])
def test_no_line_of_the_old_colours_stays_between_two_painted_surfaces(order: tuple[str, str]) -> None:
    photo, wall = picture(WHITE, RED), upper()
    rules = {"wall": Recolor(color=NAVY), "floor": Recolor(color=BLACK)}
    job = PhotoRequest(
        concepts=[ConceptQuery(name=name, prompts=[name]) for name in rules],
        outputs=[Output(name="out", edits=[Edit(concept=name, rule=rules[name]) for name in order])],
    )
    edited = decode(edit_photo(photo, segments(wall, ~wall), job, []).files[0]).astype(int)
    ideal = picture(NAVY, BLACK).astype(int)
    # 100 codes before: the wall's white in the first row of the floor.
    assert np.abs(edited - ideal)[110:130].max() < 16


def test_a_second_rule_on_a_surface_builds_on_the_first_up_to_its_edge() -> None:
    photo, wall = picture(WHITE, RED), upper()
    rules: list[Rule] = [Recolor(color=NAVY), Tone(exposure=0.5)]
    job = request({"wall": rules[0]})
    once = job.model_copy(update={"outputs": [Output(name="out", edits=[Edit(concept="wall", rule=rule) for rule in rules])]})
    edited = decode(edit_photo(photo, segments(wall), once, []).files[0]).astype(int)
    inside = edited[60].mean(axis=0)
    # Between the new wall and the red floor, and nothing of the old white wall.
    low, high = np.minimum(inside, hex_to_srgb(RED)) - 12, np.maximum(inside, hex_to_srgb(RED)) + 12
    assert ((edited[110:120] >= low) & (edited[110:120] <= high)).all()


def test_a_feather_blends_the_new_colour_with_the_old_and_not_with_the_neighbours() -> None:
    photo, mask = door(WHITE)
    edited = decode(edit_photo(photo, segments(mask), request({"door": Recolor(color=NAVY)}, feather=12.0), []).files[0])
    linear = decode_srgb(edited[150, 104:140]).astype(float)
    white, navy = (decode_srgb(hex_to_srgb(c)[None])[0] for c in (WHITE, NAVY))
    share = ((linear - white) @ (navy - white)) / ((navy - white) @ (navy - white))
    assert (np.diff(share) > -1e-3).all() and share[0] < 0.75 and share[-1] > 0.9
    assert np.abs(linear - (white + share[:, None] * (navy - white))).max() < 0.03


def test_a_feather_does_not_take_the_protection_off_a_thin_thing() -> None:
    photo, wall = picture(WHITE, WHITE), np.ones((240, 320), bool)
    strip = np.zeros_like(wall)
    strip[100:108] = True
    job = request({"wall": Recolor(color=NAVY)}, protect=("moulding",), feather=12.0)
    edited = decode(edit_photo(photo, segments(wall, strip), job, []).files[0])
    assert np.array_equal(edited[strip], photo[strip])
    assert (edited[20] < 100).all()


def test_half_a_mask_is_half_an_edit() -> None:
    photo = picture(WHITE, WHITE)
    job = PhotoRequest(
        concepts=[ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)],
        outputs=[Output(name="out", edits=[Edit(concept="wall", rule=Recolor(color=NAVY))])],
    )
    half = encode(np.full(photo.shape[:2], 128, np.uint8), "png")
    edited = decode_srgb(decode(edit_photo(photo, Segments.empty(), job, [half]).files[0]))
    white, navy = (decode_srgb(hex_to_srgb(c)[None])[0] for c in (WHITE, NAVY))
    assert np.abs(edited - (white + navy) / 2).max() < 0.03


@pytest.mark.parametrize("rule", [Recolor(color=NAVY, strength=0.0), Tone(), Texture(texture="marble", strength=0.0)])
def test_an_edit_of_no_strength_changes_nothing(rule: Rule) -> None:
    photo, mask = door("#A88A70", noise=6.0)
    assert np.array_equal(decode(edit_photo(photo, segments(mask), request({"door": rule}), []).files[0]), photo)


def test_almost_no_strength_changes_almost_nothing_at_the_edge() -> None:
    photo, mask = door("#A88A70", noise=6.0)
    edited = decode(edit_photo(photo, segments(mask), request({"door": Recolor(color=NAVY, strength=0.004)}), []).files[0])
    assert np.abs(edited.astype(int) - photo).max() <= 3


def test_a_cut_out_that_spans_the_photo_has_none_of_its_colour_at_the_edge() -> None:
    photo, wall = picture(NAVY, WHITE), upper()
    cut = edit_photo(photo, segments(wall), request({"wall": Remove(mode="transparent")}), []).files[0]
    rgba = cv2.imdecode(np.frombuffer(cut, np.uint8), cv2.IMREAD_UNCHANGED)
    seen = rgba[..., 3] > 8
    assert seen[125:].all() and not seen[:115].any()
    assert rgba[seen][:, :3].min() > 225
