"""Deliver a callback from its item's record: the one place that sends, for fresh results, for redelivered jobs and for sweeps.

Whoever writes a record with a lease holds the right to send its callback; the record tells everybody else. When the holder dies,
the lease runs out and the next one takes over with the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanKind

from orchestrator.callbacks.client import CallbackClient, CallbackEvent, CallbackOutcome, Schedule
from orchestrator.callbacks.leases import Leases
from orchestrator.callbacks.receivers import Receivers
from orchestrator.callbacks.slots import CallbackSlots
from orchestrator.errors import Conflict, ResprayError
from orchestrator.net.answers import MAX_BODY_SECONDS
from orchestrator.processes import process_name
from orchestrator.records.item_record import CallbackRecord, ItemRecord, record_key
from orchestrator.records.records import Records
from orchestrator.storage.base import Stat
from respray.observe.metrics import Metrics
from respray.observe.tracing import mark_failed, photo_context, span

log = logging.getLogger(__name__)

_MARGIN = 5.0
"""Seconds of a lease beyond the longest delivery, for the waits around it."""


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
        self._client, self._records, self._holder, self._metrics = client, records, process_name(worker), metrics
        self._slots = CallbackSlots(concurrency, per_host, per_url)
        schedule = Schedule()
        self.lease = (len(schedule.waits) + 1) * (timeout + MAX_BODY_SECONDS) + sum(schedule.waits) * (1 + schedule.jitter) + _MARGIN
        self._leases = Leases(self.lease)
        self._receivers = Receivers()

    def leased(self, callback: CallbackRecord) -> CallbackRecord:
        """The callback with this worker as the one who delivers it; without a secret it stays owed, and says why."""
        now = time.time()
        if self._client is None:
            return callback.model_copy(update={"error": "GPU_CALLBACK_SECRET is not set", "owed_since": now})
        return callback.model_copy(
            update={"holder": self._holder, "leased_until": now + self.lease, "owed_since": callback.owed_since or now}
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
            if not (force or tracked.ours or self._leases.has_expired(callback)) and self._receivers.is_down(callback.url):
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
        if self._receivers.is_gone(event.url):
            result = CallbackOutcome("gone", 0, 410, "the receiver answered 410 Gone to an earlier callback")
        else:
            # One that is down, not busy, gets one attempt per callback for a while.
            retries = 0 if self._receivers.is_down(event.url) else None
            with self._metrics.callback_seconds.time():
                result = await client.deliver(event, retries)
            self._receivers.learn(event.url, result)
        self._metrics.callbacks.labels(result.state).inc()
        if result.state != "delivered":
            log.warning("callback of item %d to %s: %s (%s)", event.idx, event.url.split("?")[0], result.state, result.error)
        return result

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
