"""Mattes: snapped to the photo's edges, never far from the mask, and resolved where concepts overlap."""

from __future__ import annotations

from typing import Literal, cast

import cv2
import numpy as np

from benchmarks.quality.metrics import boundary_f, matte_error
from respray.contract.request import ConceptQuery
from respray.editing.mask.matte import Matte, complement, feather, subtract, unite
from respray.editing.mask.overlap import resolve
from respray.editing.mask.refine import refine, refine_user_mask
from respray.imaging.arrays import BoolArray, UInt8Array


def disc(width: int = 640, height: int = 480) -> tuple[UInt8Array, BoolArray]:
    """A photo of a textured disc on a textured ground, and its exact mask."""
    y, x = np.mgrid[0:height, 0:width]
    mask = (x - 330) ** 2 + (y - 230) ** 2 < 150**2
    rng = np.random.default_rng(0)
    colour = np.where(mask[..., None], (60, 90, 140), (200, 190, 170))
    return np.clip(colour + rng.normal(0, 5, (height, width, 3)), 0, 255).astype(np.uint8), mask


def low(mask: BoolArray, shift: float = 0.0) -> UInt8Array:
    """The mask as a network answers: 288 x 288, soft, and moved by `shift` mask pixels."""
    small = cv2.GaussianBlur(cv2.resize(mask.astype(np.float32), (288, 288), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    moved = cv2.warpAffine(small, np.array([[1, 0, shift], [0, 1, shift]]), (288, 288), borderMode=cv2.BORDER_REPLICATE)
    codes: UInt8Array = np.round(moved * 255).astype(np.uint8)
    return codes


def test_edges_are_sharper_and_truer_than_bilinear() -> None:
    photo, mask = disc()
    for shift in (0.0, 0.7):
        probability = low(mask, shift)
        bilinear = cast(UInt8Array, cv2.resize(probability, (640, 480), interpolation=cv2.INTER_LINEAR))
        ours = refine(probability, photo).alpha
        assert matte_error(ours, mask) < 0.5 * matte_error(bilinear, mask)
        assert boundary_f(ours, mask) > 0.95


def test_far_from_the_edge_the_matte_is_exactly_on_or_off() -> None:
    photo, mask = disc()
    alpha = refine(low(mask), photo).alpha
    kernel = np.ones((17, 17), np.uint8)
    assert (alpha[cv2.erode(mask.astype(np.uint8), kernel) > 0] == 255).all()
    assert (alpha[cv2.dilate(mask.astype(np.uint8), kernel) == 0] == 0).all()
    assert not refine(np.zeros((288, 288), np.uint8), photo).alpha.any()
    assert refine(np.full((288, 288), 255, np.uint8), photo).alpha.min() == 255


def test_any_size_of_photo_and_mask() -> None:
    for height, width in ((8, 9), (63, 65), (200, 37), (1000, 700)):
        photo = np.zeros((height, width, 3), np.uint8)
        photo[:, width // 2 :] = 200
        probability = np.zeros((72, 72), np.uint8)
        probability[:, 36:] = 255
        alpha = refine(probability, photo).alpha
        assert alpha.shape == (height, width)
        assert alpha[height // 2, -1] == 255
        assert alpha[height // 2, 0] == 0


def test_a_hand_drawn_mask_is_snapped_and_a_soft_one_kept() -> None:
    photo, mask = disc()
    drawn = cast(UInt8Array, cv2.warpAffine(mask.astype(np.uint8) * 255, np.array([[1.0, 0, 2], [0, 1.0, 1]]), (640, 480)))
    snapped = refine_user_mask(drawn, photo).alpha
    assert matte_error(snapped, mask) < 0.6 * matte_error(drawn, mask)
    soft = cast(UInt8Array, cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), 20))
    kept = refine_user_mask(soft, photo)
    assert kept.feathered and np.array_equal(kept.alpha, soft)
    # A small one too, whose edge is half of it.
    assert refine_user_mask(np.full((16, 16), 128, np.uint8), photo).feathered


def test_a_small_hard_mask_is_still_a_hard_one_on_a_large_photo() -> None:
    mask = cv2.resize(disc()[1].astype(np.uint8), (2560, 1920), interpolation=cv2.INTER_NEAREST) > 0
    photo = cast(UInt8Array, np.where(mask[..., None], np.uint8(60), np.uint8(200)) * np.ones((1, 1, 3), np.uint8))
    drawn = cast(UInt8Array, cv2.resize(mask.astype(np.uint8) * 255, (288, 216), interpolation=cv2.INTER_NEAREST))
    matte = refine_user_mask(drawn, photo)
    assert not matte.feathered
    assert boundary_f(matte.alpha, mask) > 0.9


def test_feather_union_and_complement() -> None:
    _, mask = disc()
    matte = Matte.sharp((mask * 255).astype(np.uint8))
    assert feather(matte, 0.0) is matte
    assert np.unique(feather(matte, 4.0).alpha).size > 50
    wide = cv2.GaussianBlur(matte.alpha, (0, 0), 40)
    assert np.abs(feather(matte, 40.0).alpha.astype(int) - wide).max() < 6
    assert unite([matte, complement(matte)]).alpha.min() == 255
    assert matte.box == (181, 81, 480, 380)


def test_what_is_made_of_mattes_is_feathered_where_one_of_them_is() -> None:
    sharp = Matte.sharp(np.array([[255, 255, 0, 0]], np.uint8))
    wide = Matte(np.array([[0, 128, 128, 0]], np.uint8), np.array([[0, 255, 0, 0]], np.uint8))
    assert not any(matte.feathered for matte in (complement(sharp), unite([sharp]), subtract(sharp, sharp)))
    assert complement(wide).coverage.tolist() == [[255, 0, 255, 255]]
    assert unite([sharp, wide]).coverage.tolist() == [[255, 255, 0, 0]]
    left = subtract(sharp, wide)
    assert (left.alpha.tolist(), left.coverage.tolist()) == ([[255, 127, 0, 0]], [[255, 0, 0, 0]])


def test_overlaps_go_to_protected_then_objects_then_priority_then_order() -> None:
    full = Matte.sharp(np.full((4, 4), 255, np.uint8))
    names = ["wall", "tile", "sofa", "grout"]
    kinds: list[tuple[Literal["surface", "object"], int]] = [("surface", 0), ("surface", 1), ("object", 0), ("surface", 4)]
    concepts = [ConceptQuery(name=n, prompts=[n], kind=k, priority=p) for n, (k, p) in zip(names, kinds, strict=True)]
    present = dict.fromkeys(names, full)
    assert [n for n, m in resolve(concepts, present, []).items() if m.alpha.any()] == ["sofa"]
    assert [n for n, m in resolve(concepts[:2], present, []).items() if m.alpha.any()] == ["tile"]
    assert not any(m.alpha.any() for m in resolve(concepts, present, ["grout"]).values())
