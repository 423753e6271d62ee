"""How many callbacks are sent at the same time: few to any one address or host, so that a receiver that hangs holds up no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


def host_of(url: str) -> str:
    """The host and port that a URL names, for counting; the URL itself where it names none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower() or url
    except ValueError:
        return url


class KeyedSemaphore:
    """A semaphore for each key that is in use."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._users = Counter[str]()

    def keys(self) -> set[str]:
        """Those in use."""
        return set(self._semaphores)

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Hold one of the key's places."""
        semaphore = self._semaphores.setdefault(key, asyncio.Semaphore(self._places))
        self._users[key] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._semaphores[key]


class CallbackSlots:
    """Places for each address, each host and all together. Whoever waits for a narrower one holds none of a wider one."""

    def __init__(self, total: int, per_host: int, per_url: int) -> None:
        self._total, self._hosts, self._urls = asyncio.Semaphore(total), KeyedSemaphore(per_host), KeyedSemaphore(per_url)

    @asynccontextmanager
    async def slot(self, url: str) -> AsyncIterator[None]:
        """Hold a place for one callback to this URL."""
        async with self._urls.place(url), self._hosts.place(host_of(url)), self._total:
            yield

    def in_use(self) -> set[str]:
        """Addresses and hosts that somebody sends to, or waits to."""
        return self._urls.keys() | self._hosts.keys()
