"""Links that senders give: photos and masks are read from them, results written to them (presigned URLs of S3, R2, GCS and the like).

The same guard as for callbacks: https to public addresses or listed hosts, and the connection goes to the address that was checked. A
redirect is followed where it stays at the same scheme, host and port; its target passes the guard again. All attempts, redirects and
bodies share one total time. Nothing here ever shows a link's query.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from orchestrator.errors import AddressRefused, LinkRefused, LinkTooLarge, LinkUnavailable
from orchestrator.net.address_policy import AddressPolicy, PinnedTransport, port_of
from orchestrator.net.answers import drain
from respray.observe.redaction import without_query
from respray.retry import Retry, full_jitter

T = TypeVar("T")

MAX_REDIRECTS = 3
CONNECT_SECONDS = 10.0
"""Until one address answers; a host may have several."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_PASS = frozenset({408, 425, 429})
_HEADERS = {"User-Agent": "respray"}


@dataclass(frozen=True)
class LinkOptions:
    """How patiently links are used.

    Attributes:
        timeout: Seconds for one link, all attempts and redirects together.
        retry: When a request is repeated.
    """

    timeout: float = 30.0
    retry: Retry = field(default_factory=lambda: Retry(4, full_jitter(base=0.3, cap=5.0)))


class LinkClient:
    """Reads and writes links. Raises AddressRefused, LinkRefused and, where the same may succeed later, LinkUnavailable."""

    def __init__(
        self,
        policy: AddressPolicy,
        options: LinkOptions | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        """A client of its own connections.

        Args:
            policy: Which addresses may be asked.
            options: How patiently.
            transport: Sends requests in place of the one that keeps to the policy.
            on_retry: Called before a request is repeated.
        """
        self._options, self._on_retry = options or LinkOptions(), on_retry
        timeout = httpx.Timeout(self._options.timeout, connect=CONNECT_SECONDS)
        # Cookies and proxies of the surroundings have no place here, and a redirect is looked at before it is followed.
        self._client = httpx.AsyncClient(
            transport=transport or PinnedTransport(policy), timeout=timeout, follow_redirects=False, trust_env=False, headers=_HEADERS
        )

    async def get(self, url: str, limit: int) -> bytes:
        """The whole file behind a link.

        Args:
            url: The link.
            limit: Most bytes; reading stops there.
        """
        return await self._patiently(url, lambda: self._get(httpx.URL(url), limit))

    async def put(self, url: str, data: bytes, media_type: str) -> None:
        """Store a file under a link.

        Args:
            url: The link.
            data: The file.
            media_type: Its Content-Type.
        """
        await self._patiently(url, lambda: self._put(httpx.URL(url), data, media_type))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _patiently(self, url: str, work: Callable[[], Awaitable[T]]) -> T:
        label, seconds = without_query(str(url)), self._options.timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._options.retry.run_async(work, lambda number, error, wait: self._on_retry())
        except TimeoutError:
            raise LinkUnavailable(f"{label}: not done within {seconds:g} s") from None

    async def _get(self, url: httpx.URL, limit: int) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            # Compressed bodies are not asked for and not accepted: one of 1 MB can hold 1 GB.
            headers = {"Accept-Encoding": "identity", "Accept": "image/*, */*"}
            with _translated(url):
                async with self._client.stream("GET", url, headers=headers) as answer:
                    if answer.status_code in _REDIRECTS:
                        url = _redirected(url, answer)
                        continue
                    _check_status(url, answer, "GET")
                    return await _read(url, answer, limit)
        raise LinkRefused(f"{without_query(str(url))}: redirects more than {MAX_REDIRECTS} times")

    async def _put(self, url: httpx.URL, data: bytes, media_type: str) -> None:
        # httpx sends Content-Length for bytes; object stores refuse uploads in chunks.
        with _translated(url):
            async with self._client.stream("PUT", url, content=data, headers={"Content-Type": media_type, **_azure(url)}) as answer:
                if answer.status_code in _REDIRECTS:
                    raise LinkRefused(
                        f"{without_query(str(url))}: answered a PUT with a redirect ({answer.status_code}), which is not followed"
                    )
                _check_status(url, answer, "PUT")
                await drain(answer)


def _azure(url: httpx.URL) -> dict[str, str]:
    """What Azure asks for beside a shared access signature, which is told by its fields `sv` and `sig`: which kind of blob is put.

    It is required (https://learn.microsoft.com/rest/api/storageservices/put-blob), not signed, and nobody else's.
    """
    return {"x-ms-blob-type": "BlockBlob"} if {"sv", "sig"} <= set(url.params) else {}


@contextlib.contextmanager
def _translated(url: httpx.URL) -> Iterator[None]:
    """What goes wrong between here and the server of a link, as errors that name the link without its query."""
    try:
        yield
    except AddressRefused as error:
        raise AddressRefused(f"{without_query(str(url))}: {error}") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise LinkRefused(f"{without_query(str(url))}: the link cannot be used; accepted is https://host/path?query") from None
    except (httpx.HTTPError, OSError) as error:
        raise _no_answer(url, error) from None


async def _read(url: httpx.URL, answer: httpx.Response, limit: int) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise LinkRefused(f"{without_query(str(url))}: answered with Content-Encoding {encoding[:40]!r}; accepted is the file as it is")
    length = answer.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise LinkTooLarge(f"{without_query(str(url))}: has {int(length[:20]) / 1e6:.1f} MB; at most {limit / 1e6:.0f} MB are accepted")
    blocks, size = list[bytes](), 0
    async for block in answer.aiter_raw():
        size += len(block)
        if size > limit:
            raise LinkTooLarge(f"{without_query(str(url))}: has more than {limit / 1e6:.0f} MB, which is the most that is accepted")
        blocks.append(block)
    return b"".join(blocks)


def _redirected(url: httpx.URL, answer: httpx.Response) -> httpx.URL:
    """Where a redirect leads, if that is the same server. Raises LinkRefused."""
    try:
        target = url.join(answer.headers.get("Location", ""))
    except httpx.InvalidURL:
        raise LinkRefused(f"{without_query(str(url))}: redirects to something that is no URL") from None
    if (target.scheme, target.host, port_of(target)) != (url.scheme, url.host, port_of(url)):
        raise LinkRefused(
            f"{without_query(str(url))}: redirects to another server, {without_query(str(target))}; give the link that it leads to"
        )
    return target


def _check_status(url: httpx.URL, answer: httpx.Response, method: str) -> None:
    status = answer.status_code
    if status >= 500 or status in _MAY_PASS:
        raise LinkUnavailable(f"{without_query(str(url))}: answered {status} to {method}")
    if status in (401, 403):
        hint = "the link may have expired, or is not signed for this method" + (" and Content-Type" if method == "PUT" else "")
        raise LinkRefused(f"{without_query(str(url))}: answered {status}; {hint}")
    accepted = (200,) if method == "GET" else (200, 201, 202, 204)
    if status not in accepted:
        raise LinkRefused(f"{without_query(str(url))}: answered {status} to {method}; accepted is {' or '.join(map(str, accepted))}")


def _no_answer(url: httpx.URL, error: Exception) -> LinkUnavailable:
    """Without the library's own words where they could repeat the link."""
    said = str(error)
    return LinkUnavailable(
        f"{without_query(str(url))}: no answer ({type(error).__name__}{': ' + said if said and '://' not in said else ''})"
    )
