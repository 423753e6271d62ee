"""The order to stop ends a worker that still waits for something that hangs, and its events say so."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Process, wait_for, worker_environment
from tests.orchestrator.support import palette_job, put_photos

RUN = [sys.executable, "-m", "orchestrator.cli.app", "run"]
GRACE = 60
"""Seconds: what does not end long before them was not ended by the order."""


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("what", "settings", "waits"),
    [
        ("Triton", {"ADAPTER": "local", "TRITON_URL": "127.0.0.1:{port}"}, "waiting for Triton"),
        ("the store", {"ADAPTER": "local", "STORAGE_S3_ENDPOINT": "http://127.0.0.1:{port}"}, "initializing"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_that_waits_is_ended(
    tmp_path: Path, mute: int, what: str, settings: dict[str, str], waits: str, number: signal.Signals
) -> None:
    given = {name: value.format(port=mute) for name, value in settings.items()}
    given = {"TRITON_URL": "127.0.0.1:1"} | given
    environment = worker_environment(LOCAL_PATH=str(tmp_path), GRACE_PERIOD_SEC=str(GRACE), REQUIRE_REAL_MODEL="false", **given)
    events, store = tmp_path / "events", [] if "STORAGE_S3_ENDPOINT" in given else ["--store", str(tmp_path)]
    worker = Process([sys.executable, "-m", "orchestrator.cli.app", "work", *store], tmp_path / "log", environment, events)
    try:
        wait_for(f"a worker that waits for {what}", lambda: waits in events.read_text())
        time.sleep(0.5)
        worker.send(number)
        wait_for("its end", lambda: not worker.alive)
        assert worker.stop() == 0
        said = [json.loads(line) for line in events.read_text().splitlines()]
        assert [event.get("status") for event in said][-3:] == ["cleaning_up", "disconnected", "completed"]
        assert not any(event.get("status") == "ready" for event in said)
    finally:
        worker.stop()


def test_one_job_that_is_stopped_says_so(tmp_path: Path, mute: int) -> None:
    put_photos(tmp_path, "job_1", 1)
    (tmp_path / "job.json").write_text(json.dumps(palette_job(count=1)))
    environment, events = worker_environment(TRITON_URL=f"127.0.0.1:{mute}"), tmp_path / "events"
    run = Process([*RUN, str(tmp_path / "job.json"), "--store", str(tmp_path)], tmp_path / "log", environment, events)
    try:
        wait_for("a command that waits", lambda: "waiting for Triton" in events.read_text())
        run.send(signal.SIGTERM)
        wait_for("its end", lambda: not run.alive)
        last = json.loads(events.read_text().splitlines()[-1])
        assert run.stop() == 1 and last["event"] == "finish" and last["status"] == "failed"
        assert "the order to stop came before the job was done" in last["error"] and "Traceback" not in run.log.read_text()
    finally:
        run.stop()
