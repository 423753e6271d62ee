"""Callbacks that are owed anywhere in the store: jobs that were acknowledged by a worker that died have nobody else to tell of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.callbacks.leases import EXPIRES_AFTER
from orchestrator.errors import Conflict, ResprayError
from orchestrator.records.item_record import ItemRecord, record_key
from orchestrator.records.manifest import manifest_of
from orchestrator.records.records import Records
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)

MAX_SWEPT_JOBS = 32
"""Jobs whose owed callbacks are looked at together, so that those of a receiver that hangs do not come before all others."""


class Sweeper:
    """Finds what is owed by its markers, and has it delivered."""

    def __init__(self, deliverer: Deliverer, records: Records, metrics: Metrics) -> None:
        self._deliverer, self._records, self._markers, self._metrics = deliverer, records, records.markers, metrics

    async def owe_refused(self) -> None:
        """Make every refused callback owed again, as whoever has corrected the secret, the address or the allow list asks for.

        No sweep does this unasked: a receiver that has said no is not to be asked every minute.
        """
        for key in await self._markers.refused():
            try:
                await self._owe_again(key)
            except ResprayError as error:
                log.warning("refused callbacks of %s could not be looked at: %s", key, error)

    async def _owe_again(self, key: str) -> None:
        marker = await self._markers.read(key)
        if marker is None or key != marker.refused_key:
            return
        # First the marker that sweeps look for: what is owed and has none would be found by nobody.
        await self._markers.keep_owed(marker)
        for item_key in await self._markers.record_keys(marker):
            record, stat = await self._records.load(item_key)
            callback = None if record is None else record.callback
            if record is None or stat is None or callback is None or callback.state != "refused":
                continue
            owed = callback.model_copy(update={"state": "owed", "leased_until": 0.0, "not_before": 0.0, "owed_since": time.time()})
            with contextlib.suppress(Conflict):  # somebody else has told of the item since, or does so now
                await self._records.save(item_key, record.model_copy(update={"callback": owed}), stat)
        await self._markers.clear_refused(marker)

    async def sweep(self, *, force: bool = False, on_job: Callable[[str, list[ItemRecord]], None] = lambda job, records: None) -> int:
        """Deliver what is owed anywhere in the store.

        Args:
            force: Ignore receivers' wishes to be left alone until later.
            on_job: Called with `user/job` and its records after each job.

        Returns:
            How many callbacks are still owed afterwards.
        """
        owed = set[str]()
        markers, places = await self._markers.owed(), asyncio.Semaphore(MAX_SWEPT_JOBS)
        random.shuffle(markers)

        async def sweep_one(key: str) -> None:
            async with places:
                try:
                    owed.update(await self._sweep_job(key, force, on_job))
                except ResprayError as error:
                    log.warning("callbacks of %s could not be looked at: %s", key, error)

        await asyncio.gather(*map(sweep_one, markers))
        self._metrics.callbacks_owed.set(len(owed))
        return len(owed)

    async def _sweep_job(self, key: str, force: bool, on_job: Callable[[str, list[ItemRecord]], None]) -> set[str]:
        """Deliver what one marker speaks of; the keys of the records that owe afterwards (several markers may share some)."""
        marker = await self._markers.read(key)
        if marker is None or key != marker.key:
            return set()  # it has just been removed, or is somebody else's file under our prefix
        prefix = marker.prefix
        found = [await self._records.load(item_key) for item_key in await self._markers.record_keys(marker)]
        tracked = [Tracked(record, stat) for record, stat in found if record is not None and stat is not None]
        before = [t.record.callback for t in tracked]
        done = await asyncio.gather(*(self._deliverer.deliver(prefix, t, force=force) for t in tracked))
        records = [t.record for t in done]
        owed = {record_key(prefix, r.idx) for r in records if r.callback is not None and r.callback.state == "owed"}
        over, version = marker.is_over(records), max((r.version for r in records), default=0)
        if over and [r.callback for r in records] != before:
            await self._records.write_manifest(prefix, manifest_of(marker.user_id, marker.job_id, records, len(records)), version)
        if not owed and (over or time.time() - marker.since > EXPIRES_AFTER):
            if any(r.callback is not None and r.callback.state == "refused" for r in records):
                await self._markers.keep_refused(marker)
            await self._markers.clear_owed(marker)
        on_job(f"{marker.user_id}/{marker.job_id}", records)
        return owed
