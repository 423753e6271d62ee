"""Metadata and colour profile of a JPEG that OpenCV has written: its density, and segments behind its first one."""

from __future__ import annotations

import struct
from functools import cache

from PIL import ImageCms

from respray.contract.photo_facts import KeptMetadata
from respray.imaging.exif import HEADER

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0\x01\x01"  # the first of one
_JFIF = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
_PER_INCH = 1
# An ICC header's time of creation (bytes 24 to 35): with the moment in it, the same photo would make another file every second.
_CREATED = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)


@cache
def srgb_profile() -> bytes:
    """LittleCMS's sRGB profile (588 bytes), always the same."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + _CREATED + profile[36:]


def with_metadata(jpeg: bytes, metadata: KeptMetadata, *, colour: bool) -> bytes:
    """A JPEG file with its resolution, EXIF and XMP, and, where it is in colour, its profile. JFIF 1.02 wants its own segment first."""
    if not jpeg.startswith(_JFIF):
        raise ValueError("the encoder wrote no JFIF segment")
    head = bytearray(jpeg[:20])
    if metadata.dpi is not None:
        head[13:18] = struct.pack(">BHH", _PER_INCH, *(round(value) for value in metadata.dpi))
    parts = [bytes(head)]
    if metadata.exif:
        parts.append(_segment(0xE1, HEADER + metadata.exif))
    if metadata.xmp:
        parts.append(_segment(0xE1, _XMP + metadata.xmp))
    if colour:
        parts.append(_segment(0xE2, _ICC + srgb_profile()))
    return b"".join((*parts, jpeg[20:]))


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
