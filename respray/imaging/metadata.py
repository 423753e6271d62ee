"""What of a photo's metadata its outputs keep: read from EXIF, XMP, IPTC and PNG's texts, and never a reason to refuse the photo."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image, IptcImagePlugin

from respray.contract.photo_facts import KeptMetadata
from respray.imaging.exif import (
    ARTIST,
    COPYRIGHT,
    DESCRIPTION,
    EXIF_DIRECTORY,
    HEADER,
    KEPT,
    KEPT_OF_CAPTURE,
    MAX_VALUE,
    RESOLUTION,
    BrokenExifError,
    ExifBlock,
)
from respray.imaging.xmp import BrokenXmpError, kept_xmp

ROUNDING = 0.02
MAX_DPI = 65_535.0  # what a JPEG can say
# IPTC-IIM 4.2, record 2: caption, by-line, copyright notice.
_IPTC = {DESCRIPTION: (2, 120), ARTIST: (2, 80), COPYRIGHT: (2, 116)}
# The PNG specification's keywords.
_PNG_TEXTS = {DESCRIPTION: ("Description", "Title"), ARTIST: ("Author",), COPYRIGHT: ("Copyright",)}


def read_metadata(image: Image.Image, data: bytes, orientation: int) -> tuple[KeptMetadata, tuple[str, ...]]:
    """What outputs keep of a loaded picture's metadata.

    Args:
        image: the picture, loaded: a PNG may say some of it behind its pixels.
        data: its file.
        orientation: the EXIF orientation that is applied to its pixels.

    Returns:
        The metadata, for the upright picture; and warnings about what could not be read.
    """
    warnings: list[str] = []
    block, xmp = ExifBlock.empty(), b""
    try:
        exif = _exif_of(image, data)
        block = ExifBlock.read(exif) if exif else block
    except (BrokenExifError, ValueError) as error:
        warnings.append(f"the photo's EXIF is not kept: {error}")
    try:
        packet = image.info.get("xmp") or b""
        xmp = kept_xmp(packet.encode() if isinstance(packet, str) else bytes(packet)) if packet else b""
    except BrokenXmpError as error:
        warnings.append(f"the photo's XMP is not kept: {error}")
    block = block.with_texts({**_texts(image), **_iptc(image)})
    dpi = _dpi(image.info.get("dpi")) or _dpi(block.dpi)
    if dpi is not None and orientation >= 5:
        dpi = dpi[::-1]
    kept = b"" if block.is_empty and dpi is None else block.to_bytes(dpi)
    return KeptMetadata(exif=kept, xmp=xmp, dpi=dpi), tuple(warnings)


def _exif_of(image: Image.Image, data: bytes) -> bytes:
    if data[:4] in (b"II+\0", b"MM\0+"):
        return _of_big_tiff(image)
    if image.format == "TIFF" or data[:4] in (b"II*\0", b"MM\0*"):
        return data  # a TIFF's own directory is its EXIF
    given = image.info.get("exif") or b""
    hexadecimal = image.info.get("Raw profile type exif")  # as ImageMagick put it into a PNG before there was a chunk for it
    if not given and isinstance(hexadecimal, str):
        given = bytes.fromhex("".join(hexadecimal.split("\n")[3:]))
    return bytes(given).removeprefix(HEADER)


def _of_big_tiff(image: Image.Image) -> bytes:
    """What is kept of a BigTIFF's directory, as a classic one, whose offsets are shorter."""
    copy = Image.Exif()
    try:
        given = image.getexif()
        copy.update({tag: given[tag] for tag in KEPT | RESOLUTION if tag in given})
        capture = given.get_ifd(EXIF_DIRECTORY)
        copy.get_ifd(EXIF_DIRECTORY).update({tag: capture[tag] for tag in KEPT_OF_CAPTURE if tag in capture})
        return copy.tobytes().removeprefix(HEADER)
    except Exception as error:  # Pillow raises many types on values that are none
        raise BrokenExifError(str(error)) from error


def _texts(image: Image.Image) -> dict[int, bytes]:
    """PNG's texts by EXIF tag."""
    texts: dict[Any, Any] = image.info if image.format == "PNG" else {}
    found = {tag: next((texts[name] for name in names if name in texts), None) for tag, names in _PNG_TEXTS.items()}
    return {tag: str(text).encode()[: MAX_VALUE - 1] for tag, text in found.items() if text is not None}


def _iptc(image: Image.Image) -> dict[int, bytes]:
    """IPTC's texts by EXIF tag."""
    if image.format not in ("JPEG", "MPO", "TIFF"):
        return {}
    try:
        given = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    except Exception:  # Pillow's reader raises many types on broken data; this is the third place where an author may stand
        return {}
    found = {tag: given.get(key) for tag, key in _IPTC.items()}
    return {tag: b", ".join(text) if isinstance(text, list) else text for tag, text in found.items() if text is not None}


def _dpi(given: object) -> tuple[float, float] | None:
    """A resolution that makes sense."""
    try:
        across, down = (float(value) for value in given)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    sensible = all(math.isfinite(value) and 1.0 <= value <= MAX_DPI for value in (across, down))
    if not sensible:
        return None
    # PNG says it in pixels per metre, so that 150 becomes 150.01.
    near = [float(round(value)) if abs(value - round(value)) < ROUNDING else round(value, 3) for value in (across, down)]
    return near[0], near[1]
