"""Surfaces that meet and are both painted share the pixels of their edge; wide soft edges only blend."""

from __future__ import annotations

import itertools
from typing import cast

import cv2
import numpy as np
import pytest

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, encode_srgb, hex_to_srgb
from respray.editing.mask.matte import feather
from respray.editing.mask.refine import refine
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import request, segments

WHITE, RED, NAVY, BLACK = "#F0F0F0", "#8A2A1E", "#22304A", "#2A2A2B"


def picture(upper: str, lower: str) -> UInt8Array:
    """Two flat colours that meet in row 120, seen through a lens: uint8 [240,320,3]."""
    linear = np.empty((240, 320, 3), np.float32)
    linear[:120], linear[120:] = (decode_srgb(hex_to_srgb(c)[None, None])[0, 0] for c in (upper, lower))
    return encode_srgb(cast(FloatArray, cv2.GaussianBlur(linear, (0, 0), 1.0)))


def door(color: str, noise: float = 0.0) -> tuple[UInt8Array, BoolArray]:
    """A door of that colour in a red wall, seen through a lens: uint8 [240,320,3], and its exact mask."""
    mask = np.zeros((240, 320), bool)
    mask[60:, 100:220] = True
    codes = np.where(mask[..., None], hex_to_srgb(color), hex_to_srgb(RED)).astype(np.float32)
    codes = cv2.GaussianBlur(codes, (0, 0), 0.8) + np.random.default_rng(0).normal(0, noise, codes.shape)
    return np.clip(codes, 0, 255).round().astype(np.uint8), mask


def upper() -> BoolArray:
    return np.arange(240)[:, None] < 120 * np.ones((1, 320), int)


@pytest.mark.parametrize("order", [("wall", "carpet"), ("carpet", "wall")])
def test_no_line_of_the_old_colours_stays_between_two_painted_surfaces(order: tuple[str, str]) -> None:
    photo, wall = picture(WHITE, RED), upper()
    rules = {"wall": Recolor(color=NAVY), "carpet": Recolor(color=BLACK)}
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


