"""Owed callbacks whose job is sent again, and callbacks that wait for their turn: all are told, and none twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.callbacks import receivers
from orchestrator.callbacks.client import CallbackEvent
from orchestrator.callbacks.deliverer import Deliverer, Tracked
from orchestrator.callbacks.leases import Leases
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
from tests.orchestrator.support import FAST, TinyPipeline, markers, palette_job, put_photos, rule_job, tiny_worker


def do(folder: Path, message: Any, receiver: Receiver) -> None:
    """Run one job to its end."""

    async def work() -> None:
        async with tiny_worker(folder, allow=receiver.host, workers_api_url=receiver.url) as worker:
            await worker.start(message, final=True).finished()

    asyncio.run(work())


def sweep(folder: Path, receiver: Receiver) -> int:
    """What `respray callbacks retry` does: how many callbacks are owed afterwards."""

    async def work() -> int:
        async with tiny_worker(folder, allow=receiver.host, name="sweeper") as worker:
            return await worker.sweeper.sweep(force=True)

    return asyncio.run(work())


def job(receiver: Receiver, *indices: int, wall: str = "offwhite_b") -> dict[str, Any]:
    """job_1 with these items of four, and a colour that makes it new work."""
    message = palette_job(
        count=4, concepts={"Wall": {"action": "recolor", "value": wall}}, callback_url=f"{receiver.url}/jobs/job_1/callback"
    )
    return message | {"items": [message["items"][idx] for idx in indices]}


def told(receiver: Receiver) -> list[int]:
    """The items of the callbacks that arrived."""
    return sorted(call.body["idx"] for call in receiver.calls)


def test_what_a_job_that_is_sent_again_owes_is_told_whatever_its_items(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 4)
    do(tmp_path, job(receiver, 0, 1, 2, 3), receiver)
    receiver.down()
    do(tmp_path, job(receiver, 2, 3, wall="#ffffff"), receiver)
    assert sweep(tmp_path, receiver) == 2 and markers(tmp_path)
    receiver.up()
    assert sweep(tmp_path, receiver) == 0 and not markers(tmp_path)
    assert told(receiver) == [0, 1, 2, 2, 3, 3]


def test_a_job_that_is_sent_again_leaves_what_was_owed_before_owed(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 4)
    receiver.down()
    do(tmp_path, job(receiver, 0, 1, 2, 3), receiver)
    receiver.up()
    do(tmp_path, job(receiver, 3, wall="#ffffff"), receiver)
    assert told(receiver) == [3] and markers(tmp_path)
    assert sweep(tmp_path, receiver) == 0 and not markers(tmp_path)
    assert told(receiver) == [0, 1, 2, 3]


def test_a_rule_may_be_called_manifest(tmp_path: Path, receiver: Receiver) -> None:
    """Its outputs lie beside the records."""
    put_photos(tmp_path, "job_r", 2, "u")
    receiver.down()
    do(tmp_path, rule_job(rules=[{"ruleId": "manifest", "concept": "wall", "action": "recolor", "value": "#ffffff"}]), receiver)
    receiver.up()
    assert sweep(tmp_path, receiver) == 0 and told(receiver) == [0, 1]


def test_the_records_of_an_earlier_run_do_not_end_the_one_under_way(tmp_path: Path, receiver: Receiver) -> None:
    do(tmp_path, job(receiver, 0, 1), receiver)
    assert {call.body["status"] for call in receiver.calls} == {"failed"}, "there are no photos yet"
    put_photos(tmp_path, "job_1", 2)
    pipeline = TinyPipeline(3600.0)

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline, allow=receiver.host) as worker:
            handle = worker.start(job(receiver, 0, 1))
            async with asyncio.timeout(20):
                while pipeline.running < 2 or not markers(tmp_path):
                    await asyncio.sleep(0.01)
            assert await worker.sweeper.sweep() == 0
            handle.cancel()

    asyncio.run(work())
    assert markers(tmp_path)


def test_a_marker_of_the_version_before_is_understood(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 4)
    receiver.down()
    do(tmp_path, job(receiver, 0, 1, 2, 3), receiver)
    do(tmp_path, job(receiver, 2, 3, wall="#ffffff"), receiver)
    for marker in markers(tmp_path):
        marker.unlink()
    count = {"user_id": "u_abc", "job_id": "job_1", "expected": 2, "since": time.time()}
    (tmp_path / "callbacks-owed/u_abc/job_1.json").write_text(json.dumps(count))
    receiver.up()
    assert sweep(tmp_path, receiver) == 0 and not markers(tmp_path)
    assert told(receiver) == [0, 1, 2, 3]


def test_a_callback_whose_lease_runs_out_while_it_waits_for_a_slot_is_told_once(tmp_path: Path, receiver: Receiver) -> None:
    entered, hold = threading.Event(), threading.Event()

    def hang(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str]]:
        entered.set()
        hold.wait(20)
        return 200, {}

    hanging = Receiver(plan=hang)
    settings = Settings(
        adapter="local",
        callback_secret=SecretStr(CALLBACK_SECRET),
        callback_allow_hosts=f"{receiver.host},{hanging.host}",
        callback_timeout=20.0,
    )
    prefix = "outputs/u_abc/job_1/"

    async def work() -> Tracked:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            client, records = callback_client(settings, Metrics(), FAST), Records(storage, Redactor())
            assert client is not None
            one, two = (Deliverer(client, records, worker=name, metrics=Metrics(), timeout=20.0, concurrency=1) for name in ("one", "two"))
            one.lease = 0.2
            url = f"{receiver.url}/jobs/job_1/callback"
            callback = one.leased(CallbackRecord(url=url, event_id="msg_0", idempotency_prefix="job_1"))
            record = ItemRecord(idx=0, status="completed", fingerprint="f", callback=callback)
            ours = Tracked(*await records.save(record_key(prefix, 0), record, None), ours=True)
            busy = asyncio.create_task(one.tell_once(CallbackEvent(f"{hanging.url}/jobs/x/callback", "msg_x", "x", 0, {"idx": 0})))
            assert await asyncio.to_thread(entered.wait, 20)
            waiting = asyncio.create_task(one.deliver(prefix, ours))
            await two.deliver(prefix, Tracked(ours.record, ours.stat), wait_for_lease=True)
            hold.set()
            await busy
            result = await waiting
            await client.close()
            return result

    try:
        result = asyncio.run(work())
    finally:
        hold.set()
        hanging.down()
    assert result.record.callback is not None and result.record.callback.state == "delivered"
    assert [call.headers["webhook-id"] for call in receiver.calls] == ["msg_0"]


def test_what_a_dead_process_of_this_machine_was_telling_is_free_at_once() -> None:
    """Else a job whose worker was killed and started again would not be over for minutes."""
    program = "import sys; from orchestrator.processes import process_name as name; print(name('one'), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        holder, until = worker.stdout.readline().strip(), time.time() + 3600
        callback = CallbackRecord(url="http://r/", event_id="msg_0", idempotency_prefix="job_1", holder=holder, leased_until=until)
        leases = Leases(longest=7200.0)
        assert leases.left(callback) > 0
        worker.kill()
    assert leases.left(callback) <= 0
    assert leases.left(callback.model_copy(update={"holder": holder.replace("/", "-of-another/", 1)})) > 0


@pytest.mark.parametrize(("seconds", "asked"), [(3600.0, 1), (0.0, 3)])
def test_a_410_is_remembered_for_its_address_and_not_for_ever(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, seconds: float, asked: int
) -> None:
    monkeypatch.setattr(receivers, "GONE_FOR", seconds)
    receiver.plan = lambda number, body: (410, {})
    settings = Settings(adapter="local", callback_secret=SecretStr(CALLBACK_SECRET), callback_allow_hosts=receiver.host)

    async def work() -> list[Any]:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            client = callback_client(settings, Metrics(), FAST)
            assert client is not None
            deliverer = Deliverer(client, Records(storage, Redactor()), worker="one", metrics=Metrics(), timeout=20.0)
            url = f"{receiver.url}/jobs/job_1/callback"
            sums = [await deliverer.tell_once(CallbackEvent(url, f"msg_{idx}", "job_1", idx, {"idx": idx})) for idx in range(3)]
            await client.close()
            return sums

    assert [told["undelivered"][0]["state"] for told in asyncio.run(work())] == ["gone"] * 3
    assert len(receiver.calls) == asked
