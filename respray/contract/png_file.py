"""A PNG's chunks, walked without decoding a pixel: what no reader needs, and a decoder would stumble over, is left out."""

from __future__ import annotations

import zlib
from itertools import pairwise

from respray.contract.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# libpng writes pixels in chunks of 8 KB: 16,384 of them for the largest file that is accepted.
MAX_CHUNKS = 65_536
MAX_TEXT = 8 << 20
"""Bytes of one text or colour profile, unpacked. Profiles of printers have up to 3 MB, XMP of phones with a depth map up to 5."""
MAX_TEXTS = 48 << 20
"""Bytes of all of them together."""
_ANCILLARY = 0x20
"""The bit of a kind's first letter that makes it a small one (PNG specification, chunk naming conventions)."""
_PACKED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_TEXTS = _PACKED | {b"tEXt"}


def without_useless_chunks(data: bytes) -> bytes:
    """A PNG without texts and profiles that are too large to be of use, and without ancillary chunks whose checksum is wrong.

    Viewers pass over the latter, too (libpng's default, `png_set_crc_action`); Pillow refuses the file. `data` itself where there are none
    of them, and for other formats.

    Raises:
        ImageError: More than MAX_CHUNKS chunks.
    """
    if not data.startswith(SIGNATURE):
        return data
    dropped: list[tuple[int, int]] = []
    position, chunks, texts = len(SIGNATURE), 0, 0
    while position + 12 <= len(data):
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise ImageError(f"the PNG has more than {MAX_CHUNKS} blocks; save it again")
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if kind in _TEXTS:
            size = _unpacked(kind, data[position + 8 : end - 4])
            if size > MAX_TEXT or texts + size > MAX_TEXTS:
                dropped.append((position, end))
            texts += min(size, MAX_TEXT)  # also of what is dropped: looking at it was the work
            if texts > MAX_TEXTS + MAX_TEXT:
                raise ImageError(f"the PNG has more than {MAX_TEXTS >> 20} MiB of texts; save it again without its metadata")
        if kind[0] & _ANCILLARY and (position, end) not in dropped[-1:] and _is_damaged(data, position, end):
            dropped.append((position, end))
        if kind == b"IEND":
            break
        position = end
    if not dropped:
        return data
    edges = [(0, 0), *dropped, (len(data), len(data))]
    return b"".join(data[before[1] : after[0]] for before, after in pairwise(edges))


def _is_damaged(data: bytes, position: int, end: int) -> bool:
    return end <= len(data) and zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big")


def _unpacked(kind: bytes, body: bytes) -> int:
    """How large a text is, or more than MAX_TEXT where it is larger."""
    if kind not in _PACKED:
        return len(body)
    key, _, rest = body.partition(b"\0")
    if kind == b"iTXt":
        if rest[:1] in (b"", b"\0"):
            return len(body)
        _, _, rest = rest[2:].partition(b"\0")  # language
        _, _, packed = rest.partition(b"\0")  # translated keyword
    else:
        packed = rest[1:]
    try:
        return len(key) + len(zlib.decompressobj().decompress(packed, MAX_TEXT + 1))
    except zlib.error:
        return len(body)
