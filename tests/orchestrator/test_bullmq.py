"""BullMQ beyond the way of a good job: idle queues, messages that the library cannot read, prefixes, a Redis that hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import bullmq
import pytest
import redis
import redis.asyncio
from bullmq.custom_errors import DelayedError
from bullmq.worker import default_maximum_block_timeout

from orchestrator.errors import IntakeError, SettingsError
from orchestrator.intake.bullmq import MAX_RETRIES, WAITS, BullmqIntake, with_timeouts
from orchestrator.intake.celery import CeleryIntake
from orchestrator.intake.redis_server import check_redis, refusal
from orchestrator.intake.repeated_lines import OncePerWhile
from orchestrator.settings import load_settings, require
from tests.faults.processes import Redis
from tests.orchestrator.support import GatedPipeline, tiny_worker
from tests.orchestrator.test_intakes import bull_take, done, jobs_in


def connection(url: str) -> dict[str, Any]:
    return dict(redis.asyncio.from_url(with_timeouts(url)).connection_pool.connection_kwargs)


def test_no_wait_in_redis_is_cut_off_by_the_clients_own_timeout() -> None:
    """Else an idle worker never looks for jobs whose delay is over."""
    assert connection("redis://host/0")["socket_timeout"] > default_maximum_block_timeout
    given = connection("rediss://:p%40w@host:1/2?ssl_ca_certs=/a/b.pem&socket_timeout=60")
    assert given["socket_timeout"] == 60.0 and given["ssl_ca_certs"] == "/a/b.pem" and (given["password"], given["db"]) == ("p@w", 2)


def test_a_redis_that_is_back_is_noticed_within_a_second_or_two() -> None:
    assert max(WAITS.compute(number) for number in range(MAX_RETRIES)) <= 1.0


def test_a_delayed_job_is_taken_from_an_idle_queue(tmp_path: Path, redis_server: Redis) -> None:
    async def add() -> None:
        queue = bullmq.Queue("delayed", {"connection": redis_server.url})
        await queue.add("edit", jobs_in(tmp_path, "late")[0], {"delay": 300})
        await queue.close()

    asyncio.run(add())
    bull_take(tmp_path, redis_server, "delayed", lambda s: s["completed"] == 1)


@pytest.mark.parametrize(
    ("field", "value", "outcome"),
    [
        ("data", '{"job_id": "deep", "concepts": ' + "[" * 2000 + "]" * 2000 + "}", "failed"),
        ("data", "{broken", "failed"),
        ("opts", "[" * 2000 + "]" * 2000, "completed"),  # what matters can be read
    ],
)
def test_what_bullmq_cannot_read_is_refused_with_a_dead_letter(
    tmp_path: Path, redis_server: Redis, field: str, value: str, outcome: str
) -> None:
    name = f"unread-{field}-{len(value)}"

    async def add() -> None:
        queue = bullmq.Queue(name, {"connection": redis_server.url})
        job = await queue.add("edit", jobs_in(tmp_path, "whole")[0])
        await queue.close()
        redis.from_url(redis_server.url).hset(f"bull:{name}:{job.id}", field, value)

    asyncio.run(add())
    bull_take(tmp_path, redis_server, name, lambda s: s[outcome] == 1)
    letters = [json.loads(path.read_text()) for path in (tmp_path / "failed").rglob("*.json")]
    assert [letter["attempts"] for letter in letters] == ([1] if outcome == "failed" else [])
    assert all(value.startswith(letter["message"][:100]) for letter in letters)


def test_a_prefix_as_nodes_queues_have_it(tmp_path: Path, redis_server: Redis) -> None:
    settings = load_settings({"REDIS_URL": redis_server.url, "QUEUE_NAME": "prefixed", "BULLMQ_PREFIX": "staging"}, env_file=None)

    async def work() -> None:
        queues = {prefix: bullmq.Queue("prefixed", {"connection": redis_server.url, "prefix": prefix}) for prefix in ("bull", "staging")}
        for (prefix, queue), message in zip(queues.items(), jobs_in(tmp_path, "bull", "staging"), strict=True):
            await queue.add(prefix, message)
        async with tiny_worker(tmp_path) as worker:
            stop = asyncio.Event()
            running = asyncio.create_task(BullmqIntake.from_settings(settings).run(worker, stop))
            deadline = time.monotonic() + 30
            while not done(tmp_path, "staging")() and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            stop.set()
            await running
        for queue in queues.values():
            await queue.close()

    asyncio.run(work())
    assert done(tmp_path, "staging")() and not done(tmp_path, "bull")()


@pytest.mark.parametrize(("adapter", "named"), [("bullmq", "BULLMQ_PREFIX"), ("celery", "CELERY_SEPARATOR")])
def test_a_queue_s_name_that_its_library_would_take_apart_is_refused(adapter: str, named: str) -> None:
    values = {"ADAPTER": adapter, "REDIS_URL": "redis://h", "QUEUE_NAME": "staging:respray", "GPU_CALLBACK_SECRET": "s"}
    with pytest.raises(SettingsError, match=named):
        require(load_settings(values | {"CELERY_SEPARATOR": ":"}, env_file=None), storage=False, adapter=True)


@pytest.mark.parametrize("rights", [["~*", "+ping", "+select", "+client", "+info", "+hello"], ["~other:*", "+@all"]])
def test_a_redis_that_answers_a_ping_and_refuses_a_queue_is_not_waited_for(redis_server: Redis, rights: list[str]) -> None:
    """Else the worker says that it takes jobs, and its library's error ten times a second."""
    client: Any = redis.from_url(redis_server.url)
    client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">secretpw1", "&*", *rights)
    url = redis_server.url.replace("//", "//few:secretpw1@")
    for intake in (BullmqIntake(url, "q", 1), CeleryIntake(url, "q", 1, 60)):
        with pytest.raises(IntakeError, match=r"no permissions to .*; give its user all commands on the queue's keys") as caught:
            asyncio.run(intake.reach(asyncio.Event()))
        assert "secretpw1" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "said"), [("HELLO", "it is older than Redis 6; accepted is Redis 6.2"), ("EVALSHA", "is disabled or renamed there")]
)
def test_a_redis_that_lacks_a_command_is_said_to(command: str, said: str) -> None:
    """Redis 5 knows no HELLO, with which redis-py begins. What it answers, byte for byte, from a socket."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(f"-ERR unknown command `{command}`, with args beginning with: `3`, \r\n".encode())
        writer.close()

    async def work() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            await check_redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", ["q"])

    with pytest.raises(IntakeError, match=f"unknown command `{command}`.*; .*{said}"):
        asyncio.run(work())


@pytest.mark.parametrize(("seconds", "said"), [(0, None), (-3600, "behind"), (3600, "ahead of")])
def test_a_clock_that_is_not_redis_own_is_said_to_be(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, seconds: int, said: str | None
) -> None:
    """Queues' libraries write this machine's time into Redis, where others read it."""
    monkeypatch.setattr(OncePerWhile, "filter", lambda *_: True)  # another test may just have said it
    assert refusal([True, (int(time.time()) - seconds, 0)]) is None
    assert [line.split("'s clock is ")[1].split(" Redis'")[0] for line in caplog.messages] == ([said] if said else [])


def test_a_bullmq_worker_that_ends_by_itself_is_an_error(tmp_path: Path, redis_server: Redis) -> None:
    """Else nobody takes jobs any more, and /readyz says ready."""
    rights = ["~*", "&*", "+@all", "-client|setname"]
    client: Any = redis.from_url(redis_server.url)
    client.execute_command("ACL", "SETUSER", "nameless", "reset", "on", ">secretpw1", *rights)

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            url = redis_server.url.replace("//", "//nameless:secretpw1@")
            await asyncio.wait_for(BullmqIntake(url, "ends", 1).run(worker, asyncio.Event()), 10)

    with pytest.raises(IntakeError, match=r"BullMQ's worker has ended by itself \(.*no permissions"):
        asyncio.run(work())


def test_a_queue_s_library_says_the_same_once_in_half_a_minute() -> None:
    now = [0.0]
    lets = OncePerWhile(lambda: now[0]).filter
    line = logging.makeLogRecord
    assert [lets(line({"msg": text})) for text in ("a", "a", "b", "a")] == [True, False, True, False]
    now[0] = 31.0
    assert lets(line({"msg": "a"})) and not lets(line({"msg": "a"}))
    assert [lets(line({"msg": str(number)})) for number in range(40)] == [True] * 40 and lets(line({"msg": "a"}))


def test_a_job_that_cannot_be_delayed_is_not_failed_for_it(tmp_path: Path) -> None:
    """It comes back when its lock has run out."""

    class Job:
        id, timestamp, attemptsStarted, data = "1", 1, 1, jobs_in(tmp_path, "one")[0]

        @property
        def backend(self) -> Any:
            return self

        async def moveToDelayed(self, *arguments: Any) -> None:
            raise redis.ConnectionError("away")

    async def work() -> None:
        async with tiny_worker(tmp_path, GatedPipeline()) as worker:
            worker.grace = 0.01
            stop = asyncio.Event()
            stop.set()
            job: Any = Job()
            await BullmqIntake("redis://h", "q", 1)._process(worker, stop, job, "token")

    with pytest.raises(DelayedError):
        asyncio.run(work())
