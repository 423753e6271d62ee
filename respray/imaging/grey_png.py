"""The commonest file of a mask, a PNG of 8-bit grey, inflated but not yet read: ISA-L inflates two to three times as fast as Pillow's zlib.

Whatever is not plainly such a file, whole and in order, is nobody's here: Pillow reads it, or says what is wrong with it.
"""

from __future__ import annotations

import struct

import numpy as np
from isal import isal_zlib

from respray.contract.png_file import SIGNATURE
from respray.imaging.arrays import UInt8Array

# 8 bits of grey, deflate, the five filters, rows in order.
PLAIN = bytes((8, 0, 0, 0, 0))
# They change no pixel of a grey mask. A palette, a transparent grey, EXIF (its orientation), texts (which may hold EXIF) and animations do.
HARMLESS = frozenset((b"pHYs", b"sRGB", b"gAMA", b"cHRM", b"tIME", b"bKGD"))
MAX_FILTER = 4


def stored_rows(data: bytes) -> UInt8Array | None:
    """The rows of a PNG of 8-bit grey as they are stored, uint8 [h,1+w]: each its filter (0 to 4), then what that made of its pixels.

    Args:
        data: the file, whose header has been checked (`contract.photo_file.inspect`): its size bounds what is inflated.

    Returns:
        None for any other file, and for one that is damaged in the least.
    """
    if not data.startswith(SIGNATURE):
        return None
    at, pieces, ended, header = len(SIGNATURE), list[bytes](), False, b""
    while True:
        if at + 12 > len(data):
            return None
        length, kind = struct.unpack_from(">I4s", data, at)
        body, at = data[at + 8 : at + 8 + length], at + 12 + length
        if at > len(data) or isal_zlib.crc32(body, isal_zlib.crc32(kind)) != int.from_bytes(data[at - 4 : at], "big"):
            return None
        if kind == b"IEND":
            break
        if not header:
            if kind != b"IHDR" or len(body) != 13 or body[8:] != PLAIN:
                return None
            header = body
        elif kind == b"IDAT" and not ended:
            pieces.append(body)
        elif kind in HARMLESS:
            ended = bool(pieces)
        else:
            return None
    if not pieces:
        return None
    width, height = struct.unpack(">II", header[:8])
    return _inflated(b"".join(pieces), height, 1 + width)


def _inflated(stream: bytes, rows: int, length: int) -> UInt8Array | None:
    inflater = isal_zlib.decompressobj()
    try:
        # One byte more than there may be: with it the checksum is read, and what is longer is seen.
        raw = inflater.decompress(stream, rows * length + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stubs take it for an instance
        return None
    if len(raw) != rows * length or not inflater.eof:
        return None
    stored = np.frombuffer(raw, np.uint8).reshape(rows, length)
    return stored if int(stored[:, 0].max()) <= MAX_FILTER else None
