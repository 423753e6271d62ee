"""The old colour that JPEG smears over an edge goes with the edit; nothing else outside the edge does."""

from __future__ import annotations

import cv2
import numpy as np

from respray.contract.request import Recolor
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, encode_srgb, hex_to_srgb
from respray.editing.mask.fringe import TAIL, TO_CHROMA, with_tail, without_tail
from respray.editing.mask.refine import refine
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import request, segments

OLD, NEW, WHITE = "#8A7A20", "#5E7F8C", "#E4E2DE"


def painted(color: str) -> tuple[UInt8Array, BoolArray]:
    """A coloured slope-edged wall beside a white one: photo uint8 [240,320,3], mask bool [240,320]."""
    y, x = np.mgrid[0:240, 0:320]
    mask = (y > 60 + 0.35 * x) & (x > 41)
    return np.where(mask[..., None], hex_to_srgb(color), hex_to_srgb(WHITE)).astype(np.uint8), mask


def smeared(photo: UInt8Array) -> UInt8Array:
    """The photo as a camera's JPEG (4:2:0) gives it back."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return decode(cv2.imencode(".jpg", photo[..., ::-1], options)[1].tobytes())


def yellow(codes: UInt8Array) -> FloatArray:
    """How much more yellow than the white wall pixels [n,3] are: negative Cb, in codes."""
    difference: FloatArray = (hex_to_srgb(WHITE).astype(np.float32) - codes) @ TO_CHROMA[0]
    return difference


def recolored(photo: UInt8Array, mask: BoolArray) -> tuple[UInt8Array, UInt8Array]:
    """The edit and the matte that the pixels outside of must not have changed."""
    result = edit_photo(photo, segments(mask), request({"wall": Recolor(color=NEW)}), [])
    return decode(result.files[0]), refine(mask.astype(np.uint8) * np.uint8(255), photo).alpha


def test_the_old_colour_leaves_the_fringe_and_its_light_stays() -> None:
    clean, mask = painted(OLD)
    photo = smeared(clean)
    edited, alpha = recolored(photo, mask)
    outside = (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~mask
    assert yellow(photo[outside]).mean() > 6.0
    assert yellow(edited[outside]).mean() < 0.25 * yellow(photo[outside]).mean()
    assert np.array_equal(edited[alpha == 0], photo[alpha == 0])
    tail = (alpha > 0) & (alpha <= max(TAIL))
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(edited[tail] @ luma - photo[tail] @ luma).max() < 2.5


def test_a_photo_without_smear_is_not_touched_outside_the_edge() -> None:
    photo, mask = painted(OLD)
    edited, _ = recolored(photo, mask)
    outside = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert np.array_equal(edited[outside], photo[outside])


def test_something_else_at_the_edge_keeps_its_colour() -> None:
    clean, mask = painted(OLD)
    rail = (cv2.dilate(mask.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0) & ~mask
    clean[rail] = (170, 40, 40)
    edited, _ = recolored(clean, mask)
    inner = rail & (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    assert np.abs(edited[inner].astype(int) - clean[inner]).mean() < 1.0


def test_a_mask_that_claims_too_much_leaves_no_black_edge() -> None:
    """A white door beside rust, its mask wrong by a pixel: what is painted navy is never darker than navy and rust are."""
    y, x = np.mgrid[0:240, 0:320]
    door = np.clip((x - 60 - 0.08 * y) * 0.8 + 0.5, 0.0, 1.0)[..., None]
    light = door * decode_srgb(hex_to_srgb(WHITE)[None, None]) + (1.0 - door) * decode_srgb(hex_to_srgb("#9C4F30")[None, None])
    photo = encode_srgb(light.astype(np.float32))
    navy = "#22304A"
    result = edit_photo(photo, segments(door[..., 0] > 0.02), request({"wall": Recolor(color=navy)}), [])
    edited = decode(result.files[0]).astype(int)
    solid = edited[:, 200:].min(axis=(0, 1))
    assert (solid < 80).any()  # it was painted
    assert (edited >= np.minimum(solid, hex_to_srgb("#9C4F30")) - 6).all()


def test_the_tail_reaches_as_far_as_a_chroma_sample_and_comes_off_again() -> None:
    alpha = np.zeros((20, 20), np.uint8)
    alpha[8:12, 8:12] = 255
    tailed = with_tail(alpha)
    assert tailed[10, 4:9].tolist() == [0, 1, 2, 3, 255]
    assert np.array_equal(without_tail(tailed), alpha)
    assert encode(tailed) != encode(alpha)
