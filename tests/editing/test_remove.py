"""Removing: straight alpha without the removed colour, backgrounds that keep shadows, holes filled from around them."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from benchmarks.quality.metrics import psnr
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove, Tone
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, encode_srgb
from respray.editing.fill.inpaint import fill, hole_of
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.decode import decode
from tests.editing.rooms import request, segments, wall_photo


def blurred_disc() -> tuple[UInt8Array, BoolArray]:
    """A red disc with a soft edge on grey: photo uint8 and mask bool [160,200]."""
    y, x = np.mgrid[0:160, 0:200]
    mask = (x - 100) ** 2 + (y - 80) ** 2 < 45**2
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)[..., None]
    linear = soft * np.array([0.6, 0.02, 0.02], np.float32) + (1 - soft) * np.float32(0.4)
    return encode_srgb(linear), mask


def test_transparent_pixels_carry_no_colour_of_what_was_removed() -> None:
    photo, mask = blurred_disc()
    result = edit_photo(photo, segments(mask), request({"disc": Remove(mode="transparent")}), [])
    rgba = np.asarray(Image.open(io.BytesIO(result.files[0])))
    assert rgba.shape == (160, 200, 4)
    assert rgba[80, 100, 3] == 0
    assert rgba[5, 5].tolist() == [*photo[5, 5], 255]
    partly = (rgba[..., 3] > 20) & (rgba[..., 3] < 255)
    assert partly.any()
    spread = rgba[..., :3].astype(int).max(axis=-1) - rgba[..., :3].astype(int).min(axis=-1)
    assert np.percentile(spread[partly], 90) < 12
    # What is left of the disc beside the mask is transparent, too; and what is kept is kept whole.
    opaque = rgba[..., 3] == 255
    assert spread[opaque].max() < 12
    assert not ((rgba[..., 3] > 250) & ~opaque).any()


def test_background_colour_replaces_and_keeps_the_natural_shadow() -> None:
    photo, mask = wall_photo("#C8C8C8")
    product = np.zeros_like(mask)
    product[30:60, 60:100] = True
    shadow = np.zeros_like(mask)
    shadow[60:75, 60:100] = True
    photo[30:60, 60:100] = (180, 40, 40)
    photo[60:75, 60:100] //= 2
    concepts = [
        ConceptQuery(name="Background", prompts=["background"], complement_of=["Product", "Shadow"]),
        ConceptQuery(name="Product", prompts=["product"], kind="object"),
        ConceptQuery(name="Shadow", prompts=["shadow"]),
    ]
    rule = Remove(mode="background", color="#FFFFFF")
    job = PhotoRequest(concepts=concepts, outputs=[Output(name="out", edits=[Edit(concept="Background", rule=rule)])])
    edited = decode(edit_photo(photo, segments(product, shadow), job, []).files[0])
    assert edited[110, 20].min() >= 254
    assert np.array_equal(edited[36:54, 66:94], photo[36:54, 66:94])
    assert 60 < edited[68, 80].mean() < 215
    assert np.ptp(edited[68, 80].astype(int)) < 6


def test_a_hole_in_texture_is_filled_better_than_by_telea() -> None:
    y, x = np.mgrid[0:200, 0:260]
    stripes = ((x // 10) % 2 * 90 + 80 + x * 0.1)[..., None] + np.zeros(3)
    photo = np.clip(stripes + np.random.default_rng(0).normal(0, 2, stripes.shape), 0, 255).astype(np.uint8)
    hole = (x - 130) ** 2 + (y - 100) ** 2 < 30**2
    ours = fill(photo, hole)
    assert np.array_equal(ours[~hole], photo[~hole])
    telea = cv2.inpaint(photo, hole.astype(np.uint8), 4, cv2.INPAINT_TELEA)
    assert psnr(ours, photo, hole) > psnr(telea, photo, hole) + 2


def test_light_on_a_plain_wall_goes_on_without_creases_and_nothing_beside_bleeds_into_it() -> None:
    y, x = np.mgrid[0:160, 0:240].astype(np.float32)
    glow = 70.0 * np.exp(-((x - 70.0) ** 2 + (y - 20.0) ** 2) / 5_000.0)
    wall = np.array([150.0, 140.0, 120.0]) + glow[..., None] + np.random.default_rng(0).normal(0.0, 1.0, (160, 240, 1))
    truth = wall.astype(np.uint8)
    truth[:, 160:] = (200, 30, 40)  # a cupboard
    photo, picture = truth.copy(), np.zeros((160, 240), np.uint8)
    photo[50:110, 80:155], picture[50:110, 80:155] = (20, 60, 30), 255
    hole = hole_of(picture)
    hole[:, 160:] = False
    assert psnr(fill(photo, hole), truth, hole) > 38.0


def test_the_hole_takes_edge_and_shadow_but_nothing_protected() -> None:
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:150, 100:150] = 255
    guard = np.zeros_like(alpha)
    guard[150:, :] = 255
    hole = hole_of(alpha)
    assert hole[98, 120]
    assert hole[152, 120]
    assert not hole[90, 120]
    assert not hole_of(alpha, guard)[150:].any()


def test_a_network_is_used_where_one_is_given() -> None:
    class Grey:
        def fill(self, image: UInt8Array, hole: BoolArray) -> UInt8Array:
            return np.full_like(image, 77)

    photo, mask = blurred_disc()
    job = request({"disc": Remove(mode="inpaint")})
    assert (decode(edit_photo(photo, segments(mask), job, [], network=Grey()).files[0])[80, 100] == 77).all()


def test_tone_moves_in_the_direction_it_says_and_zero_changes_nothing() -> None:
    photo, mask = wall_photo("#9A8C7B")
    inside = (slice(40, 80), slice(50, 110))

    def mean(**values: float) -> FloatArray:
        edited = decode(edit_photo(photo, segments(mask), request({"wall": Tone.model_validate(values)}), []).files[0])
        average: FloatArray = decode_srgb(edited)[inside].mean(axis=(0, 1))
        return average

    before = decode_srgb(photo)[inside].mean(axis=(0, 1))
    assert np.abs(mean() - before).max() < 1e-3
    assert (mean(exposure=0.5) > before * 1.7).all()
    assert (mean(brightness=0.5) > before * 1.1).all()
    warm, cool = mean(warmth=1.0), mean(warmth=-1.0)
    assert warm[0] / warm[2] > before[0] / before[2] > cool[0] / cool[2]
    assert np.ptp(mean(saturation=-1.0)) < 0.01
    light = decode_srgb(photo)[inside].std()
    assert decode_srgb(decode(edit_photo(photo, segments(mask), request({"wall": Tone(contrast=0.8)}), []).files[0]))[inside].std() > light
