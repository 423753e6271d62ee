"""Colour spaces that a file names in other ways than by an ICC profile: PNG's chunks, HEIC's and AVIF's code points, a camera's EXIF.

Precedence among PNG's chunks: PNG specification, third edition, 4.3 (https://www.w3.org/TR/png-3/). Code points: ITU-T H.273.
Adobe RGB by EXIF: DCF 2.0 (CIPA DC-009), interoperability index R03.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from respray.contract.errors import ImageError
from respray.imaging.arrays import AnyArray

Point = tuple[float, float]
D65: Point = (0.3127, 0.3290)
DCI_WHITE: Point = (0.314, 0.351)
SRGB: tuple[Point, Point, Point] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB: tuple[Point, Point, Point] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3: tuple[Point, Point, Point] = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT_2020: tuple[Point, Point, Point] = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
ADOBE_GAMMA = 2.19921875
_PRIMARIES = {9: (BT_2020, D65), 11: (P3, DCI_WHITE), 12: (P3, D65)}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_UNSAID = 2
_HDR = {16: "PQ", 18: "HLG"}
# libpng's own threshold: exponents that differ by less are the same.
SAME_GAMMA = 0.05
SRGB_EXPONENT = 2.2
MAX_EXPONENT = 5.0
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SAMPLES = 1024
_CAPTURE, _INTEROPERABILITY, _COLOUR_SPACE = 0x8769, 0xA005, 0xA001


@dataclass(frozen=True)
class ColourSpace:
    """Primaries and white by their CIE x and y; `gamma` is the exponent of its curve, None for sRGB's own."""

    primaries: tuple[Point, Point, Point] = SRGB
    white: Point = D65
    gamma: float | None = None


def said_colours(image: Image.Image, data: bytes) -> ColourSpace | None:
    """The colour space that an opened picture names without a profile; None where it names none, or sRGB.

    Raises:
        ImageError: It is high dynamic range (PQ or HLG), whose codes are no colours of a screen.
    """
    if image.format == "PNG":
        return _of_png(image, data)
    if image.info.get("icc_profile"):
        return None
    if image.format in ("AVIF", "HEIF"):
        primaries, transfer = _boxed_code_points(image, data)
        return _of_code_points(primaries, transfer, str(image.format))
    return ColourSpace(ADOBE_RGB, gamma=ADOBE_GAMMA) if _is_adobe_rgb(image) else None


def _of_png(image: Image.Image, data: bytes) -> ColourSpace | None:
    code_points = _png_code_points(data)
    if code_points is not None:
        return _of_code_points(*code_points, "PNG")
    if image.info.get("icc_profile") or "srgb" in image.info:
        return None
    file_gamma, chromaticity = image.info.get("gamma"), image.info.get("chromaticity")
    exponent = 1.0 / file_gamma if isinstance(file_gamma, float) and file_gamma > 0.0 else SRGB_EXPONENT
    if not 1.0 / MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        exponent = SRGB_EXPONENT
    space = ColourSpace(gamma=None if abs(exponent / SRGB_EXPONENT - 1.0) < SAME_GAMMA else exponent)
    if chromaticity is not None:
        points = tuple((float(x), float(y)) for x, y in zip(chromaticity[::2], chromaticity[1::2], strict=True))
        white, red, green, blue = points
        if _makes_sense((red, green, blue), white):
            space = ColourSpace((red, green, blue), white, SRGB_EXPONENT if space.gamma is None else space.gamma)
            near = np.abs(np.array(points) - np.array((D65, *SRGB))).max() < 0.002
            if near and abs(exponent / SRGB_EXPONENT - 1.0) < SAME_GAMMA:
                return None
    return None if space == ColourSpace() else space


def _png_code_points(data: bytes) -> tuple[int, int] | None:
    """The primaries and the transfer function of a PNG's cICP chunk."""
    at = data.find(b"cICP", 8, max(8, data.find(b"IDAT")))
    return (data[at + 4], data[at + 5]) if at >= 0 and len(data) > at + 5 and data[at - 4 : at] == b"\0\0\0\4" else None


def _boxed_code_points(image: Image.Image, data: bytes) -> tuple[int, int]:
    """Of HEIC and AVIF (ISO/IEC 14496-12, ColourInformationBox): of the primary picture, or of the first that is no HDR version of it."""
    if nclx := image.info.get("nclx_profile"):
        return int(nclx["color_primaries"]), int(nclx["transfer_characteristics"])
    given = [struct.unpack(">HH", found) for found in re.findall(rb"colrnclx(.{4})", data, re.S)]
    found = next((pair for pair in given if pair[1] not in _HDR), given[0] if given else (_UNSAID, _UNSAID))
    return found[0], found[1]


def _of_code_points(primaries: int, transfer: int, kind: str) -> ColourSpace | None:
    if transfer in _HDR:
        raise ImageError(
            f"the {kind} is of high dynamic range ({_HDR[transfer]}), which is not converted here; export it as an ordinary photo"
        )
    given, white = _PRIMARIES.get(primaries, (SRGB, D65))
    space = ColourSpace(given, white, _GAMMAS.get(transfer))
    return None if space == ColourSpace() else space


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether a camera says so: in EXIF's interoperability index, as its colour space can only say that it is not sRGB."""
    try:
        exif = image.getexif()
        space, index = exif.get_ifd(_CAPTURE).get(_COLOUR_SPACE), exif.get_ifd(_INTEROPERABILITY).get(1)
    except Exception:  # a broken EXIF block is no reason to refuse the photo
        return False
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    return space != 1 and (space == 2 or text.rstrip("\0") == "R03")


def _makes_sense(primaries: tuple[Point, Point, Point], white: Point) -> bool:
    columns = np.array([[x, y, 1.0 - x - y] for x, y in primaries])
    return white[1] > 0.0 and all(y > 0.0 for _, y in primaries) and abs(float(np.linalg.det(columns))) > 1e-3


@cache
def profile_of(space: ColourSpace) -> bytes:
    """An ICC profile of a colour space, version 2, three primaries and one curve (ICC.1:2001-04)."""
    columns = _to_d50(space)
    curve = _curve(space.gamma)
    tags = {b"desc": _description(), b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(columns[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, value in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s6H4s", start + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ", 2026, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + _fixed(_D50)
    return head.ljust(128, b"\0") + table + body


def _to_d50(space: ColourSpace) -> AnyArray:
    """Linear RGB -> CIE XYZ under D50, [3,3] (Bradford)."""
    columns, white = np.stack([_of_point(point) for point in space.primaries], axis=1), _of_point(space.white)
    columns = columns * np.linalg.solve(columns, white)
    adapted: AnyArray = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD @ columns
    return adapted


def _of_point(point: Point) -> AnyArray:
    x, y = point
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def _curve(gamma: float | None) -> bytes:
    codes = np.linspace(0.0, 1.0, _SAMPLES)
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4) if gamma is None else codes**gamma
    table: bytes = np.round(light * 65535.0).astype(">u2").tobytes()
    return struct.pack(">4sII", b"curv", 0, _SAMPLES) + table


def _description() -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", 5) + b"said\0" + bytes(78)


def _xyz(value: AnyArray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(value)


def _fixed(value: AnyArray) -> bytes:
    return struct.pack(">3i", *(round(float(part) * 65536.0) for part in value))
