"""What a hostile or unlucky surrounding does at the worker's edges: each of these once stopped, starved or confused it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import JobError, StorageError
from orchestrator.intake import runpod as runpod_module
from orchestrator.intake.local import LocalIntake
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.net.address_policy import AddressPolicy
from orchestrator.net.links import LinkClient
from orchestrator.records.records import Records
from orchestrator.service import health as health_module
from orchestrator.service.health import Health, serve_health
from orchestrator.service.open_worker import WorkerOptions
from orchestrator.settings import Settings
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker import downloads
from orchestrator.worker.backend import AdaptiveLimit
from orchestrator.worker.item_runner import ItemRunner
from orchestrator.worker.job_state import MAX_SHARED_ATTACHMENTS, look_at_job
from respray.contract.photo_file import inspect
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from tests.faults import virtual_time
from tests.faults.processes import PROJECT, worker_environment
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, tiny_worker


def test_a_place_in_the_pipeline_comes_back_from_a_task_that_is_cancelled_twice() -> None:
    async def work() -> None:
        limit = AdaptiveLimit(2)

        async def hold() -> None:
            async with limit.slot():
                await asyncio.sleep(60)

        tasks = [asyncio.create_task(hold()) for _ in range(6)]
        await asyncio.sleep(0.05)
        for _ in range(2):
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1), limit.slot(), limit.slot():
            pass

    virtual_time.run(work())


def test_places_are_given_one_by_one_and_grow_back() -> None:
    async def work() -> None:
        limit, running, most = AdaptiveLimit(4), 0, 0
        async with limit.slot() as slot:
            assert limit.halve(slot) and limit.size == 2

        async def hold() -> None:
            nonlocal running, most
            async with limit.slot():
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001)
                running -= 1
            limit.succeeded()

        await asyncio.gather(*(hold() for _ in range(limit.GROW_AFTER - 1)))
        assert most == 2 and limit.size == 2
        await asyncio.gather(*(hold() for _ in range(limit.GROW_AFTER * 3)))
        assert limit.size == 4 and most <= 4

    virtual_time.run(work())


def test_what_items_share_is_bounded(tmp_path: Path) -> None:
    """Sixteen masks an item, each used by two items of many: a job must not hold them all."""
    names = [f"c{number}" for number in range(16)]
    message = palette_job(count=20, preset=None, concepts={name: {"action": "recolor", "value": "#112233"} for name in names})
    for item in message["items"]:
        half = item["idx"] % 10
        item["mask_keys"] = {name: f"inputs/u_abc/job_1/mask_{half}_{name}.png" for name in names}
    put_photos(tmp_path, "job_1", 20)
    for half in range(10):
        for name in names:
            (tmp_path / f"inputs/u_abc/job_1/mask_{half}_{name}.png").write_bytes(photo(half))
    message = {key: value for key, value in message.items() if value is not None}

    async def work() -> int:
        async with tiny_worker(tmp_path, TinyPipeline()) as worker:
            records = Records(worker.storage, Redactor())
            items = ItemRunner(
                worker.storage,
                records,
                worker.backend,
                links=LinkClient(AddressPolicy()),
                deliverer=worker.deliverer,
                metrics=Metrics(),
                worker="tester",
                budget=worker.budget,
            )
            state = await look_at_job(worker.storage, parse_job(message, load_catalog()), 1, True, 4)
            await asyncio.gather(*(items.run(state, item) for item in state.job.items))
            return len(state.shared)

    assert asyncio.run(work()) <= MAX_SHARED_ATTACHMENTS


def test_a_photo_too_long_for_its_output_is_refused_before_any_work(tmp_path: Path) -> None:
    message = palette_job(count=2)
    message["items"][0]["output_key"] = "outputs/u_abc/job_1/0.webp"
    put_photos(tmp_path, "job_1", 2)
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "inputs/u_abc/job_1" / name).write_bytes(photo(size=(16_384, 8)))
    pipeline, events = TinyPipeline(), list[dict[str, Any]]()

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline, events=events) as worker:
            await worker.start(message).finished()

    asyncio.run(work())
    refused, done = sorted((event for event in events if event["event"] == "item"), key=lambda event: event["idx"])
    assert done["status"] == "completed" and pipeline.calls == 1, "a PNG holds it"
    assert "0.jpg: a webp file holds at most 16383 pixels on a side" in refused["error"] and "png or jpeg" in refused["error"]


def test_files_are_inspected_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many small blocks takes seconds to look through, and leases are renewed on the loop."""
    put_photos(tmp_path, "job_1", 2)
    threads: list[threading.Thread] = []

    def spied(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return inspect(*arguments)

    monkeypatch.setattr(downloads, "inspect", spied)

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            assert (await worker.start(palette_job(count=2)).finished()).ok

    asyncio.run(work())
    assert len(threads) == 2 and threading.main_thread() not in threads


def test_a_marker_of_a_newer_run_stays(tmp_path: Path) -> None:
    """An older run that ends while a newer one of the same job is under way must not hide the newer one's callbacks from the sweep."""
    job = parse_job(palette_job(callback_url="https://x.example/"), load_catalog())

    async def work() -> None:
        async with AsyncStorage(FolderStorage(tmp_path, sync=False)) as storage:
            records = Records(storage, Redactor())
            older, newer = await records.markers.mark_owed(job), await records.markers.mark_owed(job)
            await records.markers.clear_owed(older)
            assert (tmp_path / newer.key).is_file()
            await records.markers.clear_owed(newer)
            assert not (tmp_path / newer.key).exists()
            await records.markers.clear_owed(newer)

    asyncio.run(work())


def test_an_owed_callback_expires_however_long_its_receiver_asks_for(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 1)
    receiver.plan = lambda number, body: (503, {"Retry-After": "999999999"})

    async def work() -> None:
        async with tiny_worker(tmp_path, allow=receiver.host) as worker:
            await worker.start(palette_job(count=1, callback_url=f"{receiver.url}/jobs/job_1/callback")).finished()
            path = tmp_path / "outputs/u_abc/job_1/manifest/0.json"
            record = json.loads(path.read_text())
            assert record["callback"]["state"] == "owed"
            record["callback"]["owed_since"] -= 4 * 86400
            path.write_text(json.dumps(record))
            assert await worker.sweeper.sweep() == 0
            assert json.loads(path.read_text())["callback"]["state"] == "expired"

    asyncio.run(work())
    assert not list((tmp_path / "callbacks-owed").rglob("*.json"))


@pytest.mark.parametrize(
    "message",
    [
        '{"job_id": "a", "items": [' + "1," * 400_000 + "1]}",
        "{" + ",".join(f'"f{number}": 1' for number in range(60_000)) + ', "job_id": "a"}',
        json.dumps(palette_job() | {"preset": "x" * 900_000}),
        json.dumps(palette_job(concepts={f"c{n}": {"action": "recolor", "value": "o" * 60_000} for n in range(16)})),
        json.dumps(palette_job() | {"items": [{f"k{n}": n for n in range(100)}] * 900}),
        '{"job_id": ' + "9" * 1_000_000 + "}",
        '{"job_id": "a", "options": {"threshold": 1e999}}',
    ],
    ids=["numbers", "unknown fields", "long preset", "long palette ids", "fields of items", "long number", "infinity"],
)
def test_a_large_bad_message_holds_the_event_loop_for_a_moment_only(message: str) -> None:
    began = time.process_time()
    with pytest.raises(JobError) as caught:
        parse_job(message, load_catalog())
    assert time.process_time() - began < 4 and len(str(caught.value)) < 20_000


def test_a_watched_folder_leaves_alone_what_is_no_file(tmp_path: Path) -> None:
    inbox, store = tmp_path / "inbox", tmp_path / "store"
    inbox.mkdir()
    os.mkfifo(inbox / "a_pipe.json")
    (inbox / "b_folder.json").mkdir()
    (inbox / "c_nowhere.json").symlink_to(tmp_path / "none")
    put_photos(store, "good", 1)
    (inbox / "good.json").write_text(json.dumps(palette_job("good", 1)))

    async def work() -> None:
        async with tiny_worker(store) as worker:
            stop = asyncio.Event()
            running = asyncio.create_task(LocalIntake(str(inbox), 1, poll=0.05).run(worker, stop))
            deadline = time.monotonic() + 30
            while not (inbox / "done/good.json").exists() and not running.done() and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            stop.set()
            await asyncio.wait_for(running, 10)

    asyncio.run(work())
    assert (inbox / "done/good.json").is_file() and (inbox / "b_folder.json").is_dir()


@pytest.mark.parametrize("source", ["file", "nothing"])
def test_stdin_may_be_a_file(tmp_path: Path, source: str) -> None:
    put_photos(tmp_path, "one", 1)
    put_photos(tmp_path, "two", 1)
    lines = tmp_path / "jobs.jsonl"
    lines.write_text("\n".join(json.dumps(palette_job(name, 1)) for name in ("one", "two")) + "\n")
    command = [sys.executable, "-m", "tests.orchestrator.tiny_process", str(tmp_path)]
    environment = {**os.environ, **worker_environment(ADAPTER="local", LOCAL_PATH="-", HEALTH_PORT="0")}
    with (lines if source == "file" else Path(os.devnull)).open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, env=environment, cwd=PROJECT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    finished = [json.loads(line).get("job_id") for line in done.stdout.splitlines() if '"finish"' in line]
    # Two jobs may be in hand at once, so that either may end first.
    assert sorted(finished[:-1]) == (["one", "two"] if source == "file" else [])
    assert finished[-1] is None


def test_a_runpod_worker_that_could_not_open_tries_again_with_the_next_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_photos(tmp_path, "job_1", 1)
    opened = 0

    def open_worker(*arguments: Any) -> Any:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise StorageError("the store has a bad minute")
        return tiny_worker(tmp_path)

    monkeypatch.setattr(runpod_module, "open_worker", open_worker)

    async def work() -> list[dict[str, Any]]:
        settings = Settings(adapter="runpod", health_port=0)
        intake = runpod_module.RunpodIntake(settings, WorkerOptions(), Events(None), Metrics(), redactor=Redactor())
        return [await intake.handle({"id": "a", "input": palette_job(count=1)}) for _ in range(3)]

    first, second, third = asyncio.run(work())
    assert "bad minute" in first["error"] and second["status"] == third["status"] == "completed" and opened == 2


def test_a_silent_connection_to_the_probes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PATIENCE", 0.3)

    async def work() -> bytes:
        async with serve_health("127.0.0.1", 0, Health(), Metrics()) as port:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as silent:
                return await asyncio.to_thread(silent.recv, 1)

    assert asyncio.run(work()) == b""
