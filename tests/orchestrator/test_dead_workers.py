"""A worker that was killed: what it held comes back long before the longest job could end, and a living worker keeps what it holds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from orchestrator.errors import IntakeError
from orchestrator.intake.celery import TASK, Naming, make_app, unacked_index
from orchestrator.intake.held_leases import HeldLeases
from orchestrator.intake.queue_pull import QueueClient, QueuePullIntake
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from tests.faults import virtual_time
from tests.faults.processes import ForkedProcess, Redis, wait_for, worker_environment
from tests.faults.standins import CloudflareQueue
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, tiny_worker

HOUR = 3600.0
# Ten times as long as a record counts that does not change.
QUIET = 600.0


def address(queue: CloudflareQueue) -> str:
    return f"{queue.url}/accounts/{queue.ACCOUNT}/queues/{queue.QUEUE}/messages"


@contextlib.contextmanager
def standin() -> Any:
    queue = CloudflareQueue()
    try:
        yield queue
    finally:
        queue.close()


def test_a_dead_workers_lease_of_an_hour_is_returned_by_its_neighbour(tmp_path: Path) -> None:
    put_photos(tmp_path, "a", 2)

    async def die(queue: CloudflareQueue) -> None:
        """Pull, write the lease down, and never be heard of again."""
        client = QueueClient(address(queue), queue.TOKEN)
        (lease,), _ = await client.pull(1, HOUR)
        async with AsyncStorage(FolderStorage(tmp_path)) as storage:
            held = HeldLeases(storage, "q", "dead", 60.0, lambda leases: asyncio.sleep(0))
            held.take(lease.lease_id)
            keeping = asyncio.create_task(held.run())
            while not (tmp_path / "leases/q/dead.json").exists():
                await asyncio.sleep(0.02)
            keeping.cancel()
        await client.close()

    async def work(queue: CloudflareQueue) -> None:
        async with tiny_worker(tmp_path, TinyPipeline()) as worker:
            stop = asyncio.Event()
            intake = QueuePullIntake(QueueClient(address(queue), queue.TOKEN), 2, HOUR, queue="q", beat=0.2)
            running = asyncio.create_task(intake.run(worker, stop))
            deadline = time.monotonic() + 60
            while not queue.acked and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            stop.set()
            await asyncio.wait_for(running, 30)

    with standin() as queue:
        queue.push(palette_job("a", 2))
        asyncio.run(die(queue))
        assert queue.messages[0].visible_at > time.time() + HOUR - 120
        asyncio.run(work(queue))
        assert len(queue.acked) == 1 and (tmp_path / "outputs/u_abc/a/manifest.json").is_file()
    assert not list((tmp_path / "leases").rglob("*.json")), "nobody's record is left"


def test_a_living_workers_leases_are_left_alone_whatever_their_age(tmp_path: Path) -> None:
    returned: list[str] = []

    async def give_back(leases: Sequence[str]) -> None:
        returned.extend(leases)

    async def work() -> None:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            workers = [HeldLeases(storage, "q", f"w{number}", 15.0, give_back) for number in range(6)]
            for number, worker in enumerate(workers):
                worker.take(f"lease-{number}")
            keeping = [asyncio.create_task(worker.run()) for worker in workers]
            await asyncio.sleep(QUIET)
            assert not returned
            keeping[0].cancel()
            keeping[1].cancel()
            await asyncio.sleep(120.0)
            assert set(returned) == {"lease-0", "lease-1"}
            await asyncio.sleep(QUIET)
            for task in keeping:
                task.cancel()
            for worker in workers[2:]:
                await worker.close()

    virtual_time.run(work())
    assert set(returned) == {"lease-0", "lease-1"}


def test_a_record_that_cannot_be_read_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "leases/q").mkdir(parents=True)
    (tmp_path / "leases/q/odd.json").write_text('{"leases": 7}')

    async def work() -> None:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            keeping = asyncio.create_task(HeldLeases(storage, "q", "w", 15.0, lambda leases: asyncio.sleep(0)).run())
            await asyncio.sleep(120.0)
            assert not keeping.done()
            keeping.cancel()

    virtual_time.run(work())
    assert not list((tmp_path / "leases").rglob("*.json"))


@pytest.mark.parametrize(
    "answer",
    [None, [], "text", {"result": []}, {"result": {"messages": "x"}}, {"result": {"messages": [None, {}, {"lease_id": 7}, {"body": "x"}]}},
     {"result": {"messages": [], "message_backlog_count": "many"}}],
)  # fmt: skip
def test_an_answer_of_another_shape_stops_nobody(tmp_path: Path, answer: Any) -> None:
    async def work(queue: CloudflareQueue) -> None:
        queue.trouble = [(200, answer)]
        client = QueueClient(address(queue), queue.TOKEN)
        try:
            with contextlib.suppress(IntakeError):
                assert await client.pull(1, 30) == ([], None)
            leases, backlog = await client.pull(1, 30)
            assert len(leases) == 1 and backlog == 0
        finally:
            await client.close()

    with standin() as queue:
        queue.push({"hello": 1})
        asyncio.run(work(queue))


# Celery


@contextlib.contextmanager
def celery_worker(folder: Path, server: Redis, queue: str, name: str, photos: float | Path, lock: str = "1", **settings: str) -> Any:
    ours = {"ADAPTER": "celery", "REDIS_URL": server.url, "QUEUE_NAME": queue, "GRACE_PERIOD_SEC": "1", "JOB_LOCK_SEC": lock}
    environment = worker_environment(**ours, **settings)
    command = ["tests.orchestrator.tiny_process", str(folder), str(photos)]
    process = ForkedProcess(command, folder / f"{name}.log", environment, folder / f"{name}.events")
    try:
        yield process
    finally:
        process.stop()


def started(server: Redis, task_id: str) -> int:
    return int(redis.from_url(server.url).get(f"respray:deliveries:{task_id}") or 0)


def test_celery_brings_back_what_a_killed_worker_held(tmp_path: Path, redis_server: Redis) -> None:
    """LONGEST_JOB_SEC is half an hour here; the lock is a second."""
    put_photos(tmp_path, "kill", 2)
    result = make_app(redis_server.url, "celery-kill", 2).send_task(TASK, [palette_job("kill", 2)])
    with celery_worker(tmp_path, redis_server, "celery-kill", "first", 600) as process:
        wait_for("a job under way", lambda: started(redis_server, result.id) == 1)
        process.kill()
    with celery_worker(tmp_path, redis_server, "celery-kill", "second", 0):
        wait_for("its result", result.ready)
    assert result.get()["status"] == "completed"


def test_celery_keeps_a_job_that_takes_longer_than_the_timeout(tmp_path: Path, redis_server: Redis) -> None:
    """The photo ends when the message has been held for longer than the timeout, after which the other worker would have taken it.

    The sender's lists have names of their own: a prefix, and one for each of ten priorities, as Celery's documentation shows it. It looks
    for results elsewhere, under another prefix.
    """
    put_photos(tmp_path, "long", 1)
    index: Any = redis.from_url(redis_server.url)
    gate = tmp_path / "gate"
    elsewhere = f"{redis_server.url.rpartition('/')[0]}/3"
    naming = Naming("staging:", ":", elsewhere, "answers:")
    result = make_app(redis_server.url, "celery-long", 4, naming).send_task(TASK, [palette_job("long", 1)], priority=4)
    assert index.llen("staging:celery-long:4") == 1
    names = {"CELERY_KEY_PREFIX": "staging:", "CELERY_SEPARATOR": ":"}
    names |= {"CELERY_RESULT_URL": elsewhere, "CELERY_RESULT_KEY_PREFIX": "answers:"}

    def held_since() -> list[float]:
        """When Redis was last told that a worker holds the message, by Redis' own record."""
        return [float(score) for _, score in index.zrange(f"staging:{unacked_index('celery-long')}", 0, -1, withscores=True)]

    with (
        celery_worker(tmp_path, redis_server, "celery-long", "first", gate, lock="2", **names),
        celery_worker(tmp_path, redis_server, "celery-long", "second", gate, lock="2", **names),
    ):
        wait_for("a job under way", lambda: started(redis_server, result.id) == 1 and held_since())
        (began,) = held_since()
        wait_for("its lease kept beyond the timeout", lambda: any(since > began + 4 + 1 for since in held_since()))
        assert started(redis_server, result.id) == 1
        gate.touch()
        wait_for("its result", result.ready)
    assert result.get()["status"] == "completed" and started(redis_server, result.id) == 0, "delivered once, and its count is cleared"
    assert redis.from_url(elsewhere).exists(f"answers:celery-task-meta-{result.id}") == 1


