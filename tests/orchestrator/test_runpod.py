"""Runpod's official SDK: against a stand-in of its job API, and with its own local API."""

from __future__ import annotations

import asyncio
import base64
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

from orchestrator.errors import ResprayError
from orchestrator.intake.answers import with_files
from orchestrator.records.item_record import ItemRecord, StoredFile
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.handle import JobResult
from tests.commands import respray
from tests.faults.processes import Process, free_port, status_of, wait_for, worker_environment
from tests.faults.standins import RunpodApi
from tests.orchestrator.support import palette_job, photo, put_photos


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
    return events_of(folder / "worker.events")


def events_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_jobs_progress_results_and_the_way_down(tmp_path: Path, api: RunpodApi) -> None:
    for name in ("r1", "r2"):
        put_photos(tmp_path, name, 3)
        api.push(f"rp-{name}", palette_job(name, 3))
    api.push("rp-bad", {"preset": "castle"})
    with runpod_worker(tmp_path, api.environment(), seconds=0.2) as process:
        wait_for("three results", lambda: len(api.results) == 3)
        assert api.results["rp-r1"]["output"]["status"] == "completed" and "error" not in api.results["rp-r1"]
        assert "the message is no job" in api.results["rp-bad"]["error"]
        wait_for("progress", lambda: ("rp-r1", {"done": 3, "total": 3}) in api.progress)
        assert len(api.progress) <= 8, "throttled"
        process.send(signal.SIGTERM)
        wait_for("the end", lambda: not process.alive)
    assert events(tmp_path)[-1]["event"] == "finish"
    assert any(e.get("status") == "cleaning_up" for e in events(tmp_path))


def test_a_cancelled_job_stops_and_its_neighbour_goes_on(tmp_path: Path, api: RunpodApi) -> None:
    put_photos(tmp_path, "long", 40)
    put_photos(tmp_path, "short", 1)
    api.push("rp-long", palette_job("long", 40))
    with runpod_worker(tmp_path, {"BATCH_CONCURRENCY": "1", **api.environment()}, seconds=0.5):
        wait_for("the long job", lambda: (tmp_path / "worker.events").exists() and "stored" in (tmp_path / "worker.events").read_text())
        api.stop.append("rp-long")
        api.push("rp-short", palette_job("short", 1))
        wait_for("the short one", lambda: "rp-short" in api.results)
    assert "rp-long" not in api.results
    assert len(list((tmp_path / "outputs/u_abc/long/manifest").iterdir())) < 30


def test_a_worker_that_is_not_fit_does_not_start(tmp_path: Path, api: RunpodApi) -> None:
    environment = worker_environment(ADAPTER="runpod", **api.environment())
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", str(tmp_path / "missing"), "0"]
    process = Process(command, tmp_path / "unfit.log", environment, tmp_path / "unfit.events")
    wait_for("the end", lambda: not process.alive)
    assert process.stop() == 1 and "does not exist" in (tmp_path / "unfit.log").read_text()

    said = [(event["event"], event.get("status")) for event in events_of(tmp_path / "unfit.events")]
    assert said[-2:] == [("connection", "failed"), ("finish", "failed")] and ("worker", "ready") not in said
    assert "Traceback" not in (tmp_path / "unfit.log").read_text()


@pytest.mark.parametrize(
    ("argument", "settings", "sentence"),
    [
        ('{"input"', {}, "Runpod's SDK did not start"),
        ("[1]", {}, "Runpod's SDK did not start"),
        (
            '{"input": {"job_id": 1}}',
            {"STORAGE_S3_ENDPOINT": "http://127.0.0.1:9"},
            "no answer from the store (EndpointConnectionError) (http://127.0.0.1:9",
        ),
        ('{"input": {"job_id": 1}}', {"HEALTH_HOST": "no-such-host.test"}, "HEALTH_HOST=no-such-host.test cannot be used"),
        ('{"input": {"job_id": 1}}', {"JOB_CONCURRENCY": "many"}, "JOB_CONCURRENCY"),
    ],
)
def test_a_start_that_fails_is_a_sentence_and_events(tmp_path: Path, argument: str, settings: dict[str, str], sentence: str) -> None:
    environment = worker_environment(ADAPTER="runpod", **settings)
    store = "-" if "STORAGE_S3_ENDPOINT" in settings else str(tmp_path)
    command = ["work", "--test_input", argument, *(() if store == "-" else ("--store", store))]
    done = respray(*command, cwd=tmp_path, environment=environment)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert [(event["event"], event.get("status")) for event in said][-2:] == [("connection", "failed"), ("finish", "failed")]
    assert sentence in said[-1]["error"] and ("worker", "ready") not in [(event["event"], event.get("status")) for event in said]


