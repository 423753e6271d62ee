"""Bare wall that a network left out between the things in front of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.quality.patches import compare, table
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.core.color import decode_srgb, encode_srgb
from respray.editing.mask.find import find_mattes
from respray.editing.mask.refine import refine_plane
from respray.editing.mask.select import Segments
from respray.imaging.arrays import AnyArray, UInt8Array

HEIGHT, WIDTH, SIDE = 600, 900, 120
WALL, PICTURE = (205, 190, 160), (60, 90, 120)
GAP = slice(256, 334), slice(444, 468)
SHADE = slice(444, 476)
SHADED = slice(262, 324), slice(449, 471)


def room(gap: tuple[int, int, int], *, doubt: int) -> tuple[UInt8Array, UInt8Array]:
    """Two pictures on a wall, and the network's answer, which takes what is between them for one with them, but for a doubt (0..255)."""
    rng = np.random.default_rng(4)
    photo = np.full((HEIGHT, WIDTH, 3), WALL, np.float32)
    photo[250:340, 300:600] = PICTURE
    photo[250:340, 440:472] = gap
    seen = np.full((HEIGHT, WIDTH), 250, np.float32)
    seen[250:340, 300:600] = 2
    seen[250:340, 440:472] = doubt
    return as_photo(photo, rng), as_seen(seen)


def as_photo(picture: AnyArray, rng: np.random.Generator) -> UInt8Array:
    """A picture, codes 0..255, with a camera's noise."""
    noisy: UInt8Array = np.clip(picture + rng.normal(0.0, 1.5, picture.shape), 0, 255).astype(np.uint8)
    return noisy


def as_seen(probability: AnyArray) -> UInt8Array:
    """A network's answer of 0..255 at its size."""
    return np.asarray(cv2.GaussianBlur(cv2.resize(probability, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.7), np.uint8)


def shadow(light: float, *, doubt: int = 50) -> tuple[UInt8Array, UInt8Array]:
    """A gap between two cupboards, wall in their shadow, which has so much of its light and fades out upwards, and the network's answer."""
    photo = np.full((HEIGHT, WIDTH, 3), WALL, np.uint8)
    down = np.clip((np.arange(HEIGHT) - 250) / 50.0, 0.0, 1.0)[:, None, None]
    photo[:, SHADE] = encode_srgb((decode_srgb(photo[:, SHADE]) * (1.0 - (1.0 - light) * down)).astype(np.float32))
    photo[250:, SHADE.stop :] = PICTURE
    photo[250:, : SHADE.start] = PICTURE
    photo[330:] = PICTURE
    seen = np.full((HEIGHT, WIDTH), 250, np.float32)
    seen[250:] = 2
    seen[250:330, SHADE] = doubt
    return as_photo(photo, np.random.default_rng(4)), as_seen(seen)


def test_wall_between_two_pictures_is_filled_and_told() -> None:
    photo, seen = room(WALL, doubt=50)
    plane = refine_plane(seen, photo)
    assert plane.matte.alpha[GAP].min() > 250
    assert plane.filled == 1
    assert plane.matte.alpha[256:334, 310:430].max() < 5


@pytest.mark.parametrize(
    ("gap", "doubt"), [((235, 190, 160), 50), ((180, 190, 205), 50), (WALL, 2)], ids=["pinker", "bluer", "what the network rules out"]
)
def test_what_has_another_colour_or_is_ruled_out_is_not_filled(gap: tuple[int, int, int], doubt: int) -> None:
    photo, seen = room(gap, doubt=doubt)
    plane = refine_plane(seen, photo)
    assert plane.filled == 0
    assert plane.matte.alpha[GAP].mean() < 20


def test_wall_in_the_shadow_between_two_cupboards_is_painted_and_a_darker_thing_there_is_not() -> None:
    photo, seen = shadow(0.6)
    assert refine_plane(seen, photo).matte.alpha[SHADED].min() > 250
    photo[256:330, SHADE] = (90, 96, 104)
    assert refine_plane(seen, photo).matte.alpha[SHADED].max() < 20


def test_a_patch_is_painted_in_one_look_and_not_protected_in_the_other() -> None:
    photo, seen = room(WALL, doubt=50)
    region = np.stack([seen, 255 - seen])
    segments = Segments(region, region[:, None], np.ones((2, 1), np.float32), np.zeros((2, 1, 4), np.float32), np.ones(2, np.float32))
    painted = Output(name="painted", edits=[Edit(concept="wall", rule=Recolor(color="#204060"))])
    kept = Output(name="kept", protect=["wall"], edits=[Edit(concept="picture", rule=Recolor(color="#204060"))])
    concepts = [ConceptQuery(name="wall", prompts=["wall"]), ConceptQuery(name="picture", prompts=["picture"])]
    job = PhotoRequest(concepts=concepts, outputs=[painted, kept])
    found = find_mattes(photo, job, segments, [])
    assert found.of(painted).visible["wall"].alpha[GAP].min() > 250
    protected = found.of(kept).protected
    assert protected is not None and protected[GAP].max() < 5 and protected[:240].min() == 255


def test_patches_are_counted_by_what_is_beside_them_and_strips_are_not() -> None:
    wall = np.zeros((HEIGHT, WIDTH), bool)
    wall[:400] = True
    table_top, cupboard = np.zeros_like(wall), np.zeros_like(wall)
    table_top[300:320, 100:300] = True
    cupboard[200:400, 600:700] = True
    masks = {"wall": wall & ~table_top & ~cupboard, "table": table_top, "cabinet": cupboard, "floor": ~wall}
    alpha = masks["wall"].astype(np.uint8) * np.uint8(255)
    alpha[260:300, 150:200] = 0
    alpha[250:270, 600:640] = 255
    alpha[396:400] = 0
    found = compare(1, "wall", alpha, masks)
    assert [(patch.bare, patch.beside, patch.pixels) for patch in found] == [(True, "table", 2000), (False, "cabinet", 800)]
    assert table(found)[-1] == ["all", "1", "2000", "1", "800"]
