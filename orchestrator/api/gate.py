"""What every request passes first: who calls, from where, how much is under way already, how large its body is and how slowly it comes.

Without keys the interface is for programs and pages of this machine. A page from elsewhere that is open in a browser here can reach it,
too: under a name of its own that it lets point to 127.0.0.1 (DNS rebinding), which the Host header tells, or by a request across origins,
which Origin and Sec-Fetch-Site tell.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping, Sequence
from statistics import median

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.keys import LOCAL_USER, Caller, caller_of
from orchestrator.api.problems import ApiProblem
from orchestrator.api.service import ApiService
from orchestrator.errors import megabytes
from orchestrator.jobs import limits

log = logging.getLogger(__name__)

GUARDED = "/v1/"
"""Addresses that need a key; the others tell nothing of anybody."""
FORM_OVERHEAD = 64 << 10
MAX_FORM_BYTES = limits.MAX_PHOTO_BYTES + limits.MAX_MESSAGE_BYTES + FORM_OVERHEAD
BODY_LIMITS: Mapping[str, int] = {"/v1/edits": MAX_FORM_BYTES, "/v1/photos": MAX_FORM_BYTES}
MAX_UPLOADS_BYTES = 4 << 30
"""Bodies that may be on their way in at the same time, in bytes; they are spooled to disk, not held in memory."""
TOTAL_SECONDS = 3600.0
"""Of one request and its answer, whatever it is; a stream of events is taken up again by its client."""
MAX_PATIENCE_SECONDS = 30
SAFE_FETCH_SITES = ("same-origin", "none")


class Gate:
    """ASGI middleware in front of the routes."""

    def __init__(self, app: ASGIApp, service: ApiService) -> None:
        self._app, self._service = app, service
        self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = self._admit(str(scope["path"]), headers)
            size = _body_size(scope, headers)
            self._count(caller, size)
        except ApiProblem as problem:
            await problem.response()(scope, receive, send)
            return
        began = asyncio.get_running_loop().time()
        if caller is not None:
            scope.setdefault("state", {})["caller"] = caller
            self._service.under_way[caller.name].append(began)
        self._uploading += size
        body = _Body(receive, _limit(str(scope["path"])), self._service.settings.api_idle, self._service.settings.api_timeout)
        try:
            async with asyncio.timeout(TOTAL_SECONDS) as limit:
                await self._app(scope, body.receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            log.warning("%s %s took more than %g s and was ended", scope["method"], scope["path"], TOTAL_SECONDS)
        finally:
            self._uploading -= size
            if caller is not None:
                self._service.under_way[caller.name].remove(began)

    def _admit(self, path: str, headers: Headers) -> Caller | None:
        """Who calls; None for addresses that are open to everybody. Raises ApiProblem."""
        if self._service.open_to_all:
            _check_local(path, headers)
        if not path.startswith(GUARDED):
            return None
        if self._service.open_to_all:
            return Caller(LOCAL_USER, LOCAL_USER)
        caller = caller_of(headers.get("authorization"), self._service.keys)
        if caller is None:
            given = "the key that was sent is not known" if "authorization" in headers else "no key was sent"
            detail = f"{given}; accepted is 'Authorization: Bearer KEY' with a key of this server"
            raise ApiProblem(401, detail, "key", headers={"WWW-Authenticate": 'Bearer realm="respray"'})
        return caller

    def _count(self, caller: Caller | None, size: int) -> None:
        most = self._service.settings.api_requests
        under_way = self._service.under_way[caller.name] if caller is not None else []
        if len(under_way) >= most:
            detail = f"{most} requests of this key are under way, and no more are accepted at the same time"
            raise ApiProblem(429, detail, "busy", headers={"Retry-After": str(_patience(under_way))})
        if size and self._uploading + size > MAX_UPLOADS_BYTES:
            raise ApiProblem(429, "too many uploads are under way at the same time", "busy")


def _patience(under_way: Sequence[float]) -> int:
    """Seconds after which to come again: as long as most of what is under way has taken already.

    So what takes longer is asked for less often, and whoever keeps to it needs few tries however long it takes.
    """
    return min(MAX_PATIENCE_SECONDS, max(1, round(asyncio.get_running_loop().time() - median(under_way))))


class _Body:
    """A request's body, no larger and no slower than is accepted."""

    def __init__(self, receive: Receive, limit: int, idle: float, total: float) -> None:
        self._receive, self._limit, self._idle, self._total = receive, limit, idle, total
        self._size, self._done, self._deadline = 0, False, 0.0

    async def receive(self) -> Message:
        """The next part. Raises ApiProblem."""
        if self._done:
            return await self._receive()  # waits for the client to go away
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self._total
        try:
            message = await asyncio.wait_for(self._receive(), min(self._idle, max(0.001, self._deadline - now)))
        except TimeoutError:
            self._done = True
            detail = f"the body did not come; accepted are pauses of up to {self._idle:g} s and {self._total:g} s for all of it"
            raise ApiProblem(408, detail, "slow", headers={"Connection": "close"}) from None
        self._size += len(message.get("body", b""))
        self._done = message["type"] != "http.request" or not message.get("more_body", False)
        if self._size > self._limit:
            raise _too_large(self._limit)
        return message


def _check_local(path: str, headers: Headers) -> None:
    """Raise ApiProblem for what did not come from this machine's own programs and pages."""
    host = headers.get("host", "")
    if not is_loopback(_host_name(host)):
        raise ApiProblem(403, f"this server speaks for 'localhost' and loopback addresses only, not for Host {host[:80]!r}", "host")
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        raise ApiProblem(403, f"pages of {origin[:80]!r} may not use this server", "origin")
    site = headers.get("sec-fetch-site", "none").lower()
    if path.startswith(GUARDED) and site not in SAFE_FETCH_SITES:
        raise ApiProblem(403, "pages from elsewhere may not use this server", "origin")


def _host_name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _limit(path: str) -> int:
    return BODY_LIMITS.get(path, limits.MAX_MESSAGE_BYTES)


def _body_size(scope: Scope, headers: Headers) -> int:
    """What the body may take, by its own word or by the limit. Raises ApiProblem for one that is too large, or that says two things."""
    limit = _limit(str(scope["path"]))
    said, coding = headers.get("content-length"), headers.get("content-encoding", "identity")
    if said is not None and "transfer-encoding" in headers:
        # A proxy in front may have read it the other way, and what it takes for the next request is within this one's body (RFC 9112, 6.3).
        detail = "the request has a Content-Length and a Transfer-Encoding; accepted is one of them"
        raise ApiProblem(400, detail, headers={"Connection": "close"})
    if coding.lower() != "identity":
        raise ApiProblem(
            415, f"Content-Encoding {coding[:40]!r} is not accepted: send the body as it is", headers={"Accept-Encoding": "identity"}
        )
    if said is None:
        return limit if "transfer-encoding" in headers else 0
    if not said.isascii() or not said.isdigit() or len(said) > 18:
        raise ApiProblem(400, f"Content-Length: {said[:40]!r} is no number of bytes")
    if int(said) > limit:
        raise _too_large(limit)
    return int(said)


def _too_large(limit: int) -> ApiProblem:
    photo = f", of which a photo may have {megabytes(limits.MAX_PHOTO_BYTES)}" if limit == MAX_FORM_BYTES else ""
    detail = f"the body has more than the {megabytes(limit)} that are accepted here{photo}"
    return ApiProblem(413, detail, "too_large")