def test_the_sdks_end_after_a_test_input_closes_everything_in_order(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)
    arguments = ("--test_input", json.dumps({"input": palette_job("job_1", 1)}))
    with runpod_worker(tmp_path, {}, *arguments) as process:
        wait_for("the end", lambda: not process.alive)
        assert process.stop() == 0
    log = (tmp_path / "worker.log").read_text()
    assert "Traceback" not in log and "asynchronous generator" not in log, log
    assert [(event["event"], event.get("status")) for event in events(tmp_path)][-2:] == [
        ("connection", "disconnected"),
        ("finish", "completed"),
    ]


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
                return status_of(f"http://localhost:{port}/") == 200
            return False

        wait_for("the local API", answers)
        answer = httpx.post(f"http://localhost:{port}/runsync", json={"input": palette_job("local", 2)}, timeout=60).json()
    assert answer["status"] == "COMPLETED" and answer["output"]["completed"] == 2, answer


NO_BUCKET = {"STORAGE_ACCESS_KEY": "", "STORAGE_SECRET_KEY": "", "STORAGE_BUCKET": "", "GPU_CALLBACK_SECRET": ""}
FLOOR = {"Floor": {"action": "recolor", "value": "oak_a"}}


def test_a_photo_in_the_message_and_its_result_in_the_answer_without_any_bucket(tmp_path: Path, api: RunpodApi) -> None:
    inline = base64.b64encode(photo(1)).decode()
    masks = {"Floor": {"base64": base64.b64encode(photo(2)).decode()}}
    api.push("sync-1-u1", {"photo": inline, "concepts": FLOOR})
    api.push("sync-2-u1", {"photo": f"data:image/jpeg;base64,{inline}", "concepts": FLOOR, "preset": "interior", "mask_keys": masks,
                           "options": {"format": "webp", "preview_size": 64, "masks": True}})  # fmt: skip
    api.push("sync-3-u1", {"photo": "not base64!", "concepts": FLOOR})
    api.push("sync-4-u1", {"photo": base64.b64encode(b"no photo").decode(), "concepts": FLOOR})
    api.push("sync-5-u1", palette_job("keys", 1))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = worker_environment(ADAPTER="runpod", TMPDIR=str(temporary), **NO_BUCKET, **api.environment())
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", "-"]
    process = Process(command, tmp_path / "worker.log", environment, tmp_path / "worker.events")
    try:
        wait_for("five results", lambda: len(api.results) == 5)
        left = [path for path in temporary.rglob("*") if path.is_file()]
        process.send(signal.SIGTERM)
        wait_for("the end", lambda: not process.alive)
    finally:
        process.stop(5)
    first, second = (api.results[name]["output"]["items"][0]["files"] for name in ("sync-1-u1", "sync-2-u1"))
    assert [(f["kind"], f["name"], f["media_type"]) for f in first] == [("output", "result", "image/jpeg")]
    assert base64.b64decode(first[0]["base64"]).endswith(b":result")
    assert [(f["kind"], f["media_type"]) for f in second[:2]] == [("output", "image/webp"), ("preview", "image/jpeg")]
    assert {f["kind"] for f in second[2:]} == {"mask"} and all(f["base64"] for f in second)
    assert "photo: is not base64" in api.results["sync-3-u1"]["error"]
    assert "photo: the file is not an image" in api.results["sync-4-u1"]["error"]
    assert "this worker has no bucket" in api.results["sync-5-u1"]["error"]
    assert "inputs/u_abc/keys/0.jpg" in api.results["sync-5-u1"]["error"]
    assert left == [], "each answer has all that its job left"
    said = (tmp_path / "worker.events").read_text() + (tmp_path / "worker.log").read_text()
    assert inline[:40] not in said and first[0]["base64"] not in said


def test_what_does_not_fit_into_an_answer_has_its_key_or_is_an_error_without_a_bucket(tmp_path: Path) -> None:
    """As the handler does it, with results of real sizes."""
    result = JobResult("j", "completed", 1, 0, 1)

    async def answer(size: int, keys_last: bool) -> dict[str, Any]:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            await storage.write("outputs/inline/j/0.png", b"x" * size, "image/png")
            await storage.write("previews/inline/j/0_thumb.jpg", b"y" * 4_000, "image/jpeg")
            result.records = [_finished("outputs/inline/j/0.png", size, "previews/inline/j/0_thumb.jpg", 4_000)]
            return await with_files(result, storage, keys_last)

    whole = asyncio.run(answer(5_900_000, True))
    assert len(json.dumps(whole)) < 8_000_000 and all("base64" in entry for entry in whole["items"][0]["files"])
    large, small = asyncio.run(answer(6_100_000, True))["items"][0]["files"]
    assert "base64" not in large and "read it from its key" in large["note"] and small["base64"]
    with pytest.raises(ResprayError, match=r"the output has 6.1 MB.*set STORAGE_S3_ENDPOINT"):
        asyncio.run(answer(6_100_000, False))


def _finished(output: str, size: int, preview: str, preview_size: int) -> ItemRecord:
    files = [StoredFile(key=output, size=size, digest=""), StoredFile(key=preview, size=preview_size, digest="")]
    outputs = {"result": output}
    return ItemRecord(idx=0, status="completed", fingerprint="f", output_key=output, outputs=outputs, preview_key=preview, files=files)
