"""A blocking store on the event loop: a fixed number of threads, so that a slow store cannot pile up work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.storage.base import Expect, Stat, Storage
from respray.retry import Retry

T = TypeVar("T")
CLOSE_SECONDS = 5.0
"""How long the end of a worker waits for a store that hangs."""


@dataclass(frozen=True)
class OpenedAsync:
    """See `Opened`: `await opened.read(start, size)`."""

    stat: Stat
    read: Callable[[int, int], Awaitable[bytes]]


class AsyncStorage:
    """The methods of `Storage` as coroutines. Errors are the same."""

    def __init__(self, storage: Storage, threads: int = 32) -> None:
        self.storage = storage
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="storage")

    async def __aenter__(self) -> AsyncStorage:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def read(self, key: str, limit: int) -> tuple[bytes, Stat]:
        """See `Storage.read`."""
        return await self._run(self.storage.read, key, limit)

    @contextlib.asynccontextmanager
    async def opened(self, key: str) -> AsyncIterator[OpenedAsync]:
        """See `Storage.open`."""
        opened = await self._run(self.storage.open, key)
        try:
            yield OpenedAsync(opened.stat, lambda start, size: self._run(opened.read, start, size))
        finally:
            opened.close()

    async def stat(self, key: str) -> Stat | None:
        """See `Storage.stat`."""
        return await self._run(self.storage.stat, key)

    async def size(self, key: str) -> int | None:
        """See `Storage.size`."""
        return await self._run(self.storage.size, key)

    async def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        """See `Storage.write`."""
        return await self._run(self.storage.write, key, data, media_type, expect)

    async def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        await self._run(self.storage.delete, key)

    async def keys(self, prefix: str, limit: int) -> list[str]:
        """The first `limit` keys below a prefix."""
        return await self._run(lambda: [key for key, _ in zip(self.storage.keys(prefix), range(limit), strict=False)])

    async def link(self, key: str, seconds: int) -> str | None:
        """See `Storage.link`."""
        return await self._run(self.storage.link, key, seconds)

    async def check(self) -> None:
        """See `Storage.check`."""
        await self._run(self.storage.check)

    async def wait_ready(self) -> None:
        """Like `check`, but a store that has a bad moment is asked again."""
        await self._run(lambda: Retry().run(self.storage.check))

    async def close(self) -> None:
        """Finish what is running, as far as that does not take long, and let go of the threads and connections."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            self._pool.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has not waited for it
                loop.call_soon_threadsafe(ended.set)

        # Of its own: the loop's end waits for all threads of its pool.
        threading.Thread(target=finish, name="storage-close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), CLOSE_SECONDS)
        self.storage.close()

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments))
