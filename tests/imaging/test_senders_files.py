"""Files as phones, cameras and other programs write them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.contract.photo_file import inspect
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode, decode_mask


def picture(width: int = 96, height: int = 64) -> UInt8Array:
    """Smooth, another colour in each corner, uint8 [H,W,3]."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    codes: UInt8Array = np.round(np.stack([x, y, 1 - x * y], axis=-1) * 255).astype(np.uint8)
    return codes


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    if kind == "HEIF":  # the product only reads it: its library has no encoder
        exif = options.pop("exif", None)
        pillow_heif.from_pillow(image).save(stream, exif=exif.tobytes() if isinstance(exif, Image.Exif) else None, **options)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def difference(first: UInt8Array, second: UInt8Array) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "1"])
@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_once_in_every_mode(mode: str, orientation: int, compression: str | None) -> None:
    sixteen = Image.fromarray(picture()[..., 0].astype(np.uint16) * 257)
    image = sixteen if mode == "I;16" else Image.fromarray(picture()).convert(mode)
    lying = decode(saved(image, "TIFF", compression=compression))
    turned = decode(saved(image, "TIFF", compression=compression, tiffinfo={274: orientation}))
    expected = {
        2: lying[:, ::-1],
        3: lying[::-1, ::-1],
        4: lying[::-1],
        5: lying.transpose(1, 0, 2),
        6: np.rot90(lying, -1),
        7: np.rot90(lying, 2).transpose(1, 0, 2),
        8: np.rot90(lying),
    }
    assert difference(turned, expected[orientation]) == 0


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_is_accepted_where_its_last_scan_is_whole(progressive: bool) -> None:
    data = saved(Image.fromarray(picture()), "JPEG", quality=88, progressive=progressive)
    for tail in (data[:-2], data[:-1]):
        assert difference(decode(tail), decode(data)) == 0
    for missing in (40, 200, len(data) // 3):
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:-missing])


def raw_signatures() -> dict[str, bytes]:
    rest = bytes(64)
    return {
        "CR2": b"II*\0\x10\0\0\0CR\2\0" + rest,
        "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + rest,
        "ORF": b"IIRO\x08\0\0\0" + rest,
        "RW2": b"IIU\0\x18\0\0\0" + rest,
        "RAF": b"FUJIFILMCCD-RAW 0201" + rest,
        "DNG": raw_tiff("<", (50706, 1, 4, 0x00000401)),
        "NEF, ARW": raw_tiff(">", (330, 4, 1, 128), photometric=32803),
    }


def raw_tiff(order: str, tag: tuple[int, int, int, int], photometric: int = 2) -> bytes:
    """A TIFF whose first picture is a thumbnail, with one tag of raw files and one further directory at byte 128."""
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), tag]
    first = struct.pack(order + "H", 3) + b"".join(struct.pack(order + "HHII", *entry) for entry in tags)
    second = struct.pack(order + "HHHIHH", 1, 262, 3, 1, photometric, 0) + bytes(4)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return (head + first).ljust(128, b"\0") + second + bytes(64)


@pytest.mark.parametrize("name", raw_signatures())
def test_camera_raw_is_refused_by_name(name: str) -> None:
    with pytest.raises(ImageError, match=f"camera raw file .*{name}.*export it as JPEG or TIFF"):
        inspect(raw_signatures()[name])


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_heic_and_avif_are_read(kind: str) -> None:
    data = saved(Image.fromarray(picture()), kind, quality=95)
    info = inspect(data)
    assert (info.format, info.width, info.height) == (kind, 96, 64)
    assert difference(decode(data), picture()) < 24
    with pytest.raises(ImageError, match="megapixels"):
        inspect(data, max_megapixels=0.001)
    with pytest.raises(ImageError):
        decode(data[: len(data) // 2])


def test_avif_is_turned_and_heics_exif_is_not_obeyed_as_its_standard_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(picture()), "AVIF", quality=95, exif=exif)
    assert (inspect(data).width, inspect(data).height) == (64, 96)
    assert difference(decode(data), np.rot90(picture(), -1)) < 24
    # A HEIC's own box (irot) turns it, in the library; phones write the EXIF tag beside it, and a second turn would be one too many.
    data = saved(Image.fromarray(picture()), "HEIF", quality=95, exif=exif)
    assert (inspect(data).width, inspect(data).height) == (96, 64)
    assert difference(decode(data), picture()) < 24


def test_8192_pixels_on_each_side_are_accepted_by_default() -> None:
    inspect(saved(Image.new("1", (8192, 8192)), "PNG"))
    with pytest.raises(ImageError, match="megapixels are accepted"):
        inspect(saved(Image.new("1", (8192, 8200)), "PNG"))


def test_masks_of_zero_and_one_and_masks_in_alpha() -> None:
    chosen = np.zeros((24, 32), np.uint8)
    chosen[:, 16:] = 1
    assert np.array_equal(decode_mask(saved(Image.fromarray(chosen), "PNG")), chosen * 255)
    for colour in (0, 255):
        rgba = np.dstack([np.full((24, 32, 3), colour, np.uint8), chosen * 255])
        assert np.array_equal(decode_mask(saved(Image.fromarray(rgba), "PNG")), chosen * 255)
    opaque = np.dstack([np.zeros((24, 32, 3), np.uint8), np.full((24, 32), 255, np.uint8)])
    assert not decode_mask(saved(Image.fromarray(opaque), "PNG")).any(), "black and opaque selects nothing"
