"""Leases that cannot be extended, given back for a worker that died: what each worker holds is written down in the store.

A worker rewrites its record while it holds leases. Whose record stops changing is dead, and another worker returns its leases to the
queue, so that a job need not wait for the end of a lease that is longer than the longest job. Whoever is declared dead too early (it
could not reach the store) goes on, and its job is delivered to a twin as well, which the flow of items is made for.

Every worker watches the next few names of the sorted list, so that a fleet's requests grow with its size and not with its square.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import NotFound, ResprayError
from orchestrator.storage.threads import AsyncStorage

log = logging.getLogger(__name__)

PREFIX = "leases/"
WATCHED_RECORDS = 4
"""Records of others that a worker watches: so many neighbours may die together and still be noticed at once."""
_MAX_RECORDS, _MAX_RECORD_BYTES = 10_000, 1 << 20


class _Record(BaseModel):
    """`beat` makes every writing differ from the one before."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    leases: list[str]
    beat: int


class HeldLeases:
    """The leases of one worker on one queue. `give_back(lease_ids)` returns leases to the queue and may raise ResprayError.

    A record counts as abandoned when it has not changed for four times `interval` seconds, measured with the watcher's own clock alone.
    """

    def __init__(
        self, storage: AsyncStorage, queue: str, worker: str, interval: float, give_back: Callable[[Sequence[str]], Awaitable[None]]
    ) -> None:
        self._storage, self._interval, self._give_back = storage, interval, give_back
        self._folder = f"{PREFIX}{queue}/"
        self._key = f"{self._folder}{worker}.json"
        self._held: set[str] = set()
        self._changed = asyncio.Event()
        self._beat = 0
        self._written = False
        self._seen: dict[str, tuple[str, float]] = {}

    def take(self, lease: str) -> None:
        """Write down a lease that this worker has got."""
        self._held.add(lease)
        self._changed.set()

    def release(self, lease: str) -> None:
        """Forget a lease that was settled. The record follows with the next beat: a lease that is returned twice harms nobody."""
        self._held.discard(lease)

    async def run(self) -> None:
        """Keep the record, and look after the neighbours, until cancelled."""
        look = 0.0
        while True:
            self._changed.clear()
            try:
                await self._write()
                if self._now() >= look:
                    look = self._now() + self._interval
                    await self._look()
            except ResprayError as error:
                log.warning("the record of leases could not be kept: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._interval)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Take the record away; everything is settled."""
        if self._written:
            with contextlib.suppress(ResprayError):
                await self._storage.delete(self._key)

    async def _write(self) -> None:
        if self._held:
            self._beat += 1
            record = _Record(leases=sorted(self._held), beat=self._beat)
            self._written = True
            await self._storage.write(self._key, record.model_dump_json().encode(), "application/json")
        elif self._written:
            await self._storage.delete(self._key)
            self._written = False

    async def _look(self) -> None:
        others = [key for key in await self._storage.keys(self._folder, _MAX_RECORDS) if key != self._key]
        around = [key for key in others if key > self._key] + [key for key in others if key < self._key]
        watched = around[:WATCHED_RECORDS]
        self._seen = {key: seen for key, seen in self._seen.items() if key in watched}
        for key in watched:
            try:
                data, stat = await self._storage.read(key, _MAX_RECORD_BYTES)
            except NotFound:
                continue
            before = self._seen.get(key)
            if before is None or before[0] != stat.etag:
                self._seen[key] = (stat.etag, self._now())
            elif self._now() - before[1] >= 4 * self._interval:
                await self._return(key, data)

    async def _return(self, key: str, data: bytes) -> None:
        try:
            leases = _Record.model_validate_json(data).leases
        except ValidationError:
            leases = []
        log.warning("%s has not changed for %.0f s; returning its %d lease(s)", key, 4 * self._interval, len(leases))
        if leases:
            await self._give_back(leases)
        await self._storage.delete(key)
        self._seen.pop(key, None)
