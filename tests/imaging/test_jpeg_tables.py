"""What a JPEG says of its own coarseness arrives with the photo, turned as the photo is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from respray.contract.photo_facts import JpegTables, PhotoFacts
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode_photo
from respray.imaging.isolated import DecoderProcess


def checks(width: int = 45, height: int = 37) -> Image.Image:
    """8 x 8 squares of random grey, so that JPEG's blocks can be seen in the decoded picture."""
    squares = np.random.default_rng(0).integers(0, 255, (height // 8 + 1, width // 8 + 1))
    return Image.fromarray(np.kron(squares, np.ones((8, 8))).astype(np.uint8)[:height, :width]).convert("RGB")


def jpeg(image: Image.Image, orientation: int = 1, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, **options)
    return out.getvalue()


def steps_at(picture: UInt8Array, axis: int) -> set[int]:
    """Places, modulo 8, of the four largest steps along an axis."""
    steps = np.abs(np.diff(picture.astype(float), axis=axis)).mean(axis=1 - axis)
    return {int(place + 1) % 8 for place in np.argsort(-steps)[:4]}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_and_steps_are_turned_with_the_photo(orientation: int) -> None:
    photo = decode_photo(jpeg(checks(), orientation, quality=60, subsampling="4:2:2"))
    found = photo.facts.jpeg
    assert found is not None
    grey = photo.rgb[..., 1]
    assert (steps_at(grey, 1), steps_at(grey, 0)) == ({found.origin[0]}, {found.origin[1]})
    transposed = orientation >= 5
    assert found.sampling == ((1, 2) if transposed else (2, 1))
    # libjpeg's table of quality 60 begins 13 9 8 in the row and 13 10 11 in the column.
    assert found.luma[:3] == ((13, 10, 11) if transposed else (13, 9, 8))


def test_lossless_files_have_none_and_grey_jpegs_have_one() -> None:
    out = io.BytesIO()
    checks().save(out, "PNG")
    assert decode_photo(out.getvalue()).facts.jpeg is None
    grey = decode_photo(jpeg(checks().convert("L"), quality=80)).facts.jpeg
    assert grey is not None and grey.sampling == (1, 1) and grey.luma == grey.chroma


def test_cmyk_and_rgb_jpegs_have_none() -> None:
    assert decode_photo(jpeg(checks().convert("CMYK"))).facts.jpeg is None
    assert decode_photo(jpeg(checks(), keep_rgb=True)).facts.jpeg is None


def test_they_travel_from_the_decoder_process_and_as_json() -> None:
    data, decoder = jpeg(checks(), 6, quality=71), DecoderProcess()
    try:
        facts = decoder.decode_photo(data).facts
    finally:
        decoder.close()
    assert facts.jpeg == decode_photo(data).facts.jpeg
    assert PhotoFacts.model_validate_json(facts.model_dump_json()) == facts


@pytest.mark.parametrize("steps", [(1,) * 63, (0,) * 64, (65536,) * 64])
def test_tables_that_no_jpeg_has_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="luma"):
        JpegTables(luma=steps, chroma=(1,) * 64)
