"""A Redis that hangs, as behind a network that is cut: the order to stop ends a worker all the same."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from orchestrator.errors import IntakeError
from orchestrator.intake import redis_server
from tests.faults.processes import ForkedProcess, Redis, wait_for, worker_environment


@pytest.mark.parametrize("adapter", ["bullmq", "celery"])
def test_the_order_to_stop_ends_a_worker_whose_redis_hangs(tmp_path: Path, adapter: str) -> None:
    server = Redis(tmp_path / "redis")
    events = tmp_path / "worker.events"
    environment = worker_environment(ADAPTER=adapter, REDIS_URL=server.url, QUEUE_NAME="hung", GRACE_PERIOD_SEC="0")
    command = ["tests.orchestrator.tiny_process", str(tmp_path / "store")]
    (tmp_path / "store").mkdir()
    worker = ForkedProcess(command, tmp_path / "worker.log", environment, events)
    try:
        wait_for("a worker", lambda: '"ready"' in events.read_text())
        server.send(signal.SIGSTOP)
        assert worker.stop(60) == 0  # long before the twenty seconds after which it would be ended with 1
        assert '"finish"' in events.read_text()
    finally:
        server.send(signal.SIGCONT)
        server.stop()
        worker.stop()


def test_a_redis_that_hangs_is_no_usable_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.2)
    server = Redis(tmp_path / "redis")
    server.send(signal.SIGSTOP)
    try:
        with pytest.raises(IntakeError, match=r"no usable Redis at 127\.0\.0\.1:\d+/0: Timeout"):
            asyncio.run(redis_server.check_redis(server.url, ["hung"]))
    finally:
        server.send(signal.SIGCONT)
        server.stop()
