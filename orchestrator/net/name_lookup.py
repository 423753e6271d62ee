"""Look-ups of hosts' names, in threads of their own: a name server that is silent keeps a thread for as long as the system waits."""

from __future__ import annotations

import asyncio
import socket
import threading

MAX_LOOKUPS = 64
"""Names that are looked up at the same time."""


class NameLookup:
    """Addresses of hosts. One look-up per name at a time, which all who ask for it wait for; whoever stops waiting stops nobody else's."""

    def __init__(self, max_lookups: int = MAX_LOOKUPS) -> None:
        self._places = asyncio.Semaphore(max_lookups)
        self._running: dict[str, asyncio.Task[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> list[str]:
        """Every address of a host. Raises OSError where it has none."""
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.create_task(self._look_up(host, port))
            task.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(task)

    async def _look_up(self, host: str, port: int) -> list[str]:
        async with self._places:
            return await _in_thread(host, port)

    def _forget(self, host: str, task: asyncio.Task[list[str]]) -> None:
        self._running.pop(host, None)
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more


async def _in_thread(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[str] | Exception
        try:
            found = list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, found)

    # A daemon: the end of the process waits for no name server.
    threading.Thread(target=ask, daemon=True, name="host-name").start()
    return await answer
