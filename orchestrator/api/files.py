"""`/v1/files`: a user's own photos and results, whole or in part."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.api.media_types import BINARY, OCTETS, media_type_of, sniffed
from orchestrator.api.problems import ApiProblem, answers
from orchestrator.api.service import caller_in, service_of
from orchestrator.errors import NotFound
from orchestrator.jobs import keys as job_keys
from orchestrator.storage.threads import OpenedAsync

router = APIRouter(tags=["files"])
FOLDERS = ("inputs", "outputs", "previews", "masks", "photos")
BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_HEADERS: dict[str, Any] = {
    name: {"schema": {"type": "string"}, "description": text}
    for name, text in {
        "ETag": "Changes with the content",
        "Accept-Ranges": "bytes",
        "Content-Disposition": "The file's name",
    }.items()
}
_CONTENT = dict.fromkeys(("image/*", "application/json", OCTETS), BINARY)


@router.api_route(
    "/v1/files/{key:path}",
    methods=["GET"],
    summary="A photo, result, mask or preview by its key",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file", "headers": _HEADERS, "content": _CONTENT},
        206: {"description": "The part of it that Range names", "headers": _HEADERS, "content": _CONTENT},
        304: {"description": "The client has it: If-None-Match"},
        **answers(416, 422),
    },
)
async def get_file(
    request: Request,
    key: Annotated[str, Path(description="The storage key, as a job's items name it.")],
    download: Annotated[bool, Query(description="Have browsers save it in place of showing it.")] = False,
    byte_range: Annotated[str | None, Header(alias="range", description="One range of bytes.")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Files of the caller only; of everybody else's, this says that there are none."""
    user = caller_in(request).user_id
    stack = AsyncExitStack()
    try:
        opened = await stack.enter_async_context(service_of(request).ready.storage.opened(checked_key(key, user)))
    except NotFound:
        raise _missing(key) from None
    streaming = False
    try:
        size, etag = opened.stat.size, f'"{opened.stat.etag}"'
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": disposition(key, download),
            "X-Content-Type-Options": "nosniff",
            # Whatever somebody has stored here, a browser runs nothing of it.
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if if_none_match is not None and matches(if_none_match, etag):
            return Response(status_code=304, headers=headers)
        part = parse_range(byte_range, size) if byte_range is not None and (if_range is None or if_range == etag) else None
        start, end = part or (0, size)
        if part is not None and start >= end:
            detail = f"Range {str(byte_range)[:80]!r} is outside of the {size} bytes"
            raise ApiProblem(416, detail, "range", headers={"Content-Range": f"bytes */{size}"})
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - start)
        media_type = media_type_of(key)
        if media_type == OCTETS and key.endswith("/original"):
            media_type = sniffed(await opened.read(0, 16))  # a photo that was sent is named by its digest alone
            headers["Content-Disposition"] = f'{"attachment" if download or media_type == OCTETS else "inline"}; filename="original"'
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=media_type)
        streaming = True
        return FileResponse(stack, _parts(opened, start, end), status, headers, media_type)
    finally:
        if not streaming:
            await stack.aclose()


@router.head("/v1/files/{key:path}", include_in_schema=False)
async def head_file(request: Request, key: str, download: bool = False, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """What GET would answer for the whole file (RFC 9110, 14.2: Range is for GET only), without the content."""
    return await get_file(request, key, download, None, None, if_none_match)


def checked_key(key: str, user_id: str) -> str:
    """The key, where it is one of the user's files. Raises ApiProblem as if there was nothing otherwise."""
    folder = key.partition("/")[0]
    # Records beside the results are the worker's own; the manifest tells what is in them.
    if folder not in FOLDERS or job_keys.key_problem(key, f"{folder}/{user_id}/") or "/manifest/" in key:
        raise _missing(key)
    return key


def disposition(key: str, download: bool) -> str:
    """Content-Disposition (RFC 6266)."""
    name = key.rsplit("/", 1)[-1]
    kind = "attachment" if download or media_type_of(key) == OCTETS else "inline"
    if re.fullmatch(r"[A-Za-z0-9._ -]+", name):
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"


def matches(header: str, etag: str) -> bool:
    """Whether If-None-Match names this ETag (RFC 9110, 13.1.2: the weak comparison)."""
    return header.strip() == "*" or etag in [part.strip().removeprefix("W/") for part in header.split(",")]


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The (start, end) of one range of bytes, end excluded; start >= end where it cannot be satisfied.

    None for what is no single range: RFC 9110, 14.2, lets a server answer that with the whole.
    """
    found = _RANGE.fullmatch(header.strip().replace(" ", ""))
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _missing(key: str) -> ApiProblem:
    return ApiProblem(404, f"there is no file {key[:200]!r} of this user", "not_found")


class FileResponse(StreamingResponse):
    """Lets go of the file also where the caller has gone before its first byte: parts that nobody asks for close nothing."""

    def __init__(self, held: AsyncExitStack, parts: AsyncIterator[bytes], status: int, headers: dict[str, str], media_type: str) -> None:
        super().__init__(parts, status, headers, media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or find that the caller has gone."""
        async with self._held:
            await super().__call__(scope, receive, send)


async def _parts(opened: OpenedAsync, start: int, end: int) -> AsyncIterator[bytes]:
    for position in range(start, end, BLOCK):
        yield await opened.read(position, min(BLOCK, end - position))
