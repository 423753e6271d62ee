"""Clocks that are wrong, or jump, delay no callback for longer than a lease, and lose none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.callbacks import receivers
from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.callbacks.leases import EXPIRES_AFTER, Leases
from orchestrator.records.item_record import CallbackRecord, ItemRecord, record_key
from orchestrator.records.records import Records
from orchestrator.service.assembly import callback_client
from orchestrator.settings import Settings
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from tests.faults.processes import CALLBACK_SECRET
from tests.faults.receiver import Receiver
from tests.orchestrator.support import FAST

DAY = 86400.0
PREFIX = "outputs/u_abc/job_1/"


def callback(url: str, **more: Any) -> CallbackRecord:
    """An owed callback that another worker has left."""
    return CallbackRecord(url=f"{url}/jobs/job_1/callback", event_id="msg_0", idempotency_prefix="job_1", holder="another", **more)


def deliver(folder: Path, receiver: Receiver, owed: CallbackRecord, lease: float, look: Callable[[Deliverer, Tracked], Any]) -> Any:
    """What `look` (a coroutine) makes of a deliverer, whose leases last so many seconds, and of the callback's record."""
    settings = Settings(adapter="local", callback_secret=SecretStr(CALLBACK_SECRET), callback_allow_hosts=receiver.host)

    async def work() -> Any:
        async with AsyncStorage(FolderStorage(folder, sync=False)) as storage:
            client, records = callback_client(settings, Metrics(), FAST), Records(storage, Redactor())
            assert client is not None
            deliverer = Deliverer(client, records, worker="one", metrics=Metrics(), timeout=20.0)
            deliverer._leases = Leases(lease)
            record = ItemRecord(idx=0, status="completed", fingerprint="f", callback=owed)
            tracked = Tracked(*await records.save(record_key(PREFIX, 0), record, None))
            try:
                return await look(deliverer, tracked)
            finally:
                await client.close()

    return asyncio.run(work())


def state(tracked: Tracked) -> str:
    assert tracked.record.callback is not None
    return tracked.record.callback.state


def test_a_lease_of_a_clock_that_is_a_day_ahead_ends_like_any_other(tmp_path: Path, receiver: Receiver) -> None:
    async def look(deliverer: Deliverer, tracked: Tracked) -> list[str]:
        first = state(await deliverer.deliver(PREFIX, tracked))
        return [first, state(await deliverer.deliver(PREFIX, tracked, wait_for_lease=True))]

    owed = callback(receiver.url, leased_until=time.time() + DAY, owed_since=time.time() + DAY)
    assert deliver(tmp_path, receiver, owed, 0.3, look) == ["owed", "delivered"]
    assert len(receiver.calls) == 1


def test_only_an_unchanged_lease_is_counted() -> None:
    clock = [0.0]
    leases = Leases(10.0, now=lambda: 1000.0, clock=lambda: clock[0])
    owed = callback("https://x.example", leased_until=1000.0 + DAY)
    assert leases.left(owed) == 10.0
    clock[0] = 9.0
    renewed = owed.model_copy(update={"leased_until": owed.leased_until + 9})
    assert leases.left(owed) == 1.0 and leases.left(renewed) == 10.0
    clock[0] = 12.0
    assert leases.left(owed) == -2.0 and leases.left(renewed) == 7.0
    assert leases.left(owed.model_copy(update={"leased_until": 1005.0})) == 5.0  # a clock that is right is believed


def test_a_wish_for_later_of_a_clock_that_is_ahead_is_set_right() -> None:
    leases = Leases(10.0, now=lambda: 1000.0)
    assert leases.is_early(callback("https://x.example", not_before=1060.0, owed_since=900.0))
    assert leases.is_early(callback("https://x.example", not_before=1060.0 + DAY, owed_since=1000.0 + DAY))
    assert not leases.is_early(callback("https://x.example", not_before=1000.0 + DAY, owed_since=1000.0 + DAY))


@pytest.mark.parametrize(("answer", "ends"), [(200, "delivered"), (503, "expired"), (401, "refused")])
def test_what_nobody_could_tell_for_days_is_told_once_more(tmp_path: Path, receiver: Receiver, answer: int, ends: str) -> None:
    receiver.plan = lambda number, body: (answer, {})

    async def look(deliverer: Deliverer, tracked: Tracked) -> str:
        return state(await deliverer.deliver(PREFIX, tracked))

    owed = callback(receiver.url, owed_since=time.time() - EXPIRES_AFTER - DAY)
    assert deliver(tmp_path, receiver, owed, 60.0, look) == ends
    assert receiver.calls


def test_a_host_that_was_down_is_asked_again_when_the_clock_is_set_back(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "DOWN_FOR", 0.2)
    answers = [503] * 4
    receiver.plan = lambda number, body: (answers.pop() if answers else 200, {"Retry-After": "0"})
    real = time.time

    async def look(deliverer: Deliverer, tracked: Tracked) -> list[str]:
        first = await deliverer.deliver(PREFIX, tracked)
        monkeypatch.setattr(time, "time", lambda: real() - DAY)
        await asyncio.sleep(0.3)
        assert first.record.callback is not None
        due = first.record.callback.model_copy(update={"not_before": 0.0, "owed_since": 0.0})
        record, stat = await deliverer._records.save(record_key(PREFIX, 0), first.record.model_copy(update={"callback": due}), first.stat)
        return [state(first), state(await deliverer.deliver(PREFIX, Tracked(record, stat)))]

    assert deliver(tmp_path, receiver, callback(receiver.url), 60.0, look) == ["owed", "delivered"]
