"""A JPEG's markers, walked without decoding a pixel: how much work the file asks of a decoder beyond its size."""

from __future__ import annotations

import re

from respray.contract.errors import ImageError

# libjpeg's own progressive script writes 10 scans, and optimising encoders about as many. Each scan passes over every pixel.
MAX_SCANS = 64
# An ICC profile has at most 255 segments; extended XMP (depth maps, further views) has one per 64 KB.
MAX_SEGMENTS = 1_024
# In entropy-coded data FF is followed by 00, by a restart marker or by another FF.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_START, _END, _SCAN, _STANDALONE = 0xD8, 0xD9, 0xDA, frozenset({0x01, 0xD8})
_SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # ITU-T T.81, table B.1
_JPEG_LS = 0xF7


def check_jpeg(data: bytes) -> None:
    """Count scans and segments up to the end marker, or up to the only scan of a baseline photo, where decoders stop as well.

    Raises:
        ImageError: More than MAX_SCANS scans or MAX_SEGMENTS segments.
    """
    scans = segments = components = 0
    position = 2
    while marker := _MARKER.search(data, position):
        code, position = data[marker.start() + 1], marker.end()
        if code == _END:
            return
        if code in _STANDALONE:
            continue
        segments += 1
        if segments - scans > MAX_SEGMENTS:
            raise ImageError(f"the JPEG has more than {MAX_SEGMENTS} blocks of metadata and tables; save it again without its metadata")
        if code in _SEQUENTIAL_FRAMES:
            components = data[position + 7] if position + 7 < len(data) else 0
        if code == _SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError(f"the JPEG has more than {MAX_SCANS} scans; save it again as a baseline JPEG")
            if components and data[position + 2 : position + 3] == bytes([components]):
                return
        position += int.from_bytes(data[position : position + 2], "big")


def scan_data(data: bytes) -> tuple[int, int]:
    """Where a JPEG's first scan begins and its end marker stands, as offsets; (0, 0) where one of them is missing."""
    begin = position = 2
    while marker := _MARKER.search(data, position):
        code, position = data[marker.start() + 1], marker.end()
        if code == _END:
            return (begin, marker.start()) if begin > 2 else (0, 0)
        if code in _STANDALONE:
            continue
        position += int.from_bytes(data[position : position + 2], "big")
        if code == _SCAN and begin == 2:
            begin = position
    return 0, 0


def restarts(data: bytes, begin: int, end: int) -> list[int]:
    """The numbers of the restart markers in a stretch of entropy-coded data, 0 to 7; none where there are several scans."""
    if _MARKER.search(data, begin, end):
        return []
    return [data[marker.start() + 1] & 7 for marker in _RESTART.finditer(data, begin, end)]


def unread_jpeg(data: bytes) -> str:
    """Why no decoder here opens a file that starts as JPEG does, in a sentence."""
    position = 2
    while marker := _MARKER.search(data, position):
        code, position = data[marker.start() + 1], marker.end()
        if code == _JPEG_LS:
            return "the file is a JPEG-LS, which is not read here; save it as a baseline JPEG or a PNG"
        if code in _FRAMES and position + 8 <= len(data):
            bits, channels = data[position + 2], data[position + 7]
            if data[position + 3 : position + 5] == b"\0\0":
                return "the JPEG says its height behind its first scan only, which is not read here; save it as a baseline JPEG or a PNG"
            how = f"{channels} channel{'s' * (channels != 1)} of {bits} bits" + (" by arithmetic coding" if code > 0xC8 else "")
            return f"the JPEG has {how}, which is not read here; save it as a baseline JPEG of 8 bits or a PNG"
        if code in (_SCAN, _END):
            break
        position += int.from_bytes(data[position : position + 2], "big")
    return "the JPEG's header is truncated or corrupt; the whole file is needed"
