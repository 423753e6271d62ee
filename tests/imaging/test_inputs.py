"""Every kind of file that phones, cameras, scanners and print shops send is read right, or refused by its name: never read wrong."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from respray.contract.errors import ImageError
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode_mask, decode_photo
from tests.imaging import tiffs
from tests.imaging.makers import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, png, rgb_profile, to_d50
from tests.imaging.test_senders_files import difference, picture, saved
from tests.imaging.tiffs import BLACK_IS_ZERO, CMYK, RGB, WHITE_IS_ZERO, tiff

PICTURE = picture()
GREY = PICTURE[..., :1]
ALPHA: UInt8Array = np.broadcast_to(np.linspace(0, 255, 96).round().astype(np.uint8)[None, :, None], (64, 96, 1)).copy()
SHARE = ALPHA / 255.0
BILEVEL = (GREY > 127).astype(np.uint8)
INKS = np.dstack([255 - PICTURE, np.zeros_like(GREY)])
STRAIGHT, PREMULTIPLIED, UNSAID = (2,), (1,), (0,)


def as_codes(samples: npt.NDArray[Any]) -> UInt8Array:
    return samples.astype(np.uint8)


def deep(samples: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    return samples.astype(np.uint16) * np.uint16(257)


# Samples, photometric interpretation, options; what is seen: colours [H,W,3], alpha [H,W,1].
CONTENTS: dict[str, tuple[npt.NDArray[Any], int, dict[str, Any], npt.NDArray[Any], UInt8Array | None]] = {
    "rgb 8": (PICTURE, RGB, {}, PICTURE, None),
    "rgb 16": (deep(PICTURE), RGB, {}, PICTURE, None),
    "rgb 8, alpha": (np.dstack([PICTURE, ALPHA]), RGB, {"extra": STRAIGHT}, PICTURE, ALPHA),
    "rgb 16, alpha": (deep(np.dstack([PICTURE, ALPHA])), RGB, {"extra": STRAIGHT}, PICTURE, ALPHA),
    "rgb 8, premultiplied": (np.dstack([np.round(PICTURE * SHARE), ALPHA]).astype(np.uint8), RGB, {"extra": PREMULTIPLIED}, PICTURE, ALPHA),
    "rgb 16, premultiplied": (
        np.dstack([np.round(deep(PICTURE) * SHARE), deep(ALPHA)]).astype(np.uint16),
        RGB,
        {"extra": PREMULTIPLIED},
        PICTURE,
        ALPHA,
    ),
    "rgb 8, a channel without meaning": (np.dstack([PICTURE, ALPHA]), RGB, {"extra": UNSAID}, PICTURE, None),
    "rgb 8, alpha and a mask": (np.dstack([PICTURE, ALPHA, GREY]), RGB, {"extra": (2, 0)}, PICTURE, ALPHA),
    "grey 8": (GREY, BLACK_IS_ZERO, {}, GREY, None),
    "grey 8, white is zero": (255 - GREY, WHITE_IS_ZERO, {}, GREY, None),
    "grey 16": (deep(GREY), BLACK_IS_ZERO, {}, GREY, None),
    "grey 16, white is zero": (65535 - deep(GREY), WHITE_IS_ZERO, {}, GREY, None),
    "grey 8, alpha": (np.dstack([GREY, ALPHA]), BLACK_IS_ZERO, {"extra": STRAIGHT}, GREY, ALPHA),
    "grey 16, alpha": (deep(np.dstack([GREY, ALPHA])), BLACK_IS_ZERO, {"extra": STRAIGHT}, GREY, ALPHA),
    "grey float": ((GREY / 255).astype(np.float32), BLACK_IS_ZERO, {}, GREY, None),
    "grey float, white is zero": ((1 - GREY / 255).astype(np.float32), WHITE_IS_ZERO, {}, GREY, None),
    "grey double": (GREY / 255, BLACK_IS_ZERO, {}, GREY, None),
    "grey 16, signed": ((deep(GREY) // 2).astype(np.int16), BLACK_IS_ZERO, {}, GREY, None),
    "grey 32": (deep(GREY).astype(np.uint32) * 65537, BLACK_IS_ZERO, {}, GREY, None),
    "bilevel": (BILEVEL, BLACK_IS_ZERO, {"bits": 1}, BILEVEL * 255, None),
    "bilevel, white is zero": (1 - BILEVEL, WHITE_IS_ZERO, {"bits": 1}, BILEVEL * 255, None),
    "rgb float": ((PICTURE / 255).astype(np.float32), RGB, {}, PICTURE, None),
    "rgb half": ((PICTURE / 255).astype(np.float16), RGB, {}, PICTURE, None),
    "rgb 32": (deep(PICTURE).astype(np.uint32) * 65537, RGB, {}, PICTURE, None),
    "cmyk 8": (INKS, CMYK, {}, PICTURE, None),
    "cmyk 16": (deep(INKS), CMYK, {}, PICTURE, None),
    "cmyk 8, alpha": (np.dstack([INKS, ALPHA]), CMYK, {"extra": STRAIGHT}, PICTURE, ALPHA),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {},
    "big-endian": {"order": ">"},
    "BigTIFF": {"big": True},
    "tiles": {"tile": 32},
    "zip": {"compression": tiffs.DEFLATE},
    "zip, predictor": {"compression": tiffs.DEFLATE, "predictor": True},
    "planar": {"planar": True},
    "planar, big-endian": {"planar": True, "order": ">"},
    "planar, tiles": {"planar": True, "tile": 32},
    "planar, tiles, zip": {"planar": True, "tile": 32, "compression": tiffs.DEFLATE},
    "turned": {"tags": {274: ("H", [6])}},
}
# What is read of them interleaved (in strips, tiles, either byte order, BigTIFF, zipped, turned).
READ = [name for name in CONTENTS if name not in ("rgb float", "rgb half", "rgb 32", "cmyk 8, alpha", "grey 16, alpha")]
READ = [name for name in READ if name not in ("grey double", "grey 16, signed", "grey 32")]


def is_written(content: str, layout: str) -> bool:
    """Tiles and differences of single bits, and differences of floats as if they were integers, are in no file."""
    samples, _, options, _, _ = CONTENTS[content]
    if options.get("bits") == 1:
        return "tiles" not in layout and "predictor" not in layout
    return samples.dtype.kind != "f" or "predictor" not in layout


@pytest.mark.parametrize(("content", "layout"), [pair for pair in itertools.product(CONTENTS, LAYOUTS) if is_written(*pair)])
def test_a_tiff_is_read_right_or_refused_by_its_name(content: str, layout: str) -> None:
    samples, photometric, options, colours, alpha = CONTENTS[content]
    data = tiff(samples, photometric, **{**options, **LAYOUTS[layout]})
    try:
        photo = decode_photo(data)
    except ImageError as error:
        assert "which is not read here" in str(error) and "interleaved" in str(error)
        assert content not in READ or "planar" in layout or (content, layout) == ("grey 16, white is zero", "big-endian")
        return
    assert content in READ
    expected = np.broadcast_to(colours, PICTURE.shape)
    weight = np.ones_like(GREY) if alpha is None else alpha / 255.0
    if layout == "turned":
        expected, weight = np.rot90(expected, -1), np.rot90(weight, -1)
        assert photo.facts.orientation == 6
    # The less there is of a premultiplied pixel, the less is known of its colour.
    assert np.abs((photo.rgb.astype(float) - expected) * weight).max() <= 2.0
    if alpha is None:
        assert photo.alpha is None
    else:
        assert photo.alpha is not None
        assert np.abs(photo.alpha.astype(int) - np.round(weight[..., 0] * 255)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("RGB", name) for name in ("tiff_lzw", "jpeg", "zstd", "tiff_adobe_deflate", "packbits", "lzma")] + [("1", "group4"), ("1", "group3")],
)
def test_compressed_tiffs(mode: str, compression: str) -> None:
    image = Image.fromarray(PICTURE).convert(mode)
    photo = decode_photo(saved(image, "TIFF", compression=compression))
    assert difference(photo.rgb, np.asarray(image.convert("RGB"))) <= (30 if compression == "jpeg" else 0)


def test_a_compression_that_nobody_here_reads_is_named() -> None:
    data = bytearray(tiff(PICTURE))
    entry = data.index(struct.pack("<HHI", 259, 3, 1))
    data[entry + 8 : entry + 10] = struct.pack("<H", 34712)  # JPEG 2000
    with pytest.raises(ImageError, match=r"compression \(34712\) is not read here"):
        decode_photo(bytes(data))


def test_cielab_has_its_own_definition() -> None:
    rgb = np.array([[[255, 255, 255], [128, 128, 128], [200, 60, 40], [40, 90, 180]]] * 16, np.uint8).repeat(8, axis=1)
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    xyz = linear @ to_d50(SRGB).T / np.array([0.9642, 1.0, 0.8249])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    lab = np.stack([(116 * f[..., 1] - 16) * 2.55, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    samples = np.round(lab).astype(np.int16).astype(np.uint8)  # a and b have a sign, in two's complement
    assert difference(decode_photo(tiff(samples, tiffs.LAB)).rgb, rgb) <= 4


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    "kind", ["grey 8", "grey 16", "rgb 8", "rgb 16", "rgb 8, alpha", "rgb 16, alpha", "grey 8, alpha", "grey 16, alpha"]
)
def test_a_png_of_any_depth(kind: str, interlaced: bool) -> None:
    samples, _, _, colours, alpha = CONTENTS[kind]
    photo = decode_photo(png(samples, interlaced=interlaced))
    assert difference(photo.rgb, as_codes(np.broadcast_to(colours, PICTURE.shape))) <= 1
    assert (photo.alpha is None) == (alpha is None)
    assert alpha is None or (photo.alpha is not None and np.array_equal(photo.alpha, alpha[..., 0]))


def test_pngs_of_one_bit_and_with_a_transparent_colour() -> None:
    assert difference(decode_photo(png(BILEVEL, bits=1)).rgb, as_codes(BILEVEL * 255).repeat(3, axis=2)) == 0
    key = PICTURE[0, 0]
    for samples, stored in ((PICTURE, key), (deep(PICTURE), deep(key))):
        photo = decode_photo(png(samples, chunks=((b"tRNS", struct.pack(">3H", *stored)),)))
        assert photo.alpha is not None and photo.alpha[0, 0] == 0 and photo.alpha[30, 30] == 255
        assert difference(photo.rgb, PICTURE) <= 1
    photo = decode_photo(png(deep(GREY), chunks=((b"tRNS", struct.pack(">H", 257 * int(GREY[0, 0, 0]))),)))
    assert photo.alpha is not None and np.array_equal(photo.alpha == 0, GREY[..., 0] == GREY[0, 0, 0])


def test_a_palette_with_transparency_keeps_it() -> None:
    indexed = Image.fromarray(PICTURE[..., 0] // 64).convert("P")
    indexed.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30, 30, 30, 200])
    photo = decode_photo(saved(indexed, "PNG", transparency=bytes([0, 100, 255, 255])))
    assert photo.alpha is not None
    levels = PICTURE[..., 0] // 64
    assert np.array_equal(photo.alpha, np.array([0, 100, 255, 255], np.uint8)[levels])
    assert photo.rgb[levels == 1][0].tolist() == [200, 30, 30]


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF", "TIFF"])
def test_alpha_of_other_formats(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {} if kind == "TIFF" else {"quality": 100}
    photo = decode_photo(saved(Image.fromarray(np.dstack([PICTURE, ALPHA])), kind, **options))
    assert photo.alpha is not None
    assert difference(photo.alpha, ALPHA[..., 0]) <= (0 if kind in ("WEBP", "TIFF") else 4)


def test_alpha_that_is_opaque_everywhere_is_none() -> None:
    assert decode_photo(png(np.dstack([PICTURE, np.full_like(GREY, 255)]))).alpha is None


def test_alpha_is_turned_with_its_photo() -> None:
    exif = Image.Exif()
    exif[274] = 8
    photo = decode_photo(saved(Image.fromarray(np.dstack([PICTURE, ALPHA])), "PNG", exif=exif))
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, np.rot90(ALPHA[..., 0])) and np.array_equal(photo.rgb, np.rot90(PICTURE))


@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE_RGB, 2.2), (DISPLAY_P3, 2.2)], ids=["Adobe RGB", "Display P3"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "TIFF 16"])
def test_wide_profiles_become_srgb(primaries: tuple[tuple[float, float], ...], gamma: float, kind: str) -> None:
    codes = np.array([90, 150, 120], np.uint8)
    flat = np.broadcast_to(codes, (16, 16, 3)).copy()
    profile = rgb_profile(primaries, gamma)
    linear = np.linalg.inv(to_d50(SRGB)) @ to_d50(primaries) @ ((codes / 255.0) ** (round(gamma * 256) / 256))
    expected = 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    data = tiff(deep(flat), icc=profile) if kind == "TIFF 16" else saved(Image.fromarray(flat), kind, icc_profile=profile)
    assert np.abs(decode_photo(data).rgb[8, 8] - expected).max() <= 2.5
    assert np.abs(codes - expected).max() > 8


def test_large_blocks_of_profile_and_xmp_are_read() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2, padding=400_000)
    data = saved(Image.fromarray(PICTURE), "JPEG", quality=95, icc_profile=profile, xmp=b"<a>" + b"x" * 60_000 + b"</a>")
    large = rgb_profile(ADOBE_RGB, 2.2, padding=3_000_000)
    lossless = decode_photo(saved(Image.fromarray(PICTURE), "PNG", icc_profile=large)).rgb
    assert difference(lossless, decode_photo(saved(Image.fromarray(PICTURE), "TIFF", icc_profile=large)).rgb) == 0
    small = saved(Image.fromarray(PICTURE), "JPEG", quality=95, icc_profile=rgb_profile(ADOBE_RGB, 2.2))
    assert difference(decode_photo(data).rgb, decode_photo(small).rgb) == 0


def ycck(inks: UInt8Array) -> bytes:
    """A JPEG of inks as Photoshop writes it: YCCK, inverted. Pillow writes CMYK, inverted: its channels are chosen, its mark is changed."""
    luma = np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr"))
    planes = (*np.moveaxis(255 - luma, -1, 0), inks[..., 3])
    stored = Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(plane)) for plane in planes])
    data = bytearray(saved(stored, "JPEG", quality=98, subsampling=0))
    adobe = data.index(b"\xff\xee\0\x0eAdobe")
    assert data[adobe + 15] == 0
    data[adobe + 15] = 2
    return bytes(data)


@pytest.mark.parametrize("transform", ["CMYK", "YCCK"])
@pytest.mark.parametrize("profiled", [False, True])
def test_jpegs_of_print_shops(transform: str, profiled: bool) -> None:
    inks = np.dstack([PICTURE // 2, 255 - PICTURE[..., :1]])
    image = Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(inks, -1, 0)])
    data = ycck(inks) if transform == "YCCK" else saved(image, "JPEG", quality=98)
    expected = image.convert("RGB")
    if profiled:
        profile = cmyk_profile()
        segment = b"ICC_PROFILE\0\x01\x01" + profile
        data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(
            image,
            given,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        assert turned is not None
        assert difference(np.asarray(turned), np.asarray(expected)) > 20
        expected = turned
    assert difference(decode_photo(data).rgb, np.asarray(expected)) <= 12


@pytest.mark.parametrize("kind", ["MPO", "gain map"])
def test_the_first_picture_of_several_is_taken(kind: str) -> None:
    other = Image.fromarray(255 - PICTURE)
    data = saved(Image.fromarray(PICTURE), "MPO", save_all=True, append_images=[other], quality=95)
    if kind == "gain map":  # a plain JPEG and another one behind it, as Ultra HDR has it
        data = saved(Image.fromarray(PICTURE), "JPEG", quality=95) + saved(other.resize((24, 16)), "JPEG")
    assert difference(decode_photo(data).rgb, PICTURE) <= 40


def test_masks_of_sixteen_bits() -> None:
    selected = (BILEVEL * 255).astype(np.uint8)
    for data in (png(deep(selected)), tiff(deep(selected), BLACK_IS_ZERO)):
        assert difference(decode_mask(data), selected[..., 0]) == 0
    assert difference(decode_mask(png(BILEVEL.astype(np.uint16))), selected[..., 0]) == 0
