"""Every intake against the real thing, or against a stand-in that the service's own client is tested with too."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bullmq
import pytest
import redis
from celery.exceptions import Reject
from cloudflare import Cloudflare

from orchestrator.errors import IntakeError
from orchestrator.intake.base import Intake, backoff
from orchestrator.intake.bullmq import BullmqIntake
from orchestrator.intake.celery import TASK, CeleryIntake, make_app
from orchestrator.intake.local import LocalIntake
from orchestrator.intake.queue_pull import MAX_IDLE_SECONDS, MIN_IDLE_SECONDS, Lease, QueueClient, QueuePullIntake, decode_body
from orchestrator.worker.worker import Worker
from tests.faults import virtual_time
from tests.faults.processes import ForkedProcess, Redis, produce, wait_for, worker_environment
from tests.faults.standins import CloudflareQueue
from tests.orchestrator.support import GatedPipeline, PipelineUnavailable, TinyPipeline, palette_job, put_photos, tiny_worker

Check = Callable[[], bool]


def take(
    folder: Path,
    intake: Intake,
    until: Check,
    pipeline: TinyPipeline | None = None,
    *,
    seconds: float = 30.0,
    grace: float = 5.0,
    **options: Any,
) -> list[dict[str, Any]]:
    """Run an intake until a condition holds, then stop it; the events."""
    events: list[dict[str, Any]] = []

    async def work() -> None:
        async with tiny_worker(folder, pipeline, events=events, **options) as worker:
            worker.grace = grace
            stop = asyncio.Event()
            running = asyncio.create_task(intake.run(worker, stop))
            deadline = time.monotonic() + seconds
            while not until() and not running.done() and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            stop.set()
            await asyncio.wait_for(running, 20)
            await worker.drain(5)

    asyncio.run(work())
    assert until(), f"not within {seconds:g} s; last events: {events[-3:]}"
    return events


def jobs_in(folder: Path, *names: str, count: int = 2) -> list[dict[str, Any]]:
    for name in names:
        put_photos(folder, name, count)
    return [palette_job(name, count) for name in names]


def done(folder: Path, *names: str) -> Check:
    return lambda: all((folder / f"outputs/u_abc/{name}/manifest.json").is_file() for name in names)


# Cloudflare Queues


@pytest.fixture
def queue() -> Iterator[CloudflareQueue]:
    standin = CloudflareQueue()
    yield standin
    standin.close()


def pull_intake(queue: CloudflareQueue, jobs: int = 2, visibility: float = 60.0) -> QueuePullIntake:
    url = f"{queue.url}/accounts/{queue.ACCOUNT}/queues/{queue.QUEUE}/messages"
    return QueuePullIntake(QueueClient(url, queue.TOKEN), jobs, visibility)


def test_the_stand_in_speaks_as_the_official_client_expects(queue: CloudflareQueue) -> None:
    client = Cloudflare(api_token=queue.TOKEN, base_url=queue.url)
    where: dict[str, Any] = {"queue_id": queue.QUEUE, "account_id": queue.ACCOUNT}
    client.queues.messages.push(**where, body={"hello": 1}, content_type="json")
    pulled = client.queues.messages.pull(**where, batch_size=10, visibility_timeout_ms=6000)
    assert pulled is not None and pulled.messages is not None
    message = pulled.messages[0]
    assert decode_body({"body": message.body}) == b'{"hello": 1}' and message.attempts == 1
    client.queues.messages.ack(**where, acks=[{"lease_id": message.lease_id or ""}])
    assert len(queue.acked) == 1 and not queue.messages


def test_queue_pull_works_off_every_kind_of_body(tmp_path: Path, queue: CloudflareQueue) -> None:
    messages = jobs_in(tmp_path, "a", "b", "c", "d")
    queue.push(messages[0], "json")
    queue.push(messages[1], "text")
    queue.push(messages[2], "bytes")
    queue.push(json.dumps(json.dumps(messages[3])), "json")  # serialised twice
    take(tmp_path, pull_intake(queue), lambda: done(tmp_path, *"abcd")() and len(queue.acked) == 4)
    assert all(pull["visibility_timeout_ms"] == 60_000 and pull["batch_size"] <= 2 for pull in queue.pulls)


def test_queue_pull_acknowledges_what_is_no_job_and_keeps_the_reason(tmp_path: Path, queue: CloudflareQueue) -> None:
    queue.push("{broken", "text")
    queue.push(palette_job() | {"preset": "castle"})
    take(tmp_path, pull_intake(queue), lambda: len(queue.acked) == 2)
    reasons = [json.loads(f.read_text())["reason"] for f in (tmp_path / "failed/unreadable").iterdir()]
    assert any("not JSON" in r for r in reasons) and any("unknown preset 'castle'" in r and "interior" in r for r in reasons)


def test_queue_pull_returns_with_a_delay_what_may_pass(tmp_path: Path, queue: CloudflareQueue) -> None:
    queue.push(jobs_in(tmp_path, "a")[0])
    pipeline = TinyPipeline(fail=lambda n, p: PipelineUnavailable("away"))
    take(tmp_path, pull_intake(queue), lambda: len(queue.retried) == 1, pipeline, patience=0.05)
    assert queue.retried[0][1] == backoff(1) and not queue.acked


def test_queue_pull_gives_leases_back_on_the_order_to_stop(tmp_path: Path, queue: CloudflareQueue) -> None:
    queue.push(jobs_in(tmp_path, "a")[0])
    pipeline = TinyPipeline(seconds=60)

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline) as worker:
            worker.grace = 0.3
            stop = asyncio.Event()
            running = asyncio.create_task(pull_intake(queue).run(worker, stop))
            while not pipeline.running:
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.wait_for(running, 30)  # half of what the photo takes

    asyncio.run(work())
    assert [delay for _, delay in queue.retried] == [0] and queue.messages[0].visible_at <= time.time()


def test_queue_pull_survives_trouble_and_says_what_is_wrong_with_a_token(tmp_path: Path, queue: CloudflareQueue) -> None:
    queue.push(jobs_in(tmp_path, "a")[0])
    queue.trouble = [(429, {}), (500, {}), (503, {})]
    take(tmp_path, pull_intake(queue), done(tmp_path, "a"))

    async def pull_with_a_wrong_token() -> None:
        client = QueueClient(f"{queue.url}/accounts/{queue.ACCOUNT}/queues/{queue.QUEUE}/messages", "wrong")
        try:
            await client.pull(1, 30)
        finally:
            await client.close()

    with pytest.raises(IntakeError, match="CF_API_TOKEN"):
        asyncio.run(pull_with_a_wrong_token())


class EmptyQueue(QueueClient):
    """A queue without messages that notes when it is asked."""

    def __init__(self) -> None:
        super().__init__("http://none", "token")
        self.asked: list[float] = []

    async def pull(self, count: int, visibility: float) -> tuple[list[Lease], int | None]:
        """As QueueClient.pull."""
        self.asked.append(asyncio.get_running_loop().time())
        return [], 0


def test_an_idle_queue_is_asked_less_and_less(tmp_path: Path) -> None:
    empty = EmptyQueue()

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            stop = asyncio.Event()
            running = asyncio.create_task(QueuePullIntake(empty, 2, 60.0).run(worker, stop))
            await asyncio.sleep(600.0)
            stop.set()
            await running

    virtual_time.run(work())
    waits = [later - earlier for earlier, later in itertools.pairwise(empty.asked)]
    grown = [min(MAX_IDLE_SECONDS, MIN_IDLE_SECONDS * 1.6**number) for number in range(1, len(waits) + 1)]
    assert all(0.75 * idle <= wait <= 1.25 * idle + 1e-6 for idle, wait in zip(grown, waits, strict=True)), waits
    assert waits[-1] > 10 * waits[0] and 25 < len(empty.asked) < 60


# BullMQ


async def bull_state(redis: Redis, queue: str) -> dict[str, int]:
    handle = bullmq.Queue(queue, {"connection": redis.url})
    try:
        return dict(await handle.getJobCounts("completed", "failed", "delayed", "active", "waiting"))
    finally:
        await handle.close()


def bull_take(
    folder: Path, redis: Redis, queue: str, until: Callable[[dict[str, int]], bool], pipeline: TinyPipeline | None = None, **options: Any
) -> None:
    async def work() -> None:
        async with tiny_worker(folder, pipeline, **options) as worker:
            worker.grace = 2.0
            stop = asyncio.Event()
            running = asyncio.create_task(BullmqIntake(redis.url, queue, 2, lock=1.0, stalled_every=1.0).run(worker, stop))
            try:
                deadline = time.monotonic() + 30
                while not until(state := await bull_state(redis, queue)):
                    assert time.monotonic() < deadline, state
                    await asyncio.sleep(0.1)
            finally:
                stop.set()
                await asyncio.wait_for(running, 20)
                await worker.drain(5)

    asyncio.run(work())


def test_bullmq_works_off_what_a_node_producer_adds(tmp_path: Path, redis_server: Redis) -> None:
    messages = jobs_in(tmp_path, "n1", "n2", "n3")
    produce(redis_server, "node", [*messages, {"nonsense": True}])
    bull_take(tmp_path, redis_server, "node", lambda s: s["completed"] == 3 and s["failed"] == 1)
    assert done(tmp_path, "n1", "n2", "n3")()


def test_bullmq_repeats_a_job_with_its_data(tmp_path: Path, redis_server: Redis) -> None:
    """`repeat` of Node's `queue.add`, whose next run this library would make without them."""
    produce(redis_server, "repeat", jobs_in(tmp_path, "repeat"), {"repeat": {"every": 250}})
    bull_take(tmp_path, redis_server, "repeat", lambda s: s["completed"] + s["failed"] >= 2)
    assert asyncio.run(bull_state(redis_server, "repeat"))["failed"] == 0


