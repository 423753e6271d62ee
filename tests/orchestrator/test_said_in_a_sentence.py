"""What senders and operators get wrong in ways that only the store or the end of a run shows: one sentence each, and no traceback."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import JobError, JobsFailed
from orchestrator.intake.local import LocalIntake
from orchestrator.intake.queue_pull import QueueClient, QueuePullIntake
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from tests.commands import respray
from tests.faults.standins import CloudflareQueue
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, rule_job, tiny_worker


def do(folder: Path, message: Any) -> Any:
    """One job, once: its result."""

    async def work() -> Any:
        async with tiny_worker(folder, TinyPipeline()) as worker:
            return await worker.start(message, final=True).finished()

    return asyncio.run(work())


def one_item(output_key: str) -> dict[str, Any]:
    message = palette_job(count=1)
    return message | {"items": [message["items"][0] | {"output_key": output_key}]}


def test_a_rule_job_that_nobody_is_told_of_says_so(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_r", 2, "u")
    result = do(tmp_path, rule_job())
    assert result.ok and "WORKERS_API_URL" in result.fields()["warnings"][0]


@pytest.mark.parametrize("part", ["x" * 300, "x" * 300 + "/a"], ids=["file", "folder"])
def test_a_name_that_is_too_long_for_a_folder(tmp_path: Path, part: str) -> None:
    put_photos(tmp_path, "job_1", 1)
    result = do(tmp_path, one_item(f"outputs/u_abc/job_1/{part}.png"))
    assert "too long for a file's name" in result.error and "Traceback" not in result.error


def test_a_key_below_another_file_in_a_folder(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)
    taken = tmp_path / "outputs/u_abc/job_1/a.png"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"a file")
    result = do(tmp_path, one_item("outputs/u_abc/job_1/a.png/b.png"))
    assert "cannot be a file and hold others below it" in result.error


@pytest.mark.parametrize("name", ["manifest/0.json/a.png", "manifest/versions.json/a.png", "manifest.json/a.png"])
def test_an_output_under_the_jobs_own_records_is_refused(tmp_path: Path, name: str) -> None:
    result = do(tmp_path, one_item(f"outputs/u_abc/job_1/{name}"))
    assert result.dead and "own records" in result.error


def test_a_photo_that_appears_a_moment_after_its_job_is_found(tmp_path: Path) -> None:
    async def work() -> Any:
        async with tiny_worker(tmp_path, TinyPipeline()) as worker:
            read, asked = worker.storage.read, list[str]()

            async def uploads_late(key: str, limit: int) -> Any:
                if key.startswith("inputs/"):
                    asked.append(key)
                    if len(asked) == 2:
                        put_photos(tmp_path, "job_1", 1)
                return await read(key, limit)

            worker.storage.read = uploads_late  # type: ignore[method-assign]
            return await worker.start(palette_job(count=1), final=True).finished()

    assert asyncio.run(work()).ok


@pytest.mark.parametrize("around", ["input", "data", "job"])
def test_a_job_in_an_envelope_of_another_queue_is_told_so(around: str) -> None:
    with pytest.raises(JobError, match=f"is no job: .*; what '{around}' holds is to be sent alone"):
        parse_job({"id": "a", around: palette_job()}, load_catalog())


@pytest.mark.parametrize("protected", ["Floor", "floor"])
@pytest.mark.parametrize("message", [palette_job(), rule_job(preset="interior", concepts=["Wall", "Floor"])], ids=["palette", "rules"])
def test_a_concept_that_is_edited_and_protected_is_a_contradiction(message: dict[str, Any], protected: str) -> None:
    with pytest.raises(JobError, match=rf"protect: '{protected}' and 'Floor' are the same concept; .* either edited or protected"):
        parse_job(message | {"protect": ["Sofa", protected]}, load_catalog(), "https://host.test")


def test_what_a_preset_protects_by_default_may_be_edited() -> None:
    catalog = load_catalog()
    edited = catalog.presets["interior"].protect[0]
    job = parse_job(palette_job(concepts={edited: {"action": "recolor", "value": "oak_a"}}), catalog)
    assert edited not in job.items[0].request.protect


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_local_source_with_a_failed_job_ends_in_an_error(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text(json.dumps(palette_job(count=1)) + "\n")  # its photo is not there

    async def work() -> None:
        async with tiny_worker(tmp_path, TinyPipeline(), attempts=1) as worker:
            await LocalIntake(str(jobs) if source == "file" else "-", 1).run(worker, asyncio.Event())

    with jobs.open("rb") as lines:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(lines))
        with pytest.raises(JobsFailed, match=r"1 of 1 job"):
            asyncio.run(work())


@pytest.mark.parametrize("adapter", ["bullmq", "celery", "local", "queue_pull"])
def test_a_worker_is_not_ready_before_its_queue_was_reached(tmp_path: Path, adapter: str, triton_url: str) -> None:
    cloudflare = CloudflareQueue()
    with contextlib.closing(cloudflare), socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        environment = {"REDIS_URL": f"redis://127.0.0.1:{taken.getsockname()[1]}", "QUEUE_NAME": "photos", "LOCAL_PATH": "nowhere"}
        environment |= {"CF_API_URL": cloudflare.url, "CF_ACCOUNT_ID": "a", "CF_QUEUE_ID": "q", "CF_API_TOKEN": "revoked"}
        environment |= {"ADAPTER": adapter, "GPU_CALLBACK_SECRET": "s" * 32, "REQUIRE_REAL_MODEL": "false", "HEALTH_PORT": "0"}
        done = respray("work", "--store", ".", "--triton-url", triton_url, cwd=tmp_path, environment={**os.environ, **environment})
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not [event for event in events if event.get("status") == "ready"], events
    assert [(event["event"], event["status"]) for event in events][-2:] == [("connection", "failed"), ("finish", "failed")]


def test_what_the_first_look_at_cloudflares_queue_brings_is_worked_on(tmp_path: Path) -> None:
    queue = CloudflareQueue()
    put_photos(tmp_path, "job_1", 1)
    queue.push(palette_job(count=1))

    async def work(stopped: bool) -> None:
        intake = QueuePullIntake(QueueClient(f"{queue.url}/accounts/{queue.ACCOUNT}/queues/{queue.QUEUE}/messages", queue.TOKEN), 2, 60.0)
        stop = asyncio.Event()
        async with tiny_worker(tmp_path, TinyPipeline()) as worker:
            await intake.reach(stop)
            if stopped:
                stop.set()
            running = asyncio.create_task(intake.run(worker, stop))
            while not (queue.acked or queue.retried):
                await asyncio.sleep(0.01)
            stop.set()
            await running

    with contextlib.closing(queue):
        asyncio.run(work(stopped=True))
        assert not queue.acked and [delay for _, delay in queue.retried] == [0.0], "an order to stop in between returns it"
        queue.retried.clear()
        asyncio.run(work(stopped=False))
        assert len(queue.acked) == 1 and (tmp_path / "outputs/u_abc/job_1/manifest/0.json").is_file()


def test_respray_work_ends_in_an_error_after_a_failed_job(tmp_path: Path, triton_url: str) -> None:
    put_photos(tmp_path, "job_1", 1)
    (tmp_path / "inputs/u_abc/job_1/0.jpg").write_bytes(b"no photo")
    (tmp_path / "jobs.jsonl").write_text(json.dumps(palette_job(count=1)) + "\n")
    environment = {**os.environ, "HEALTH_PORT": "0"}
    command = [sys.executable, "-m", "orchestrator.cli.app", "work", "--adapter", "local", "--path", "jobs.jsonl", "--store", "."]
    command += ["--triton-url", triton_url]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False)
    said = [(event["event"], event.get("status")) for event in map(json.loads, done.stdout.splitlines())]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert said[-2:] == [("connection", "disconnected"), ("finish", "failed")] and ("connection", "failed") not in said
