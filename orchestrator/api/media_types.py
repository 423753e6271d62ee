"""Media types: what a request says of its body, what a key or a file's first bytes say of a file."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from orchestrator.api.problems import ApiProblem

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "heic": "image/heic",
    "json": "application/json",
}
OCTETS = "application/octet-stream"
MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n": "image/png",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM": "image/bmp",
}
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
"""A file in the description of an answer (OpenAPI)."""


def sent_media_type(request: Request) -> str:
    """What Content-Type says, in small letters and without parameters; "" where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, accepted_type: str, *others: str) -> None:
    """Raise ApiProblem for a body of another media type; `others` are accepted, too, and were looked for by the caller."""
    given = sent_media_type(request)
    if given != accepted_type:
        hint = "; with curl: --json @job.json" if accepted_type == "application/json" else "; with curl: -F photo=@photo.jpg"
        what = f"Content-Type {given[:80]!r} is not accepted here" if given else "Content-Type is missing"
        raise ApiProblem(415, f"{what}; accepted is {' or '.join((accepted_type, *others))}{hint}", "media_type")


def media_type_of(key: str) -> str:
    """What a key's extension says its content is; nothing that a browser would run."""
    return MEDIA_TYPES.get(key.rsplit(".", 1)[-1].lower(), OCTETS)


def sniffed(start: bytes) -> str:
    """The media type of a photo by its first bytes; nothing that a browser would run."""
    if start[4:8] == b"ftyp":
        return "image/avif" if start[8:12] in (b"avif", b"avis") else "image/heic"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in MAGIC.items() if start.startswith(magic)), OCTETS)
