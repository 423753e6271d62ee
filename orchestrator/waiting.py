"""Waiting that the order to stop ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def until(stop: asyncio.Event, work: Awaitable[T], grace: float = 0.0) -> T | None:
    """The result of `work`, or None where it was cancelled; it is, when it is not done so many seconds after `stop` is set."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if grace and not task.done():
            await asyncio.wait({task}, timeout=grace)
        return task.result() if task.done() and not task.cancelled() else None
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.wait({task, stopped})


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake up when `stop` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
