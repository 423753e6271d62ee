"""Masks drawn on the stored photo, which its EXIF orientation turns: turned along, and said so."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from respray.contract.errors import ImageError
from respray.contract.photo_facts import PhotoFacts
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask.select import Segments
from respray.editing.mask.turned import fits_stored_only, turn_upright
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import DecodedPhoto, decode_photo

UPRIGHT = (60, 96)


def photo_file(orientation: int, format: str) -> bytes:
    """A photo that is stored so that `orientation` makes it upright, as seen by Pillow."""
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    sides = UPRIGHT if orientation >= 5 else UPRIGHT[::-1]
    Image.new("RGB", sides, "#b0a890").save(out, format, exif=exif)
    return out.getvalue()


def png(mask: UInt8Array) -> bytes:
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    return out.getvalue()


def photo(orientation: int = 1) -> DecodedPhoto:
    return DecodedPhoto(np.full((*UPRIGHT, 3), 170, np.uint8), facts=PhotoFacts(orientation=orientation))


def request() -> PhotoRequest:
    return PhotoRequest(
        concepts=[ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)],
        outputs=[Output(name="o", edits=[Edit(concept="wall", rule=Recolor(color="#203050"))])],
        masks=True,
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_pillow_turns_the_photo(orientation: int) -> None:
    stored = np.zeros((30, 50), np.uint8)
    stored[:8, :20] = 255
    picture = Image.fromarray(stored)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    if orientation >= 5:
        assert np.array_equal(turn_upright(stored, orientation), expected)
        assert fits_stored_only(stored.shape, expected.shape, orientation)
    assert not fits_stored_only(expected.shape, expected.shape, orientation)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_is_read_from_every_format(format: str, orientation: int) -> None:
    data = photo_file(orientation, format)
    decoded = decode_photo(data)
    assert decoded.facts.orientation == orientation
    assert decoded.rgb.shape[:2] == UPRIGHT


@pytest.mark.parametrize("scale", [1, 2])
def test_what_the_mask_of_the_stored_photo_selects_is_what_is_edited(scale: int) -> None:
    upright = np.zeros(UPRIGHT, np.uint8)
    upright[:, :40] = 255
    lying = np.rot90(upright)  # orientation 6 turns it back
    mask = np.ascontiguousarray(lying[::scale, ::scale])
    result = edit_photo(photo(6), Segments.empty(), request(), [png(mask)])
    edited = np.asarray(Image.open(io.BytesIO(result.files[0])).convert("RGB"))
    changed = np.abs(edited.astype(int) - 170).max(axis=2) > 20
    assert (changed == (upright > 0)).mean() > 0.95
    assert result.report.warnings == ["the mask of 'wall' fits the photo before it was turned upright; it was turned along"]


@pytest.mark.parametrize("orientation, shape", [(6, UPRIGHT), (3, (30, 48)), (1, (15, 24))])
def test_a_mask_of_the_photos_shape_is_taken_without_a_word(orientation: int, shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[:, : shape[1] // 2] = 255
    assert edit_photo(photo(orientation), Segments.empty(), request(), [png(mask)]).report.warnings == []


@pytest.mark.parametrize("orientation, shape", [(1, UPRIGHT[::-1]), (6, (50, 50)), (1, (96, 96))])
def test_a_mask_of_another_shape_is_stretched_and_said_to_be_so(orientation: int, shape: tuple[int, int]) -> None:
    """It may have been padded to a square, or drawn on another photo."""
    result = edit_photo(photo(orientation), Segments.empty(), request(), [png(np.full(shape, 255, np.uint8))])
    sizes = f"the mask of 'wall' has {shape[1]} x {shape[0]} pixels and the photo 96 x 60"
    assert result.report.warnings == [f"{sizes}, which is another shape: it was stretched over the photo"]


def test_a_mask_that_is_white_everywhere_is_said_to_be_so() -> None:
    result = edit_photo(photo(), Segments.empty(), request(), [png(np.full(UPRIGHT, 255, np.uint8))])
    assert result.report.warnings == ["the mask of 'wall' selects the whole photo: it is white everywhere"]


@pytest.mark.parametrize("mask", [np.zeros(UPRIGHT, np.uint8), np.zeros((*UPRIGHT, 4), np.uint8)], ids=["black", "transparent"])
def test_a_mask_that_selects_nothing_is_said_to_be_so(mask: UInt8Array) -> None:
    result = edit_photo(photo(), Segments.empty(), request(), [png(mask)])
    warning = "nothing found for 'wall' (its mask selects nothing: it is black or transparent everywhere)"
    assert result.report.warnings == [warning]


def test_the_rest_of_an_erased_mask_is_said_to_be_next_to_nothing() -> None:
    mask = np.zeros(UPRIGHT, np.uint8)
    mask[30, 40:52] = range(1, 13)
    result = edit_photo(photo(), Segments.empty(), request(), [png(mask)])
    assert result.report.warnings == ["nothing found for 'wall' (its mask selects next to nothing: it is nowhere brighter than 12 of 255)"]


def test_a_mask_that_cannot_be_one_is_refused_with_its_concept() -> None:
    several = np.zeros((*UPRIGHT, 3), np.uint8)
    several[:20, :, 0], several[30:, :, 2] = 255, 255
    with pytest.raises(ImageError, match="the mask of 'wall': it has several colours"):
        edit_photo(photo(), Segments.empty(), request(), [png(several)])
