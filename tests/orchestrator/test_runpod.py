"""Runpod's official SDK: against a stand-in of its job API, and with its own local API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.processes import Process, free_port, wait_for, worker_environment
from tests.faults.standins import RunpodApi
from tests.orchestrator.support import palette_job, put_photos


@pytest.fixture
def api() -> Iterator[RunpodApi]:
    standin = RunpodApi()
    yield standin
    standin.close()


@contextlib.contextmanager
def runpod_worker(folder: Path, settings: dict[str, str], *arguments: str, seconds: float = 0.0) -> Iterator[Process]:
    environment = worker_environment(ADAPTER="runpod", JOB_CONCURRENCY="2", **settings)
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", str(folder), str(seconds), *arguments]
    process = Process(command, folder / "worker.log", environment, folder / "worker.events")
    try:
        yield process
    finally:
        process.stop(5)


def events(folder: Path) -> list[dict[str, Any]]:
    """Every line of stdout is an event, whatever the SDK prints."""
    return [json.loads(line) for line in (folder / "worker.events").read_text().splitlines()]


def test_jobs_progress_results_and_the_way_down(tmp_path: Path, api: RunpodApi) -> None:
    for name in ("r1", "r2"):
        put_photos(tmp_path, name, 3)
        api.push(f"rp-{name}", palette_job(name, 3))
    api.push("rp-bad", {"preset": "castle"})
    with runpod_worker(tmp_path, api.environment(), seconds=0.2) as process:
        wait_for("three results", lambda: len(api.results) == 3, 60)
        assert api.results["rp-r1"]["output"]["status"] == "completed" and "error" not in api.results["rp-r1"]
        assert "the message is no job" in api.results["rp-bad"]["error"]
        wait_for("progress", lambda: ("rp-r1", {"done": 3, "total": 3}) in api.progress, 10)
        assert len(api.progress) <= 8, "throttled"
        process.send(signal.SIGTERM)
        wait_for("the end", lambda: not process.alive, 20)
    assert events(tmp_path)[-1]["event"] == "finish"
    assert any(e.get("status") == "cleaning_up" for e in events(tmp_path))


def test_a_cancelled_job_stops_and_its_neighbour_goes_on(tmp_path: Path, api: RunpodApi) -> None:
    put_photos(tmp_path, "long", 40)
    put_photos(tmp_path, "short", 1)
    api.push("rp-long", palette_job("long", 40))
    with runpod_worker(tmp_path, {"BATCH_CONCURRENCY": "1", **api.environment()}, seconds=0.5):
        wait_for("the long job", lambda: (tmp_path / "worker.events").exists() and "stored" in (tmp_path / "worker.events").read_text(), 60)
        api.stop.append("rp-long")
        api.push("rp-short", palette_job("short", 1))
        wait_for("the short one", lambda: "rp-short" in api.results, 30)
    assert "rp-long" not in api.results
    assert len(list((tmp_path / "outputs/u_abc/long/manifest").iterdir())) < 30


def test_a_worker_that_is_not_fit_does_not_start(tmp_path: Path, api: RunpodApi) -> None:
    environment = worker_environment(ADAPTER="runpod", **api.environment())
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", str(tmp_path / "missing"), "0"]
    process = Process(command, tmp_path / "unfit.log", environment, tmp_path / "unfit.events")
    wait_for("the end", lambda: not process.alive, 30)
    assert process.stop() == 1 and "does not exist" in (tmp_path / "unfit.log").read_text()


def test_away_from_runpod_the_missing_variable_and_the_other_intakes_are_named(tmp_path: Path) -> None:
    """Where the SDK itself would end with a line about test_input.json, for instance because ADAPTER was never set."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GPU_CALLBACK_SECRET": "not-so-secret"}
    command = [str(Path(sys.executable).parent / "respray"), "work", "--store", "."]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "RUNPOD_WEBHOOK_GET_JOB" in done.stderr and "set ADAPTER to queue_pull, bullmq" in done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["status"]) == ("finish", "failed") and "ADAPTER" in last["error"]


def test_the_sdks_own_local_api(tmp_path: Path) -> None:
    put_photos(tmp_path, "local", 2)
    port = free_port()
    with runpod_worker(tmp_path, {}, "--rp_serve_api", "--rp_api_port", str(port)):

        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://localhost:{port}/").status_code == 200
            return False

        wait_for("the local API", answers, 60)
        answer = httpx.post(f"http://localhost:{port}/runsync", json={"input": palette_job("local", 2)}, timeout=60).json()
    assert answer["status"] == "COMPLETED" and answer["output"]["completed"] == 2, answer
