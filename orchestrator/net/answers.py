"""Answers of other servers: their bodies that nobody uses, and when they want to be asked again."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils

import httpx

MAX_BODY_BYTES = 64 << 10
MAX_BODY_SECONDS = 2.0


async def drain(answer: httpx.Response) -> None:
    """Read the body, or some of it, so that the server can finish. The status has been given: nothing in the body changes it."""
    size = 0
    with contextlib.suppress(TimeoutError, httpx.HTTPError, OSError):
        async with asyncio.timeout(MAX_BODY_SECONDS):
            async for block in answer.aiter_raw():
                size += len(block)
                if size > MAX_BODY_BYTES:
                    return


def retry_after_seconds(answer: httpx.Response, now: float) -> float | None:
    """Retry-After in seconds from now (it is a number of seconds, or a date), or None."""
    value = answer.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():  # superscripts are digits, too, and no numbers
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