def test_celery_refuses_a_task_without_its_one_argument(tmp_path: Path, redis_server: Redis) -> None:
    app = make_app(redis_server.url, "celery-odd", 60)
    results = [app.send_task(TASK, []), app.send_task(TASK, [1, 2]), app.send_task(TASK, kwargs={"job": 1}), app.send_task(TASK, [None])]
    with celery_worker(tmp_path, redis_server, "celery-odd", "first", 0, lock="30"):
        wait_for("the results", lambda: all(result.ready() for result in results))
    assert all(result.get()["status"] == "failed" for result in results)
    letters = [json.loads(path.read_text()) for path in (tmp_path / "failed/unreadable").iterdir()]
    assert len(letters) == 4 and all(letter["reason"] for letter in letters)


def test_a_local_job_that_kills_its_worker_each_time_is_given_up(tmp_path: Path) -> None:
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    put_photos(store, "poison", 1)
    inbox.mkdir()
    (inbox / "poison.json").write_text(json.dumps(palette_job("poison", 1)))
    environment = worker_environment(ADAPTER="local", LOCAL_PATH=str(inbox), GRACE_PERIOD_SEC="0", JOB_ATTEMPTS="2")
    command = ["tests.orchestrator.tiny_process", str(store), str(tmp_path / "never")]
    counted = inbox / "taken/poison.json.attempts"
    for attempt in ("1", "2"):
        worker = ForkedProcess(command, tmp_path / f"{attempt}.log", environment, tmp_path / f"{attempt}.events")
        wait_for("an attempt", lambda number=attempt: counted.is_file() and counted.read_text().startswith(f"{number} "))
        if attempt == "1":  # an order to stop is not the job's doing
            worker.stop()
            assert counted.read_text().startswith("0 ")
            worker = ForkedProcess(command, tmp_path / "1b.log", environment, tmp_path / "1b.events")
            wait_for("an attempt", lambda: counted.read_text().startswith("1 "))
        worker.kill()
    last = ForkedProcess(command, tmp_path / "3.log", environment, tmp_path / "3.events")
    try:
        wait_for("its end", (inbox / "failed/poison.json").is_file)
    finally:
        last.stop()
    record = json.loads((store / "outputs/u_abc/poison/manifest/0.json").read_text())
    assert "delivered 3 times without an end" in record["error"] and not counted.exists()