def test_half_a_mask_is_half_an_edit_and_keeps_light_and_pattern() -> None:
    y, x = np.mgrid[0:240, 0:320]
    light = (0.15 + 0.85 * x / 320) * (0.7 + 0.3 * ((x // 16 + y // 16) % 2))
    photo = encode_srgb((decode_srgb(hex_to_srgb("#C3A27B")[None, None]) * light[..., None]).astype(np.float32))
    job = PhotoRequest(
        concepts=[ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)],
        outputs=[Output(name="out", edits=[Edit(concept="wall", rule=Recolor(color=NAVY))])],
    )
    masks = (encode(np.full(photo.shape[:2], value, np.uint8), "png") for value in (128, 255))
    half, whole = (decode(edit_photo(photo, Segments.empty(), job, [mask]).files[0]) for mask in masks)
    ideal = encode_srgb((decode_srgb(photo) + decode_srgb(whole)) / np.float32(2))
    assert np.abs(half.astype(int) - ideal).max() <= 4


def test_under_a_feather_a_pattern_stays_a_pattern() -> None:
    photo, mask = door("#C3A27B")
    y, x = np.mgrid[0:240, 0:320]
    photo = np.round(photo * (0.6 + 0.4 * ((x // 8 + y // 8) % 2))[..., None]).astype(np.uint8)
    rule: dict[str, Rule] = {"door": Recolor(color=NAVY)}
    soft, hard = (decode(edit_photo(photo, segments(mask), request(rule, feather=f), []).files[0]) for f in (12.0, 0.0))
    share = feather(refine(mask.astype(np.uint8) * np.uint8(255), photo), 12.0).alpha[..., None] / np.float32(255)
    mixed = cast(FloatArray, decode_srgb(photo) * (1 - share) + decode_srgb(hard) * share)
    ideal = encode_srgb(mixed).astype(int)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    # Red and purple squares of up to 83 codes, when dark ones were taken for a mixture with the red wall.
    assert np.abs(soft - ideal)[inside].max() < 12


def test_feathered_surfaces_that_meet_may_be_painted_in_any_order() -> None:
    photo, wall = picture(WHITE, RED), upper()
    rules = {"wall": Recolor(color=NAVY), "floor": Recolor(color="#C3A27B")}
    jobs = (request({name: rules[name] for name in order}, feather=12.0) for order in (("wall", "floor"), ("floor", "wall")))
    first, second = jobs
    one = decode(edit_photo(photo, segments(wall, ~wall), first, []).files[0]).astype(int)
    other = decode(edit_photo(photo, segments(~wall, wall), second, []).files[0])
    assert np.abs(one - other).max() <= 4


def test_what_is_smoothed_does_not_see_its_neighbours_new_colour() -> None:
    photo, wall = picture("#30343A", "#3A2A20"), upper()
    photo = np.clip(photo + np.random.default_rng(0).normal(0.0, 1.5, photo.shape), 0, 255).astype(np.uint8)
    # Dark ones that become light: their noise is smoothed away.
    rules: dict[str, Rule] = {"wall": Recolor(color="#F4F0E8"), "carpet": Recolor(color="#E2BE63")}
    job = request(rules)
    edits = job.outputs[0].edits
    both = job.model_copy(update={"outputs": [Output(name="one", edits=edits), Output(name="other", edits=edits[::-1])]})
    one, other = map(decode, edit_photo(photo, segments(wall, ~wall), both, []).files[:2])
    beside = np.abs(np.arange(240) - 119.5) > 4  # what is not on the edge itself
    assert np.array_equal(one[beside], other[beside])


def test_a_thin_thing_between_two_painted_surfaces_is_left_alone() -> None:
    joint, oak = "#D8D4CC", "#C3A27B"
    codes = np.empty((240, 320, 3), np.float32)
    codes[:118], codes[118:121], codes[121:] = (hex_to_srgb(c) for c in (WHITE, joint, oak))
    photo = cv2.GaussianBlur(codes, (0, 0), 0.5).round().astype(np.uint8)
    y = np.arange(240)[:, None] * np.ones((1, 320), int)
    rules: dict[str, Rule] = {"wall": Recolor(color=NAVY), "floor": Recolor(color=BLACK)}
    edited = decode(edit_photo(photo, segments(y < 118, y >= 121), request(rules), []).files[0])
    luma = np.array([0.299, 0.587, 0.114])
    assert (edited[60] < 90).all() and (edited[180] < 90).all()
    # It fell to (0, 48, 94).
    assert np.abs(edited[118:121] @ luma - photo[118:121] @ luma).max() < 6


def test_what_lies_behind_a_soft_mask_is_painted_through_it() -> None:
    photo = picture(WHITE, WHITE)
    photo[:, 160:] = hex_to_srgb(RED)
    ramp = np.clip((np.arange(320) - 100) * 255 / 60, 0, 255)[None] * np.ones((240, 1))
    job = PhotoRequest(
        concepts=[
            ConceptQuery(name="wall", prompts=["wall"]),
            ConceptQuery(name="lamp", prompts=["lamp"], kind="object", mask_attachment=0),
        ],
        outputs=[Output(name="out", edits=[Edit(concept="wall", rule=Recolor(color=NAVY))])],
    )
    wall = np.broadcast_to(np.arange(320) < 160, (240, 320))
    edited = decode(edit_photo(photo, segments(wall), job, [encode(ramp.astype(np.uint8), "png")]).files[0])
    white, navy = (decode_srgb(hex_to_srgb(c)[None])[0] for c in (WHITE, NAVY))
    share = 1 - ramp[0, 104:150, None] / 255
    # Purple, when the ramp was taken for a mixture with the red lamp.
    assert np.abs(edited[120, 104:150].astype(int) - encode_srgb((white + share * (navy - white)).astype(np.float32))).max() < 10


@pytest.mark.parametrize("order", list(itertools.permutations(("wall", "lamp", "carpet"))))
def test_a_removal_between_two_paints_leaves_no_line_either(order: tuple[str, ...]) -> None:
    photo, wall = picture(WHITE, RED), upper()
    lamp = np.zeros_like(wall)
    lamp[30:60, 250:280] = True
    photo[lamp] = (90, 160, 90)
    rules: dict[str, Rule] = {"wall": Recolor(color=NAVY), "carpet": Recolor(color=BLACK), "lamp": Remove(mode="inpaint")}
    concepts = [ConceptQuery(name=name, prompts=[name], kind="object" if name == "lamp" else "surface") for name in rules]
    edits = [Edit(concept=name, rule=rules[name]) for name in order]
    job = PhotoRequest(concepts=concepts, outputs=[Output(name="out", edits=edits)])
    edited = decode(edit_photo(photo, segments(wall & ~lamp, ~wall, lamp), job, []).files[0]).astype(int)
    assert np.abs(edited - picture(NAVY, BLACK))[110:130, :200].max() < 16


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
