"""Colours that a file explains without an ICC profile come out as its maker saw them; what is no screen's colour is refused."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.imaging.decode import decode_photo
from tests.imaging.makers import ADOBE_RGB, DISPLAY_P3, SRGB, png, rgb_profile, to_d50
from tests.imaging.test_senders_files import picture

BT_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
# Colours that every space here holds.
SEEN = (np.asarray(picture()).astype(float) * 0.5 + 64).round().astype(np.uint8)


def light(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    share = codes / 255.0
    linear: npt.NDArray[np.float64] = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear


def stored(primaries: tuple[tuple[float, float], ...], gamma: float | None, top: int = 255) -> npt.NDArray[np.uint16]:
    """SEEN in another space; gamma None is sRGB's curve."""
    linear = np.clip(light(SEEN) @ (np.linalg.inv(to_d50(primaries)) @ to_d50(SRGB)).T, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    codes: npt.NDArray[np.uint16] = np.round((srgb if gamma is None else linear ** (1 / gamma)) * top).astype(np.uint16)
    return codes


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(100_000 / gamma))


def chrm(primaries: tuple[tuple[float, float], ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(v * 100_000) for point in ((0.3127, 0.329), *primaries) for v in point))


def cicp(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes((primaries, transfer, 0, 1))


PNGS: dict[str, tuple[npt.NDArray[Any], tuple[tuple[bytes, bytes], ...]]] = {
    "gAMA and cHRM of Adobe RGB": (stored(ADOBE_RGB, 2.2), (gama(2.2), chrm(ADOBE_RGB))),
    "gAMA of an old Mac": (stored(SRGB, 1.8), (gama(1.8),)),
    "gAMA 1: a renderer's linear light": (stored(SRGB, 1.0, 65535), (gama(1.0),)),
    "cHRM alone": (stored(DISPLAY_P3, 2.2), (chrm(DISPLAY_P3),)),
    "cICP of Display P3": (stored(DISPLAY_P3, None), (cicp(12, 13),)),
    "cICP of BT.2020 with sRGB's curve, above a profile of another": (stored(BT_2020, None), (cicp(9, 13), gama(1.0))),
    "sRGB above gAMA": (SEEN, ((b"sRGB", b"\0"), gama(1.0))),
    "gAMA and cHRM that mean sRGB": (SEEN, (gama(2.2), chrm(SRGB))),
    "gAMA of nothing": (SEEN, ((b"gAMA", bytes(4)),)),
    "cHRM of nothing": (SEEN, ((b"cHRM", bytes(32)),)),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_is_seen_as_its_chunks_say(name: str) -> None:
    codes, chunks = PNGS[name]
    data = png(codes if codes.max() > 255 else codes.astype(np.uint8), chunks=chunks)
    difference = np.abs(decode_photo(data).rgb.astype(int) - SEEN)
    assert difference.max() <= (0 if codes is SEEN else 3), difference.max()


def test_grey_and_alpha_are_seen_so_too() -> None:
    linear = np.round(light(SEEN[..., :1]) * 65535).astype(np.uint16)
    alpha = np.full_like(linear, 65535)
    alpha[:, :9] = 0
    photo = decode_photo(png(np.dstack([linear, alpha]), chunks=(gama(1.0),)))
    assert np.abs(photo.rgb.astype(int) - SEEN[..., :1]).max() <= 4
    assert photo.alpha is not None and (photo.alpha == alpha[..., 0] >> 8).all()


def adobe_exif(space: int, index: bytes) -> bytes:
    """What a camera writes in its Adobe RGB mode: an EXIF directory, and in it one of interoperability."""
    end = bytes(4)
    first = struct.pack("<HHHII", 1, 0x8769, 4, 1, 26) + end
    capture = struct.pack("<HHHIHHHHII", 2, 0xA001, 3, 1, space, 0, 0xA005, 4, 1, 56) + end
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + capture + struct.pack("<HHHI4s", 1, 1, 2, 4, index) + end


@pytest.mark.parametrize(
    ("space", "index", "adobe"), [(65535, b"R03\0", True), (65535, b"R98\0", False), (1, b"R03\0", False), (2, b"R98\0", True)]
)
@pytest.mark.parametrize("profile", [False, True])
def test_a_cameras_adobe_rgb_is_understood_unless_a_profile_says_otherwise(space: int, index: bytes, adobe: bool, profile: bool) -> None:
    codes = SEEN if profile or not adobe else stored(ADOBE_RGB, 2.19921875)
    stream = io.BytesIO()
    options = {"icc_profile": rgb_profile(SRGB, 2.2)} if profile else {}
    Image.fromarray(codes.astype(np.uint8)).save(stream, "JPEG", quality=100, subsampling=0, exif=adobe_exif(space, index), **options)
    assert np.abs(decode_photo(stream.getvalue()).rgb.astype(int) - SEEN).max() <= 8


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_its_name(transfer: int, name: str) -> None:
    with pytest.raises(ImageError, match=rf"the PNG is of high dynamic range \({name}\), which is not converted here"):
        decode_photo(png(SEEN, chunks=(cicp(9, transfer),)))
    stream = io.BytesIO()
    Image.fromarray(SEEN).save(stream, "AVIF", quality=100)
    avif = stream.getvalue()
    at = avif.index(b"colrnclx") + 8
    changed = avif[:at] + struct.pack(">HH", 9, transfer) + avif[at + 4 :]
    with pytest.raises(ImageError, match=rf"the AVIF is of high dynamic range \({name}\)"):
        decode_photo(changed)


def test_an_avif_of_display_p3_without_a_profile() -> None:
    stream = io.BytesIO()
    Image.fromarray(stored(DISPLAY_P3, None).astype(np.uint8)).save(stream, "AVIF", quality=100, subsampling="4:4:4")
    avif = stream.getvalue()
    at = avif.index(b"colrnclx") + 8
    assert np.abs(decode_photo(avif[:at] + struct.pack(">HH", 12, 13) + avif[at + 4 :]).rgb.astype(int) - SEEN).max() <= 6


@pytest.mark.parametrize("inverted", [False, True])
def test_a_cmyk_jpeg_without_adobes_mark_says_how_it_was_taken(inverted: bool) -> None:
    inks = Image.fromarray(SEEN).convert("CMYK")
    stream = io.BytesIO()
    (inks if inverted else Image.fromarray(255 - np.asarray(inks), "CMYK")).save(
        stream, "JPEG", quality=100, subsampling=0
    )  # Pillow inverts
    jpeg = stream.getvalue()
    at = jpeg.index(b"\xff\xee")
    unmarked = jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]
    photo = decode_photo(unmarked)
    assert np.abs(photo.rgb.astype(int) - SEEN).max() <= 6
    kind = "inverted, as Adobe's are" if inverted else "plain"
    assert photo.facts.warnings == (f"the CMYK JPEG does not say how its inks are stored; they were taken as {kind}",)
    assert decode_photo(jpeg).facts.warnings == ()
