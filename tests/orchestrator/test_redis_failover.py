"""Redis fails over while workers wait in it: it answers with errors on lines that stay whole. They go on when it takes writes again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from orchestrator.errors import IntakeError
from orchestrator.intake import bullmq as bullmq_intake
from orchestrator.intake import celery as celery_intake
from orchestrator.intake.base import Intake
from orchestrator.intake.celery_transport import Channel
from orchestrator.service.health import Health
from tests.faults.processes import ForkedProcess, Redis, produce, wait_for, worker_environment
from tests.orchestrator.support import tiny_worker
from tests.orchestrator.test_intakes import done, jobs_in


@pytest.fixture(autouse=True)
def results_may_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's consumer, which runs in this process here, forbids that for good; other tests do so."""
    monkeypatch.setattr("celery._state._task_join_will_block", False)


@pytest.mark.parametrize("adapter", ["bullmq", "celery"])
def test_a_worker_outlives_a_failover(tmp_path: Path, adapter: str) -> None:
    server = Redis(tmp_path / "redis")
    client, queue = redis.from_url(server.url), "failover"
    environment = worker_environment(ADAPTER=adapter, REDIS_URL=server.url, QUEUE_NAME=queue, GRACE_PERIOD_SEC="1")
    command = ["tests.orchestrator.tiny_process", str(tmp_path)]
    worker = ForkedProcess(command, tmp_path / "worker.log", environment, tmp_path / "worker.events")
    try:
        wait_for("a worker that waits for jobs", lambda: int(client.info("clients")["blocked_clients"]) > 0)
        client.replicaof("127.0.0.1", "1")  # it is a replica now: who waits is told so, and writes are refused
        wait_for("nobody waiting", lambda: int(client.info("clients")["blocked_clients"]) == 0)
        client.replicaof("NO", "ONE")
        (message,) = jobs_in(tmp_path, "after")
        if adapter == "bullmq":
            produce(server, queue, [message])
        else:
            celery_intake.make_app(server.url, queue, 60).send_task(celery_intake.TASK, [message])
        wait_for("the job", done(tmp_path, "after"))
        assert worker.stop() == 0
    finally:
        worker.stop()
        server.stop()


@pytest.mark.parametrize("adapter", ["bullmq", "celery"])
def test_a_worker_whose_redis_is_full_or_away_is_not_ready_and_is_again_when_it_is_back(
    tmp_path: Path, adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(celery_intake, "_start", lambda controller: over.wait())  # what looks at the queue is not Celery's
    monkeypatch.setattr(bullmq_intake, "LAG_EVERY", 0.05)
    monkeypatch.setattr(bullmq_intake, "LAG_RETRIES", 0)
    server, stop, waiting = Redis(tmp_path / "redis"), asyncio.Event(), list[float]()
    client = redis.from_url(server.url)
    for key in ("away", f"away{Channel.sep}3"):  # Kombu has a list for each priority
        client.lpush(key, "a message")
    intakes: dict[str, Callable[[], Intake]] = {
        "bullmq": lambda: bullmq_intake.BullmqIntake(server.url, "q", 1),
        "celery": lambda: celery_intake.CeleryIntake(server.url, "away", 1, 0.2),
    }

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            health = Health()
            health.worker = worker
            running = asyncio.create_task(intakes[adapter]().run(worker, stop))

            async def until_ready(but: str = "") -> None:
                async with asyncio.timeout(20):
                    while bool(problem := await health.problem()) != bool(but):
                        await asyncio.sleep(0.02)
                assert but in str(problem)

            await until_ready()
            client.config_set("maxmemory", 1)
            await until_ready("Redis takes no jobs: command not allowed when used memory > 'maxmemory'")
            client.config_set("maxmemory", 0)
            await until_ready()
            server.kill()
            await until_ready("Redis does not answer")
            server.start()
            await until_ready()
            waiting.append(worker._metrics.queue_lag._value.get())
            stop.set()
            over.set()
            await running

    try:
        asyncio.run(work())
    finally:
        server.stop()
    assert waiting == [2.0 if adapter == "celery" else 0.0]


def test_a_celery_that_ends_by_itself_is_an_error(tmp_path: Path, redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(controller: object) -> None:
        raise ValueError("out of order")

    monkeypatch.setattr(celery_intake, "_start", fail)

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            await celery_intake.CeleryIntake(redis_server.url, "ends", 1, 60).run(worker, asyncio.Event())

    with pytest.raises(IntakeError, match=r"Celery's consumer has ended by itself \(out of order\)"):
        asyncio.run(work())
