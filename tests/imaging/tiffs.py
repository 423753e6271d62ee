"""TIFF files of every layout (TIFF 6.0, BigTIFF), written here so that the truth is known and no library's habits are in them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

UINT, INT, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
PLAIN, DEFLATE = 1, 8


def tiff(
    samples: npt.NDArray[Any],
    photometric: int = RGB,
    *,
    extra: Sequence[int] = (),
    planar: bool = False,
    tile: int | None = None,
    big: bool = False,
    order: Literal["<", ">"] = "<",
    compression: int = PLAIN,
    predictor: bool = False,
    bits: int | None = None,
    tags: Mapping[int, tuple[str, Sequence[int]]] = {},
    icc: bytes = b"",
) -> bytes:
    """A file of `samples` [H,W,C] of any number type, as they are; `bits` 1 packs them. `extra` are its ExtraSamples, `tags` more tags."""
    height, width, channels = samples.shape
    kind = FLOAT if samples.dtype.kind == "f" else INT if samples.dtype.kind == "i" else UINT
    depth = bits or samples.dtype.itemsize * 8
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    blocks = []
    for plane in planes:
        if tile is None:
            blocks.append(plane)
            continue
        padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
        blocks += [padded[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
    data = [_encoded(block, order, compression, predictor, depth) for block in blocks]
    word = "Q" if big else "I"
    where, counts = (324, 325) if tile else (273, 279)
    entries: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [depth] * channels),
        259: ("H", [compression]),
        262: ("H", [photometric]),
        277: ("H", [channels]),
        284: ("H", [2 if planar else 1]),
        339: ("H", [kind] * channels),
        where: (word, [0] * len(data)),
        counts: (word, [len(block) for block in data]),
        **({322: ("I", [tile]), 323: ("I", [tile])} if tile else {278: ("I", [height])}),
        **({338: ("H", list(extra))} if extra else {}),
        **({317: ("H", [2])} if predictor else {}),
        **({34675: ("B", list(icc))} if icc else {}),
        **tags,
    }
    size = len(_directory(entries, order, big))
    begin = (16 if big else 8) + size
    entries[where] = (word, [begin + sum(len(block) for block in data[:index]) for index in range(len(data))])
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    return head + _directory(entries, order, big) + b"".join(data)


def _encoded(block: npt.NDArray[Any], order: Literal["<", ">"], compression: int, predictor: bool, depth: int) -> bytes:
    if depth == 1:
        packed = np.packbits(block[..., 0], axis=1).tobytes()
        return zlib.compress(packed) if compression == DEFLATE else packed
    if predictor:
        block = np.concatenate([block[:, :1], np.diff(block, axis=1)], axis=1)
    raw = block.astype(block.dtype.newbyteorder(order)).tobytes()
    return zlib.compress(raw) if compression == DEFLATE else raw


def _directory(entries: Mapping[int, tuple[str, Sequence[int]]], order: str, big: bool) -> bytes:
    types = {"B": 1, "H": 3, "I": 4, "Q": 16}
    entry, inline, word, head = (20, 8, "Q", "Q") if big else (12, 4, "I", "H")
    start = 16 if big else 8
    end = start + struct.calcsize("=" + head) + entry * len(entries) + inline
    body, values = struct.pack(order + head, len(entries)), b""
    for tag, (kind, numbers) in sorted(entries.items()):
        data = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(data) > inline:
            values += b"\0" * (len(values) % 2)
            data, values = struct.pack(order + word, end + len(values)), values + data
        body += struct.pack(order + "HH" + word, tag, types[kind], len(numbers)) + data.ljust(inline, b"\0")
    return body + b"\0" * inline + values
