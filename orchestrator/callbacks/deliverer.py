"""Deliver callbacks from item records: the one place that sends, for fresh results, for redelivered jobs and for what is owed from before.

Whoever writes a record with a lease holds the right to send its callback; the record tells everybody else. When the holder dies,
the lease runs out and the next one takes over with the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanKind

from orchestrator.callbacks.client import MAX_BODY_SECONDS, CallbackClient, CallbackEvent, CallbackOutcome, Schedule
from orchestrator.callbacks.leases import EXPIRES_AFTER, Leases
from orchestrator.callbacks.slots import CallbackSlots, host_of
from orchestrator.errors import Conflict, ResprayError
from orchestrator.records.records import CallbackRecord, ItemRecord, Records, manifest_of, record_key
from orchestrator.storage.base import Stat
from respray.observe.metrics import Metrics
from respray.observe.tracing import mark_failed, photo_context, span

log = logging.getLogger(__name__)

GONE_FOR = 3600.0
"""Seconds for which an address that answered 410 is sent nothing: one that said so by mistake must not need a restart of all workers."""
DOWN_FOR = 30.0
"""Seconds for which a receiver that has used up all retries gets one attempt per callback, and what it was owed before waits."""
MAX_SWEPT_JOBS = 32
"""Jobs whose owed callbacks are looked at together, so that those of a receiver that hangs do not come before all others."""
_MARGIN = 5.0
"""Seconds of a lease beyond the longest delivery, for the waits around it."""
_MAX_REMEMBERED_URLS = 10_000


@dataclass
class Tracked:
    """A record as this worker last saw it stored.

    Attributes:
        record: The record.
        stat: What it is stored as.
        ours: This very run wrote it, and with it took the lease on its callback.
    """

    record: ItemRecord
    stat: Stat
    ours: bool = False


class Deliverer:
    """Sends callbacks, a bounded number at the same time, and writes down what came of them."""

    def __init__(
        self,
        client: CallbackClient | None,
        records: Records,
        *,
        worker: str,
        metrics: Metrics,
        timeout: float,
        concurrency: int = 64,
        per_host: int = 24,
        per_url: int = 8,
    ) -> None:
        self._client, self._records, self._worker, self._metrics = client, records, worker, metrics
        self._slots = CallbackSlots(concurrency, per_host, per_url)
        schedule = Schedule()
        self.lease = (len(schedule.waits) + 1) * (timeout + MAX_BODY_SECONDS) + sum(schedule.waits) * (1 + schedule.jitter) + _MARGIN
        self._leases = Leases(self.lease)
        # Until when, on a clock that does not jump.
        self._down: dict[str, float] = {}
        self._gone: dict[str, float] = {}

    def leased(self, callback: CallbackRecord) -> CallbackRecord:
        """The callback with this worker as the one who delivers it; without a secret it stays owed, and says why."""
        now = time.time()
        if self._client is None:
            return callback.model_copy(update={"error": "GPU_CALLBACK_SECRET is not set", "owed_since": now})
        return callback.model_copy(
            update={"holder": self._worker, "leased_until": now + self.lease, "owed_since": callback.owed_since or now}
        )

    async def deliver(self, prefix: str, tracked: Tracked, *, force: bool = False, wait_for_lease: bool = False) -> Tracked:
        """Deliver a record's callback if it is owed, and return the record as it stands afterwards. Never raises for the receiver's faults.

        Args:
            prefix: The job's outputs prefix.
            tracked: The record as it was last seen stored.
            force: Ignore a receiver's wish to be left alone until later.
            wait_for_lease: Wait for another worker's lease to run out.
        """
        callback = tracked.record.callback
        if callback is None or callback.state != "owed":
            return tracked
        # In the photo's trace, also when it is delivered long after and by another worker.
        attributes: dict[str, str | int] = {"respray.idx": tracked.record.idx, "respray.event_id": callback.event_id}
        with span("callback", attributes, SpanKind.PRODUCER, photo_context(prefix, tracked.record.idx)) as opened:
            done = await self._deliver(prefix, tracked, force, wait_for_lease)
            after = done.record.callback
            opened.set_attribute("respray.outcome", after.state if after else "")
            if after is not None and after.state == "owed":
                mark_failed(opened, after.error)
            return done

    async def _deliver(self, prefix: str, tracked: Tracked, force: bool, wait_for_lease: bool) -> Tracked:
        if self._client is None:
            return tracked
        if wait_for_lease and not tracked.ours:
            tracked = await self._until_free(prefix, tracked)
        callback = tracked.record.callback
        if callback is None:
            return tracked
        async with self._slots.slot(callback.url):
            if not (force or tracked.ours or self._leases.has_expired(callback)) and self._is_down(callback.url):
                return tracked  # owed before, and owed still: its host has just been asked in vain
            # Not earlier: a lease may run out while its callback waits for a slot, and somebody else then tells it.
            claimed = await self._claim(prefix, tracked, force)
            return await self._reload(prefix, tracked) if claimed is None else await self._send(prefix, claimed)

    async def tell_once(self, event: CallbackEvent) -> dict[str, Any] | None:
        """Deliver an event that no record remembers, with all retries, and sum up as for jobs. None where no secret is set."""
        if self._client is None:
            return None
        async with self._slots.slot(event.url):
            result = await self._tell(self._client, event)
        delivered = result.state == "delivered"
        undelivered = [] if delivered else [{"idx": event.idx, "state": result.state, "error": result.error}]
        return {"delivered": int(delivered), "undelivered": undelivered}

    async def owe_refused(self) -> None:
        """Make every refused callback owed again, as whoever has corrected the secret, the address or the allow list asks for.

        No sweep does this unasked: a receiver that has said no is not to be asked every minute.
        """
        for key in await self._records.refused_markers():
            try:
                await self._owe_again(key)
            except ResprayError as error:
                log.warning("refused callbacks of %s could not be looked at: %s", key, error)

    async def _owe_again(self, key: str) -> None:
        marker = await self._records.marker(key)
        if marker is None or key != marker.refused_key:
            return
        # First the marker that sweeps look for: what is owed and has none would be found by nobody.
        await self._records.keep_owed(marker)
        for item_key in await self._records.marked_keys(marker):
            record, stat = await self._records.load(item_key)
            callback = None if record is None else record.callback
            if record is None or stat is None or callback is None or callback.state != "refused":
                continue
            owed = callback.model_copy(update={"state": "owed", "leased_until": 0.0, "not_before": 0.0, "owed_since": time.time()})
            # A conflict means that somebody else has told of the item since, or does so now.
            await self._save(marker.prefix, Tracked(record, stat), owed)
        await self._records.clear_refused(marker)

    async def sweep(self, *, force: bool = False, on_job: Callable[[str, list[ItemRecord]], None] = lambda job, records: None) -> int:
        """Deliver what is owed anywhere in the store.

        Args:
            force: Ignore receivers' wishes to be left alone until later.
            on_job: Called with `user/job` and its records after each job.

        Returns:
            How many callbacks are still owed afterwards.
        """
        owed = set[str]()
        markers, places = await self._records.markers(), asyncio.Semaphore(MAX_SWEPT_JOBS)
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
        marker = await self._records.marker(key)
        if marker is None or key != marker.key:
            return set()  # it has just been removed, or is somebody else's file under our prefix
        prefix = marker.prefix
        found = [await self._records.load(item_key) for item_key in await self._records.marked_keys(marker)]
        tracked = [Tracked(record, stat) for record, stat in found if record is not None and stat is not None]
        before = [t.record.callback for t in tracked]
        done = await asyncio.gather(*(self.deliver(prefix, t, force=force) for t in tracked))
        records = [t.record for t in done]
        owed = {record_key(prefix, r.idx) for r in records if r.callback is not None and r.callback.state == "owed"}
        over, version = marker.is_over(records), max((r.version for r in records), default=0)
        if over and [r.callback for r in records] != before:
            await self._records.write_manifest(prefix, manifest_of(marker.user_id, marker.job_id, records, len(records)), version)
        if not owed and (over or time.time() - marker.since > EXPIRES_AFTER):
            if any(r.callback is not None and r.callback.state == "refused" for r in records):
                await self._records.keep_refused(marker)
            await self._records.clear_owed(marker)
        on_job(f"{marker.user_id}/{marker.job_id}", records)
        return owed

    async def _until_free(self, prefix: str, tracked: Tracked) -> Tracked:
        """The record once no lease is on its callback any more, or nothing is owed."""
        look = 0.25
        while (callback := tracked.record.callback) is not None and callback.state == "owed":
            if (left := self._leases.left(callback)) <= 0:
                break
            # Mostly the holder lives and is done in a moment, so look again long before its lease ends.
            await asyncio.sleep(min(left, look))
            look = min(5.0, look * 1.6)
            tracked = await self._reload(prefix, tracked)
        return tracked

    async def _claim(self, prefix: str, tracked: Tracked, force: bool) -> Tracked | None:
        """The record with a lease that lasts for a whole delivery; None when somebody else has it or it is not yet time."""
        callback = tracked.record.callback
        if callback is None or callback.state != "owed":
            return None
        # The holder's name alone does not say so: the sweep of the same worker sees its leases, too.
        if not tracked.ours and self._leases.left(callback) > 0:
            return None
        if tracked.ours and callback.leased_until - time.time() > max(0.0, self.lease - _MARGIN):
            return tracked  # of this very run, and hardly older
        if self._leases.is_early(callback) and not force:
            # A receiver may ask to be left alone for longer than anything is owed.
            expired = self._leases.has_expired(callback)
            return await self._save(prefix, tracked, callback.model_copy(update={"state": "expired"})) if expired else None
        return await self._save(prefix, tracked, self.leased(callback))

    async def _send(self, prefix: str, tracked: Tracked) -> Tracked:
        record, callback = tracked.record, tracked.record.callback
        assert callback is not None and self._client is not None
        if callback.state != "owed":
            return tracked
        attempt, body = callback.attempt or record.attempt, record.callback_body()
        try:
            body |= await self._records.links_to(record.model_dump(include={"links", "output_key", "preview_key", "outputs"}))
        except ResprayError as error:
            log.warning("links to the results of item %d could not be made: %s", record.idx, error)
        event = CallbackEvent(callback.url, callback.event_id, callback.idempotency_prefix, record.idx, body, attempt)
        result = await self._tell(self._client, event)
        attempts = callback.attempts + result.attempts
        # Whoever is owed for so long was told once more: there may have been no worker for days, or one whose clock was wrong.
        state = "expired" if result.state == "owed" and self._leases.has_expired(callback) else result.state
        wait = min(3600.0, 30.0 * 2 ** min(attempts // 4, 10)) if state == "owed" else 0.0
        changed = callback.model_copy(
            update={
                "state": state,
                "attempts": attempts,
                "status_code": result.status,
                "error": result.error,
                "leased_until": 0.0,
                "not_before": max(result.not_before, time.time() + wait) if wait else 0.0,
            }
        )
        return await self._save(prefix, tracked, changed) or tracked

    async def _tell(self, client: CallbackClient, event: CallbackEvent) -> CallbackOutcome:
        # A receiver that has just used up all retries gets one attempt per callback for a while: it is down, not busy.
        down = self._is_down(event.url)
        if self._gone.get(event.url, 0.0) > time.monotonic():
            result = CallbackOutcome("gone", 0, 410, "the receiver answered 410 Gone to an earlier callback")
        else:
            with self._metrics.callback_seconds.time():
                result = await client.deliver(event, retries=0 if down else None)
            if result.state == "gone" and len(self._gone) < _MAX_REMEMBERED_URLS:
                self._gone[event.url] = time.monotonic() + GONE_FOR
        if result.state == "owed" and len(self._down) < _MAX_REMEMBERED_URLS:
            # No answer at all says something of the host, an answer of this address only.
            self._down[host_of(event.url) if result.status is None else event.url] = time.monotonic() + DOWN_FOR
        else:
            self._down.pop(event.url, None)
            self._down.pop(host_of(event.url), None)
        self._metrics.callbacks.labels(result.state).inc()
        if result.state != "delivered":
            log.warning("callback of item %d to %s: %s (%s)", event.idx, event.url.split("?")[0], result.state, result.error)
        return result

    def _is_down(self, url: str) -> bool:
        return max(self._down.get(url, 0.0), self._down.get(host_of(url), 0.0)) > time.monotonic()

    async def _save(self, prefix: str, tracked: Tracked, callback: CallbackRecord) -> Tracked | None:
        record = tracked.record.model_copy(update={"callback": callback})
        try:
            return Tracked(*await self._records.save(record_key(prefix, record.idx), record, tracked.stat))
        except Conflict:
            return None
        except ResprayError as error:
            # The callback's fate could not be written down: it stays owed in the store and is sent again with the same webhook-id.
            log.warning("the record of item %d could not be written: %s", record.idx, error)
            return None

    async def _reload(self, prefix: str, tracked: Tracked) -> Tracked:
        try:
            record, stat = await self._records.load(record_key(prefix, tracked.record.idx))
        except ResprayError:
            return tracked
        return Tracked(record, stat) if record is not None and stat is not None else tracked