def test_bullmq_renews_its_lock_while_a_job_takes_longer_than_it(tmp_path: Path, redis_server: Redis) -> None:
    produce(redis_server, "slow", jobs_in(tmp_path, "slow", count=1))
    pipeline = TinyPipeline(seconds=3.5)  # the lock is 1 s, and stalled jobs are looked for every second
    bull_take(tmp_path, redis_server, "slow", lambda s: s["completed"] == 1, pipeline)
    assert pipeline.calls == 1


def test_bullmq_delays_what_may_pass_whatever_attempts_the_producer_gave(tmp_path: Path, redis_server: Redis) -> None:
    produce(redis_server, "again", jobs_in(tmp_path, "again"), {"attempts": 1})
    pipeline = TinyPipeline(fail=lambda n, p: PipelineUnavailable("away"))
    bull_take(tmp_path, redis_server, "again", lambda s: s["delayed"] == 1, pipeline, patience=0.05)


def test_bullmq_hands_back_what_is_not_done_in_time_whatever_the_clock_says(
    tmp_path: Path, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(redis_server, "back", jobs_in(tmp_path, "back"))
    pipeline, right = TinyPipeline(seconds=60), time.time
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda: right() + 86400)
        bull_take(tmp_path, redis_server, "back", lambda s: s["active"] == 1 and pipeline.running > 0, pipeline)
    state = asyncio.run(bull_state(redis_server, "back"))
    assert state["failed"] == 0 and state["active"] == 0 and state["delayed"] + state["waiting"] == 1
    bull_take(tmp_path, redis_server, "back", lambda s: s["completed"] == 1)


