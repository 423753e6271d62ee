"""What is no photo is refused by its name, in one sentence that says what to send; what holds several pictures says which was taken."""

from __future__ import annotations

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.contract.photo_file import inspect
from respray.imaging.decode import decode_photo
from tests.imaging.test_senders_files import picture
from tests.imaging.tiffs import tiff


def saved(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, kind, **options)
    return stream.getvalue()


def boxed(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(400)


def jpeg_of(marker: int, bits: int = 8, height: int = 64) -> bytes:
    """A JPEG up to its frame."""
    return b"\xff\xd8\xff\xe0\0\4JF\xff" + struct.pack(">BHBHHB", marker, 17, bits, height, 96, 3) + bytes(200)


JPEG, PNG = saved("JPEG"), saved("PNG")
FOREIGN = {
    "a JPEG XL": b"\xff\x0a" + bytes(99),
    "a JPEG 2000": b"\0\0\0\x0cjP  \r\n" + bytes(99),
    "a Photoshop document": b"8BPS\0\1" + bytes(99),
    "a PDF": b"%PDF-1.7\n",
    "a film": boxed(b"isom"),
    "an AVIF that is truncated": saved("AVIF")[:100],
    "a HEIC that is truncated": boxed(b"heic"),
    "a file of the kind 'jxs '": boxed(b"jxs "),
    "a ZIP archive": b"PK\3\4" + bytes(99),
    "a file compressed with gzip": b"\x1f\x8b\x08\0" + bytes(99),
    "an HTML page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "an XML document": b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
    "an SVG drawing": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "JSON": b'{"error": "not found"}',
    "a picture as base64 text": base64.b64encode(JPEG),
    "a JPEG that begins at byte 1": b"\n" + JPEG,
    "a PNG that begins at byte 3": b"\xef\xbb\xbf" + PNG,
    "stored as text": JPEG.decode("utf-8", "replace").encode(),
    "line ends were changed": PNG.replace(b"\r\n", b"\n"),
    "nothing but zeros": bytes(500),
    "starts with 68 65 6c 6c 6f": b"hello" * 9,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_photo_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ImageError) as refused:
        inspect(FOREIGN[name])
    assert "not an image that can be read here" in str(refused.value)
    assert name in str(refused.value)
    assert "accepted are JPEG" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (jpeg_of(0xC1, 12), "3 channels of 12 bits"),
        (jpeg_of(0xF7), "a JPEG-LS"),
        (jpeg_of(0xC0, height=0), "says its height behind its first scan only"),
        (b"\xff\xd8\xff\xe0\0\x10JF", "header is corrupt"),
        (PNG[:29] + bytes(4) + PNG[33:], "a PNG whose header is truncated or corrupt"),
        (saved("GIF")[:8], "a GIF whose header is truncated or corrupt"),
        (saved("TIFF", compression="tiff_lzw")[:200], "TIFF is truncated or corrupt: its 200 bytes"),
        (saved("TIFF", compression="tiff_lzw")[:-10], "TIFF is truncated or corrupt"),
        (saved("TIFF", compression="tiff_lzw")[:-300] + bytes(300), "TIFF is truncated or corrupt"),
        (b"II*\0" + bytes(60), "TIFF is truncated or corrupt"),
    ],
)
def test_photos_that_cannot_be_opened_say_what_is_wrong_with_them(data: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        inspect(data)


def pages(*sides: int, reduced: tuple[bool, ...]) -> bytes:
    """A TIFF of square pages, each said to be a reduced copy or not; written by Pillow, which has a tag for it."""
    images = [Image.new("RGB", (side, side), (side, 90, 40)) for side in sides]
    for image, is_copy in zip(images, reduced, strict=True):
        image.encoderinfo = {"tiffinfo": {254: int(is_copy)}}
    stream = io.BytesIO()
    images[0].save(stream, "TIFF", save_all=True, append_images=images[1:], tiffinfo={254: int(reduced[0])})
    return stream.getvalue()


def test_a_tiff_that_begins_with_a_thumbnail_is_not_edited_as_one() -> None:
    with pytest.raises(ImageError, match="first picture is a thumbnail of 16 x 16 pixels of a photo of 128 x 128"):
        inspect(pages(16, 128, reduced=(True, False)))
    assert inspect(pages(128, 16, reduced=(True, True))).width == 128  # nothing there is larger
    whole = tiff(picture(), tags={254: ("I", [1])})
    assert inspect(whole).width == 96


@pytest.mark.parametrize("reduced", [False, True])
def test_further_pages_are_said_to_be_left_out_and_smaller_copies_are_none(reduced: bool) -> None:
    photo = decode_photo(pages(64, 32, reduced=(False, reduced)))
    assert photo.rgb.shape == (64, 64, 3)
    assert photo.facts.warnings == (() if reduced else ("the TIFF has further pages; its first one was edited",))


def test_an_animated_gif_says_that_its_first_picture_was_taken() -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())
    stream = io.BytesIO()
    first.save(stream, "GIF", save_all=True, append_images=[second])
    photo = decode_photo(stream.getvalue())
    assert photo.facts.warnings == ("the GIF is animated; its first picture was edited",)
    assert np.array_equal(photo.rgb, decode_photo(saved("GIF")).rgb)
    assert decode_photo(saved("GIF")).facts.warnings == ()
