"""Files that stay as they are while the server runs, packed once for slow lines.

Answers with what a user has sent are not packed: their length would tell what else is in them (BREACH). Pictures are packed already.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256

from fastapi import Request, Response

from orchestrator.api.files import matches


def static_answer(request: Request, data: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """A file, packed for whoever takes gzip, or 304 for whoever has it. Each form has an ETag of its own (RFC 9110, 8.8.3.3).

    Args:
        request: Asks for it.
        data: The file; the same object each time.
        media_type: Of what is in it.
        headers: To be sent as well.
    """
    packed = _packed(data)
    is_packed = len(packed) < len(data) and takes_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{_digest(data)}{"-gzip" if is_packed else ""}"'
    found = {**headers, "ETag": etag, "Vary": "Accept-Encoding"}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=found)
    if is_packed:
        found["Content-Encoding"] = "gzip"
    return Response(packed if is_packed else data, media_type=media_type, headers=found)


def takes_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding allows gzip (RFC 9110, 12.5.3): named, or as `*`, and not with `q=0`."""
    codings = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        codings[name.strip()] = not weight or weight.replace(" ", "").removeprefix("q=").strip("0.") != ""
    return codings.get("gzip", codings.get("*", False))


@cache
def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]


@cache
def _packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