def test_redis_that_is_not_there_is_one_sentence_without_the_password() -> None:
    with pytest.raises(IntakeError, match=r"no usable Redis at 127.0.0.1:1/0") as caught:
        asyncio.run(BullmqIntake("redis://:hunter22@127.0.0.1:1/0", "q", 1).reach(asyncio.Event()))
    assert "hunter22" not in str(caught.value)


# Celery, in a process of its own: its state is global


@contextlib.contextmanager
def celery_worker(folder: Path, redis: Redis, queue: str, seconds: float = 0.0, **settings: str) -> Iterator[ForkedProcess]:
    environment = worker_environment(ADAPTER="celery", REDIS_URL=redis.url, QUEUE_NAME=queue, GRACE_PERIOD_SEC="1", **settings)
    command = ["tests.orchestrator.tiny_process", str(folder), str(seconds)]
    process = ForkedProcess(command, folder / "worker.log", environment, folder / "worker.events")
    try:
        yield process
    finally:
        process.stop()


def test_celery_works_off_tasks_and_keeps_results(tmp_path: Path, redis_server: Redis) -> None:
    messages = jobs_in(tmp_path, "c1", "c2")
    app = make_app(redis_server.url, "celery-test", 60)
    assert app.conf.task_acks_late and app.conf.worker_prefetch_multiplier == 1
    results = [app.send_task(TASK, [message]) for message in [*messages, {"nonsense": True}]]
    with celery_worker(tmp_path, redis_server, "celery-test") as process:
        wait_for("three results", lambda: all(r.ready() for r in results))
        assert [r.get()["status"] for r in results] == ["completed", "completed", "failed"]
        assert process.stop() == 0
    assert done(tmp_path, "c1", "c2")()


