"""A Redis that hangs, as behind a network that is cut: the order to stop ends a worker all the same."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.faults.processes import Process, Redis, wait_for, worker_environment


@pytest.mark.parametrize("adapter", ["bullmq", "celery"])
def test_the_order_to_stop_ends_a_worker_whose_redis_hangs(tmp_path: Path, adapter: str) -> None:
    server = Redis(tmp_path / "redis")
    events = tmp_path / "worker.events"
    environment = worker_environment(ADAPTER=adapter, REDIS_URL=server.url, QUEUE_NAME="hung", GRACE_PERIOD_SEC="0")
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", str(tmp_path / "store")]
    (tmp_path / "store").mkdir()
    worker = Process(command, tmp_path / "worker.log", environment, events)
    try:
        wait_for("a worker", lambda: '"ready"' in events.read_text())
        server.send(signal.SIGSTOP)
        assert worker.stop(60) == 0  # long before the twenty seconds after which it would be ended with 1
        assert '"finish"' in events.read_text()
    finally:
        server.send(signal.SIGCONT)
        server.stop()
        worker.stop()
