"""Every kind of file that users send: the good ones decode right, the bad ones say what is wrong."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL import _imaging as core

from respray.contract.errors import ImageError
from respray.contract.photo_file import inspect
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode, decode_mask
from respray.imaging.encode import encode, preview


def picture(width: int = 64, height: int = 48) -> UInt8Array:
    """A smooth RGB picture, uint8 [H,W,3], with a different colour in every corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    codes: UInt8Array = np.round(np.stack([x, y, 1 - x * y], axis=-1) * 255).astype(np.uint8)
    return codes


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_are_exact(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.fromarray(picture()), kind, **options)
    assert np.array_equal(decode(data), picture())
    info = inspect(data)
    assert (info.format, info.width, info.height) == (kind, 64, 48)


def test_jpeg_is_as_opencv_decodes_it() -> None:
    data = saved(Image.fromarray(picture()), "JPEG", quality=95)
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decode(data).astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    image = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(image, "PNG", exif=exif)
    upright = decode(data)
    turns: dict[int, Callable[[UInt8Array], UInt8Array]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    turned = turns[orientation](picture())
    assert np.array_equal(upright, turned)
    info = inspect(data)
    assert (info.height, info.width) == turned.shape[:2]


def test_sixteen_bit_grey_palette_cmyk_and_one_bit() -> None:
    grey16 = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    assert np.abs(decode(cv2.imencode(".png", grey16)[1].tobytes())[..., 0].astype(float) - grey16 / 257).max() <= 0.51
    colour16 = picture().astype(np.uint16) * 257
    for extension in (".png", ".tiff"):
        data = cv2.imencode(extension, colour16[..., ::-1])[1].tobytes()
        assert inspect(data).width == 64
        assert np.abs(decode(data).astype(int) - picture()).max() <= 1
    palette = Image.fromarray(picture()).quantize(64)
    assert np.array_equal(decode(saved(palette, "PNG")), np.asarray(palette.convert("RGB")))
    assert np.array_equal(decode(saved(palette, "GIF")), np.asarray(palette.convert("RGB")))
    cmyk = decode(saved(Image.fromarray(picture()).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk.astype(int) - picture()).mean() < 4
    assert set(np.unique(decode(saved(Image.fromarray(picture()).convert("1"), "PNG")))) == {0, 255}


def test_alpha_is_laid_on_white() -> None:
    rgba = np.dstack([picture(), np.zeros((48, 64), np.uint8)])
    rgba[:, 32:, 3] = 255
    result = decode(saved(Image.fromarray(rgba), "PNG"))
    assert (result[:, :32] == 255).all()
    assert np.array_equal(result[:, 32:], picture()[:, 32:])


def test_icc_profile_is_converted_and_srgb_left_alone() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(saved(Image.fromarray(picture()), "PNG", icc_profile=srgb)), picture())
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    # A profile that does not fit the picture's mode is ignored, as viewers do.
    assert np.array_equal(decode(saved(Image.fromarray(picture()), "PNG", icc_profile=lab)), picture())
    assert np.array_equal(decode(saved(Image.fromarray(picture()), "PNG", icc_profile=b"broken")), picture())


def test_refusals_say_what_was_given_and_what_is_accepted() -> None:
    good = saved(Image.fromarray(picture(256, 256)), "JPEG")
    with pytest.raises(ImageError, match=r"0 bytes.*accepted"):
        inspect(b"")
    with pytest.raises(ImageError, match=r"not an image.*accepted"):
        inspect(b"<html>not found</html>")
    with pytest.raises(ImageError, match=r"at most 0\.01 megapixels"):
        inspect(good, max_megapixels=0.01)
    with pytest.raises(ImageError, match="MB are accepted"):
        inspect(good, max_bytes=100)
    with pytest.raises(ImageError, match="truncated or corrupt"):
        decode(good[: len(good) // 2])
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    for kind in ("WEBP", "PNG", "AVIF"):
        with pytest.raises(ImageError, match="is animated; a still picture is accepted"):
            inspect(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    with pytest.raises(ImageError, match="at least 8 pixels"):
        inspect(saved(Image.fromarray(picture(4, 40)), "PNG"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG", "TIFF", "BMP"])
def test_a_header_is_read_without_decoding_a_pixel(kind: str) -> None:
    data = saved(Image.fromarray(picture()), kind)
    core.reset_stats()
    assert inspect(data).width == 64
    # Pillow's own count of pictures that it made room for.
    assert core.get_stats()["new_count"] == 0


def test_a_png_that_says_its_orientation_behind_its_pixels_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(picture()), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert np.array_equal(decode(late), np.rot90(picture(), -1))
    assert (inspect(late).width, inspect(late).height) == (64, 48), "its header does not say it"


def test_of_a_gif_the_first_picture_is_taken_and_no_more_is_read() -> None:
    still = saved(Image.fromarray(picture()), "GIF")
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])[:-1]
    broken_frame = b",\0"
    assert np.array_equal(decode(animated + broken_frame), decode(still))
    with pytest.raises(ImageError, match="megapixels"):
        inspect(animated, max_megapixels=0.001)


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims any size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


def test_a_bomb_is_refused_from_its_header() -> None:
    with pytest.raises(ImageError, match="megapixels"):
        inspect(png_header(40_000, 40_000))
    with pytest.raises(ImageError, match="10000 x 10000 pixels"):
        inspect(png_header(10_000, 10_000))


def test_masks_are_grey_or_transparent() -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[:, 16:] = 255
    result = decode_mask(encode(mask))
    assert result.dtype == np.uint8 and np.array_equal(result, mask)
    rgba = np.dstack([np.full((24, 32, 3), 255, np.uint8), mask])
    assert np.allclose(decode_mask(encode(rgba)), mask, atol=5)


@pytest.mark.parametrize(("kind", "tolerance"), [("png", 0), ("jpeg", 12), ("webp", 25)])
def test_encoders_round_trip(kind: str, tolerance: int) -> None:
    data = encode(picture(), kind, 95)  # type: ignore[arg-type]
    assert np.abs(decode(data).astype(int) - picture()).max() <= tolerance
    assert not Image.open(io.BytesIO(data)).getexif()


def test_alpha_survives_png_and_webp_but_jpeg_says_no() -> None:
    rgba = np.dstack([picture(), picture()[..., 0]])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(rgba)))), rgba)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode(rgba, "webp", 100))))[..., 3], rgba[..., 3])
    with pytest.raises(ImageError, match="transparency"):
        encode(rgba, "jpeg")


@pytest.mark.parametrize(("kind", "longest", "others"), [("webp", 16_383, "png or jpeg"), ("jpeg", 65_500, "png")])
def test_a_picture_too_long_for_its_format_says_the_limit_and_what_holds_it(kind: str, longest: int, others: str) -> None:
    assert encode(np.zeros((longest, 1), np.uint8), kind)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=rf"at most {longest} pixels on a side.*{longest + 1} x 2; ask for {others}, or"):
        encode(np.zeros((2, longest + 1), np.uint8), kind)  # type: ignore[arg-type]


def test_a_preview_shows_transparency_on_white() -> None:
    small = decode(preview(np.zeros((171, 256, 4), np.uint8)))
    assert small.shape == (171, 256, 3)
    assert small.min() >= 250
