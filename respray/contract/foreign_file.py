"""What a file is that is no photo, by its first bytes: whoever sent it is told its name and what to send in its place."""

from __future__ import annotations

import base64
import binascii
import re

PHOTO_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"RIFF": "WebP"}
_EXPORT = "export it as JPEG or PNG"
_AN_ANSWER = "the answer of a server was stored in place of the photo"
# Signatures at their offsets, what they are, and what to do about it.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\xff\x0a", "a JPEG XL", _EXPORT),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL", _EXPORT),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000", _EXPORT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000", _EXPORT),
    (0, b"II\xbc\x01", "a JPEG XR", _EXPORT),
    (0, b"8BPS", "a Photoshop document", _EXPORT),
    (0, b"gimp xcf", "a GIMP document", _EXPORT),
    (0, b"%PDF", "a PDF", _EXPORT),
    (0, b"%!PS", "a PostScript file", _EXPORT),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file", _EXPORT),
    (0, b"v/1\x01", "an OpenEXR picture", _EXPORT),
    (0, b"#?RADIANCE", "a Radiance HDR picture", _EXPORT),
    (0, b"#?RGBE", "a Radiance HDR picture", _EXPORT),
    (0, b"qoif", "a QOI picture", _EXPORT),
    (0, b"DDS ", "a DirectDraw texture", _EXPORT),
    (0, b"\0\0\x01\0", "an icon", _EXPORT),
    (0, b"\x1aE\xdf\xa3", "a film (Matroska or WebM)", "send a still picture"),
    (8, b"AVI ", "a film (AVI)", "send a still picture"),
    (0, b"PK\x03\x04", "a ZIP archive", "send the picture in it"),
    (0, b"Rar!", "a RAR archive", "send the picture in it"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive", "send the picture in it"),
    (0, b"\x1f\x8b", "a file compressed with gzip", "store the picture as it is"),
    (0, b"\x93NUMPY", "a NumPy array", "save it as PNG"),
    (0, b"\x89HDF", "an HDF5 file", "save it as PNG"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "send the file that it points to"),
)
# Whole signatures of what is read here.
_HEADS = {rb"\x89PNG\r\n\x1a\n": "PNG", rb"RIFF....WEBP": "WebP", rb"GIF8[79]a": "GIF"}
# ISO base media (ISO/IEC 14496-12): brands of films, by the four letters behind "ftyp".
_FILMS = re.compile(rb"isom|iso[2-9]|mp4[12v]|qt  |M4V |avc1|3gp[4-9]|dash|MSNV")
_MARKUP = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.I)
_NOT_OURS = b"\xef\xbb\xbf \t\r\n"
SEEN = 4096


def foreign_name(data: bytes) -> tuple[str, str] | None:
    """What a file is that no decoder here opens, and what its sender can do; None where nobody knows."""
    for at, signature, name, remedy in _SIGNATURES:
        if data.startswith(signature, at):
            return name, remedy
    if data[4:8] == b"ftyp":
        return _boxed(data)
    head = data[:SEEN]
    text = head.lstrip(_NOT_OURS)
    if _MARKUP.match(text):
        return "an HTML page", _AN_ANSWER
    if text.startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg")):
        return ("an SVG drawing", _EXPORT) if b"<svg" in text else ("an XML document", _AN_ANSWER)
    if text[:1] in (b"{", b"["):
        return "JSON", _AN_ANSWER
    if text[:5] == b"data:" or _is_base64_of_a_photo(text):
        return "a picture as base64 text", "store the picture's bytes, or send the text as input_base64"
    for start, name in PHOTO_STARTS.items():
        if 0 < (at := head.find(start)) <= 1024:
            return f"a {name} that begins at byte {at}", "something wrote what is before it; store the picture's own bytes"
    if head.startswith(b"\xef\xbf\xbd") or head.startswith((b"\xc3\xbf\xc3\x98", b"\xc2\x89PNG")):
        return "a picture that was stored as text, which has destroyed it", "upload it as binary data"
    for start, name in _HEADS.items():
        if re.match(start, data, re.S):
            return f"a {name} whose header is truncated or corrupt", "the whole file is needed"
    if data.startswith(b"\x89PNG"):
        return "a PNG whose line ends were changed, which has destroyed it", "upload it as binary data"
    if not head.strip(b"\0"):
        return "nothing but zeros", "its upload was not finished"
    return None


def _boxed(data: bytes) -> tuple[str, str]:
    brand = data[8:12]
    if _FILMS.fullmatch(brand):
        return "a film (MP4 or QuickTime)", "send a still picture"
    if brand in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"heim"):
        return f"{'an AVIF' if brand[:3] == b'avi' else 'a HEIC'} that is truncated or corrupt", "the whole file is needed"
    return f"a file of the kind {brand.decode('ascii', 'replace')!r}", _EXPORT


def _is_base64_of_a_photo(text: bytes) -> bool:
    try:
        start = base64.b64decode(text[:64], validate=True)
    except (binascii.Error, ValueError):
        return False
    return start.startswith((*PHOTO_STARTS, b"II*\0", b"MM\0*")) or start[4:8] == b"ftyp"