def test_celery_delivers_again_what_was_handed_back(tmp_path: Path, redis_server: Redis) -> None:
    result = make_app(redis_server.url, "celery-back", 60).send_task(TASK, [jobs_in(tmp_path, "cb")[0]])
    with celery_worker(tmp_path, redis_server, "celery-back", seconds=60) as process:
        wait_for("a job under way", lambda: redis_started(redis_server, result.id))
        process.stop()
    with celery_worker(tmp_path, redis_server, "celery-back"):
        wait_for("its result", result.ready)
    assert result.get()["status"] == "completed"


def test_celery_keeps_a_job_whose_next_attempt_cannot_be_sent(tmp_path: Path, redis_server: Redis) -> None:
    """A delivery that is rejected without `requeue` is gone, and nothing else holds the job."""
    intake = CeleryIntake(redis_server.url, "celery-lost", 1, 60)
    redis.from_url(redis_server.url).set("celery-lost", "no list")  # so that Redis refuses at once what is sent
    message = jobs_in(tmp_path, "lost")[0]

    @intake.app.task(name=TASK, bind=True, shared=False)  # type: ignore[untyped-decorator]
    def task(self: Any, message: Any) -> None:
        """Never called."""

    def deliver(worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        task.push_request(id="lost", called_directly=False, args=[message], kwargs={}, retries=0, delivery_info={})  # per thread
        intake.deliver(task, message, worker, asyncio.Event(), loop)

    async def work() -> None:
        async with tiny_worker(tmp_path, TinyPipeline(fail=lambda n, p: PipelineUnavailable("away")), patience=0.05) as worker:
            await asyncio.to_thread(deliver, worker, asyncio.get_running_loop())

    with pytest.raises(Reject, match="no further attempt could be sent") as caught:
        asyncio.run(work())
    assert caught.value.requeue


def redis_started(server: Redis, task_id: str) -> bool:
    return bool(redis.from_url(server.url).exists(f"respray:deliveries:{task_id}"))


# Local


def test_a_watched_folder(tmp_path: Path) -> None:
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    inbox.mkdir()
    for message in jobs_in(store, "f1", "f2"):
        (inbox / f"{message['job_id']}.json").write_text(json.dumps(message))
    (inbox / "bad.json").write_text("{")
    take(store, LocalIntake(str(inbox), 2, poll=0.05), lambda: len(list(inbox.glob("*/*.json"))) == 3 and not list(inbox.glob("taken/*")))
    assert sorted(f.name for f in (inbox / "done").iterdir()) == ["f1.json", "f2.json"]
    assert [f.name for f in (inbox / "failed").iterdir()] == ["bad.json"]


def test_a_file_that_a_dead_worker_had_taken_is_taken_again(tmp_path: Path) -> None:
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    (inbox / "taken").mkdir(parents=True)
    (inbox / "taken" / "f1.json").write_text(json.dumps(jobs_in(store, "f1")[0]))
    take(store, LocalIntake(str(inbox), 1, poll=0.05), (inbox / "done" / "f1.json").is_file)


def test_names_of_files_as_people_and_programs_give_them(tmp_path: Path) -> None:
    """The longest of names used to end the worker, and each one after it; a hidden file is one that is still being written."""
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    (inbox / "taken").mkdir(parents=True)
    long, odd = "n" * 250 + ".json", os.fsdecode(b"\xff.json")
    for message, name in zip(jobs_in(store, "f1", "f2", "f3"), (long, odd, "JOB.JSON"), strict=True):
        (inbox / name).write_text(json.dumps(message))
    (inbox / ".job.json").write_text("{")
    take(store, LocalIntake(str(inbox), 2, poll=0.05), lambda: len(list(inbox.glob("done/*"))) == 3)
    assert sorted(f.name for f in (inbox / "done").iterdir()) == sorted([long, odd, "JOB.JSON"])
    assert not any((inbox / "failed").iterdir()) and not any((inbox / "taken").iterdir()) and (inbox / ".job.json").exists()


def drop(inbox: Path, name: str, message: dict[str, Any]) -> None:
    """Move a file into a watched folder, as its users do."""
    inbox.mkdir(exist_ok=True)
    (inbox / "coming").write_text(json.dumps(message))
    (inbox / "coming").replace(inbox / name)


def test_a_file_waits_while_one_of_its_name_is_worked_on(tmp_path: Path) -> None:
    store, inbox, gate = tmp_path / "store", tmp_path / "inbox", GatedPipeline()
    first, second, third = jobs_in(store, "first", "second", "third")
    drop(inbox, "job.json", first)

    def meanwhile() -> bool:
        if (inbox / "taken/job.json").exists() and not (inbox / "job.json").exists() and not (inbox / "taken/last.json").exists():
            drop(inbox, "job.json", second)
            drop(inbox, "last.json", third)
        if (inbox / "taken/last.json").exists() and not gate.open:  # by then job.json was looked at as well
            assert json.loads((inbox / "taken/job.json").read_text()) == first and json.loads((inbox / "job.json").read_text()) == second
            gate.open = True
        return done(store, "first", "second", "third")() and not [*inbox.glob("*.json"), *inbox.glob("taken/*")]

    take(store, LocalIntake(str(inbox), 3, poll=0.05), meanwhile, gate)
    assert json.loads((inbox / "done/job.json").read_text()) == second


def test_a_file_that_is_handed_back_replaces_no_newer_one_of_its_name(tmp_path: Path) -> None:
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    first, second = jobs_in(store, "first", "second")
    drop(inbox, "job.json", first)
    take(store, LocalIntake(str(inbox), 2, poll=0.05), (inbox / "taken/job.json").exists, GatedPipeline(), grace=0.01)
    drop(inbox, "job.json", second)
    take(store, LocalIntake(str(inbox), 2, poll=0.05), lambda: done(store, "first", "second")() and not [*inbox.glob("taken/*")])


def test_the_order_to_stop_between_two_attempts_leaves_the_file_to_the_next_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, inbox = tmp_path / "store", tmp_path / "inbox"
    drop(inbox, "job.json", jobs_in(store, "one")[0])
    away = TinyPipeline(fail=lambda n, p: PipelineUnavailable("away"))
    take(store, LocalIntake(str(inbox), 1, poll=0.05), lambda: "attempt 1: " in caplog.text, away, patience=0.05, attempts=3)
    assert (inbox / "taken/job.json").exists() and "attempt 2" not in caplog.text
    take(store, LocalIntake(str(inbox), 1, poll=0.05), (inbox / "done/job.json").is_file)


def test_a_file_that_cannot_be_put_away_does_not_end_the_session(tmp_path: Path) -> None:
    store, inbox, gate = tmp_path / "store", tmp_path / "inbox", GatedPipeline()
    drop(inbox, "job.json", jobs_in(store, "one")[0])

    def meanwhile() -> bool:
        if (inbox / "taken/job.json").exists() and not gate.open:
            (inbox / "done").rmdir()
            (inbox / "done").write_text("no folder")
            gate.open = True
            drop(inbox, "last.json", {})
        return (inbox / "failed/last.json").exists()

    events = take(store, LocalIntake(str(inbox), 1, poll=0.05), meanwhile, gate)
    # In either order: a job's last event waits for its callbacks, a refused message has none.
    assert sorted(e["job_id"] for e in events if e["event"] == "finish") == ["", "one"], "each is done once"


def test_a_single_file_ends_the_session(tmp_path: Path) -> None:
    message = tmp_path / "job.json"
    message.write_text(json.dumps(jobs_in(tmp_path, "one")[0]))
    take(tmp_path, LocalIntake(str(message), 1), done(tmp_path, "one"))


def test_a_path_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="neither a file nor a folder"):
        asyncio.run(LocalIntake(str(tmp_path / "none"), 1).reach(asyncio.Event()))
