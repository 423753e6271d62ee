"""PNG files of every kind and ICC profiles, written here so that the truth is known."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

# Adam7: first column and row of each pass, and their steps.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def png(
    samples: npt.NDArray[Any], *, bits: int | None = None, interlaced: bool = False, chunks: tuple[tuple[bytes, bytes], ...] = ()
) -> bytes:
    """A PNG of `samples` [H,W,C], uint8 or uint16; `bits` 1 packs one channel of 0 and 1."""
    height, width, channels = samples.shape
    depth = bits or samples.dtype.itemsize * 8
    passes = [samples[y::down, x::across] for x, y, across, down in ADAM7] if interlaced else [samples]
    rows = b"".join(b"\0" + _row(row, depth) for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, COLOUR_TYPES[channels], 0, 0, int(interlaced))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)


def _row(row: npt.NDArray[Any], depth: int) -> bytes:
    return np.packbits(row[:, 0]).tobytes() if depth == 1 else row.astype(row.dtype.newbyteorder(">")).tobytes()


def to_d50(primaries: tuple[tuple[float, float], ...]) -> npt.NDArray[np.float64]:
    """Linear RGB of these primaries under D65 -> CIE XYZ under D50 (Bradford), [3,3]."""
    columns = np.stack([_xyz(x, y) for x, y in primaries], axis=1)
    white = _xyz(*D65)
    columns = columns * np.linalg.solve(columns, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    adapted: npt.NDArray[np.float64] = np.linalg.inv(bradford) @ np.diag((bradford @ D50) / (bradford @ white)) @ bradford @ columns
    return adapted


def _xyz(x: float, y: float) -> npt.NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def rgb_profile(primaries: tuple[tuple[float, float], ...], gamma: float, padding: int = 0) -> bytes:
    """An ICC v2 matrix profile; `padding` bytes of a private tag."""
    columns = to_d50(primaries)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"wtpt": _xyz_tag(D50), b"rXYZ": _xyz_tag(columns[:, 0]), b"gXYZ": _xyz_tag(columns[:, 1]), b"bXYZ": _xyz_tag(columns[:, 2])}
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    if padding:
        tags[b"PrvT"] = b"data\0\0\0\0\0\0\0\1" + bytes(np.random.default_rng(0).integers(0, 256, padding, np.uint8))
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """A press of our own: Lab of the 16 combinations of full inks, linear between them (lut16, ICC.1:2010 10.8)."""
    nodes = []
    for corner in range(16):  # the last ink varies fastest
        cyan, magenta, yellow, black = ((corner >> shift) & 1 for shift in (3, 2, 1, 0))
        light = 95 * (1 - 0.4 * cyan) * (1 - 0.45 * magenta) * (1 - 0.1 * yellow) * (1 - 0.8 * black)
        chroma = 1 - 0.8 * black
        a, b = chroma * (-35 * cyan + 70 * magenta), chroma * (-45 * cyan - 5 * magenta + 85 * yellow)
        nodes += [round(light * 652.8), round((a + 128) * 256), round((b + 128) * 256)]
    identity = struct.pack(">2H", 0, 65535)
    matrix = struct.pack(">9i", *(round(value * 65536) for value in np.eye(3).ravel()))
    head = b"mft2\0\0\0\0" + struct.pack(">BBBB", 4, 3, 2, 0) + matrix + struct.pack(">HH", 2, 2)
    table = head + identity * 4 + struct.pack(">48H", *nodes) + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz_tag(D50), b"A2B0": table, b"A2B1": table})


def _xyz_tag(value: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(part) * 65536) for part in value))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    every = {b"desc": description, b"cprt": b"text\0\0\0\0public domain\0", **tags}
    table, body, start = struct.pack(">I", len(every)), b"", 132 + 12 * len(every)
    for signature, data in every.items():
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s6H4s", size, b"test", 0x02100000, kind, space, connection, 2026, 1, 1, 0, 0, 0, b"acsp").ljust(68, b"\0")
    head += struct.pack(">3i", *(round(float(part) * 65536) for part in D50))
    return head.ljust(128, b"\0") + table + body
