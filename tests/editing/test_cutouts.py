"""Photos with an alpha of their own: it leaves as it came, and what is there is edited without a rim of the old colour."""

from __future__ import annotations

import io
from typing import Literal

import cv2
import numpy as np
import pytest
from PIL import Image

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, delta_e_2000, linear_to_lab
from respray.editing.mask.cutout import of_colours
from respray.editing.mask.matte import Matte
from respray.editing.mask.select import Segments
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import DecodedPhoto, decode, decode_photo
from respray.imaging.encode import encode
from respray.imaging.layers import on_white
from tests.editing.rooms import request, segments

JUNK = (10, 200, 30)  # what editors leave below alpha 0
RED, BLUE = (172, 54, 44), "#2C5AAC"


def disc(radius: float = 60.0, size: int = 200) -> UInt8Array:
    """The coverage of a disc, antialiased, uint8 [size,size]."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    distance = np.hypot(x - size / 2, y - size / 2)
    coverage: UInt8Array = np.round(np.clip(radius + 0.5 - distance, 0, 1) * 255).astype(np.uint8)
    return coverage


def cut_out() -> DecodedPhoto:
    """A red disc, lit from above, with a soft shadow below it; straight colours, another colour where nothing is."""
    body = disc()
    y = np.linspace(1.15, 0.75, 200, dtype=np.float32)[:, None, None]
    shadow = cv2.GaussianBlur(np.roll(body, 14, axis=0), (0, 0), 6) * np.float32(0.4)
    rgb = np.where(body[..., None] > 0, np.clip(np.array(RED) * y, 0, 255), 0).astype(np.uint8)
    alpha = np.maximum(body, (shadow * (1 - body / 255)).astype(np.uint8))
    rgb[alpha == 0] = JUNK
    return DecodedPhoto(rgb, alpha)


def seen_by_network(photo: DecodedPhoto) -> Segments:
    return segments(disc() > 127)


@pytest.mark.parametrize("source", ["network", "mask"])
@pytest.mark.parametrize("format", ["png", "webp"])
def test_alpha_and_what_is_below_it_leave_as_they_came_and_no_old_colour_stays(source: str, format: str) -> None:
    photo = cut_out()
    job = request({"disc": Recolor(color=BLUE)})
    attached: list[bytes] = []
    if source == "mask":
        attached = [encode(disc())]
        job = job.model_copy(update={"concepts": [ConceptQuery(name="disc", prompts=["disc"], mask_attachment=0)]})
    output = job.outputs[0].model_copy(update={"format": format, "quality": 100})
    job = job.model_copy(update={"outputs": [output]})
    result = edit_photo(photo, seen_by_network(photo) if source == "network" else Segments.empty(), job, attached)
    rgba = np.asarray(Image.open(io.BytesIO(result.files[0])))
    assert photo.alpha is not None
    assert np.array_equal(rgba[..., 3], photo.alpha)
    assert (rgba[photo.alpha == 0][:, :3] == JUNK).all()
    assert not result.report.warnings
    # Every pixel of the disc has the new colour, also where it is only partly there: as blue as the middle is.
    edge = (disc() > 30) & (disc() < 225)
    blueness = rgba[..., 2].astype(int) - rgba[..., 0]
    assert blueness[edge].min() > 0.5 * np.median(blueness[disc() == 255])
    # The shadow is no part of it.
    shadow = (disc() == 0) & (photo.alpha > 20)
    assert shadow.any() and np.array_equal(rgba[shadow][:, :3], photo.rgb[shadow])
    preview = decode(result.files[1])
    assert (preview[:8, :8] > 250).all()


def test_on_its_paper_a_cut_out_is_edited_as_the_photo_on_that_paper_is() -> None:
    photo = cut_out()
    attached = [encode(disc())]
    job = request({"disc": Recolor(color=BLUE)})
    job = job.model_copy(update={"concepts": [ConceptQuery(name="disc", prompts=["disc"], mask_attachment=0)]})
    cut = decode(edit_photo(photo, Segments.empty(), job, attached).files[0])
    flat = decode(edit_photo(photo.seen, Segments.empty(), job, attached).files[0])
    away = delta_e_2000(linear_to_lab(decode_srgb(cut)), linear_to_lab(decode_srgb(flat)))
    assert np.percentile(away, 95) < 1.5
    assert away[disc() == 255].max() < 4


def test_a_jpeg_is_laid_on_white_and_says_so() -> None:
    photo = cut_out()
    job = request({"disc": Recolor(color=BLUE)})
    job = job.model_copy(update={"outputs": [job.outputs[0].model_copy(update={"format": "jpeg", "quality": 98})]})
    result = edit_photo(photo, seen_by_network(photo), job, [])
    assert (decode(result.files[0])[:8, :8] > 250).all()
    (warning,) = result.report.warnings
    assert "on white" in warning and "PNG and WebP keep it" in warning


def test_what_is_made_transparent_joins_what_was() -> None:
    photo = cut_out()
    half = disc() * (np.arange(200)[:, None] < 100).astype(np.uint8)
    job = request({"disc": Remove(mode="transparent")})
    job = job.model_copy(update={"concepts": [ConceptQuery(name="disc", prompts=["disc"], mask_attachment=0)]})
    rgba = np.asarray(Image.open(io.BytesIO(edit_photo(photo, Segments.empty(), job, [encode(half)]).files[0])))
    assert photo.alpha is not None
    assert rgba[60:90, 80:120, 3].max() == 0
    assert np.array_equal(rgba[110:, :, 3], photo.alpha[110:])
    assert np.array_equal(rgba[photo.alpha == 0], np.broadcast_to((*JUNK, 0), rgba[photo.alpha == 0].shape))
    assert (rgba[..., 3] <= photo.alpha).all()


def test_a_background_colour_goes_behind_what_is_seen() -> None:
    photo = cut_out()
    concepts = [
        ConceptQuery(name="Background", prompts=["background"], complement_of=["Product"]),
        ConceptQuery(name="Product", prompts=["product"], kind="object", mask_attachment=0),
    ]
    edit = Edit(concept="Background", rule=Remove(mode="background", color="#3060C0"))
    job = PhotoRequest(concepts=concepts, outputs=[Output(name="o", edits=[edit])])
    photo_of = decode_photo(edit_photo(photo, Segments.empty(), job, [encode(disc())]).files[0])
    assert photo_of.alpha is None
    assert photo_of.rgb[3, 3].tolist() == [0x30, 0x60, 0xC0]
    assert np.array_equal(photo_of.rgb[100, 100], photo.rgb[100, 100])
    # Neither the paper nor what lay below alpha 0 shows at the edge: it lies between the disc's colours and the new one.
    edge = photo_of.rgb[(disc() > 20) & (disc() < 235)].astype(int)
    assert edge[:, 1].max() < 0x60 + 12 and edge.min(axis=1).max() < 120


@pytest.mark.parametrize("mode", ["background", "transparent", "inpaint"])
def test_what_is_protected_keeps_its_soft_edge(mode: Literal["background", "transparent", "inpaint"]) -> None:
    photo = cut_out()
    assert photo.alpha is not None
    concepts = [ConceptQuery(name=name, prompts=[name], mask_attachment=number) for number, name in enumerate(("Backdrop", "Product"))]
    rule = Remove(mode=mode, color="#3060C0" if mode == "background" else None)
    outputs = [Output(name="o", edits=[Edit(concept="Backdrop", rule=rule)])]
    job = PhotoRequest(concepts=concepts, protect=["Product"], outputs=outputs, preview_size=0)
    result = decode_photo(edit_photo(photo, Segments.empty(), job, [encode(np.bitwise_not(disc())), encode(disc())]).files[0])
    kept = disc() >= 128
    assert (kept & (photo.alpha < 255)).any() and result.alpha is not None
    assert np.array_equal(result.rgb[kept], photo.rgb[kept]) and np.array_equal(result.alpha[kept], photo.alpha[kept])


@pytest.mark.parametrize("at_border", [False, True])
def test_a_filled_hole_is_as_transparent_as_its_surroundings(at_border: bool) -> None:
    photo = cut_out()
    mask = np.zeros((200, 200), np.uint8)
    mask[90:110, 150 : 180 if at_border else 162] = 255
    mask = mask if at_border else np.roll(mask, -60, axis=1)
    rgb = photo.rgb.copy()
    rgb[mask > 0] = (250, 250, 40)
    assert photo.alpha is not None
    alpha = np.where(mask > 0, np.uint8(255), photo.alpha)
    job = request({"sticker": Remove(mode="inpaint")})
    job = job.model_copy(update={"concepts": [ConceptQuery(name="sticker", prompts=["sticker"], mask_attachment=0)]})
    result = decode_photo(edit_photo(DecodedPhoto(rgb, alpha), Segments.empty(), job, [encode(mask)]).files[0])
    assert result.alpha is not None
    if at_border:
        assert result.alpha[100, 175] < 40 and result.alpha[100, 152] > 200
    else:
        assert np.array_equal(result.alpha, photo.alpha)
        middle = result.rgb[95:105, 92:100].astype(int)
        assert np.abs(middle - photo.rgb[95:105, 92:100]).max() < 25


def test_which_colour_of_an_edge_is_the_concepts() -> None:
    opacity = np.array([[*[255] * 20, 128, 64, *[0] * 20]] * 3, np.uint8)
    product, background = Matte.sharp(opacity.copy()), Matte.sharp(np.bitwise_not(opacity))
    found = of_colours(product, opacity).alpha[1]
    assert found[:22].min() >= 254 and found[22:].max() == 0
    assert of_colours(background, opacity).alpha.max() <= 1
    # Half of an opaque pixel is half of its colour.
    half = Matte.sharp(np.where(np.arange(42) == 10, 128, opacity).astype(np.uint8))
    assert of_colours(half, opacity).alpha[1, 10] == 128


def test_what_is_seen_is_laid_on_white_as_pillow_does_it() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (300, 40, 4)).astype(np.uint8)
    white = Image.new("RGBA", (40, 300), (255, 255, 255, 255))
    expected = np.asarray(Image.alpha_composite(white, Image.fromarray(rgba)).convert("RGB")).astype(int)
    assert np.abs(on_white(rgba[..., :3], np.ascontiguousarray(rgba[..., 3])) - expected).max() <= 1
