"""A refused callback is repaired by sending the job again; nothing is edited anew for it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.folder import FolderStorage
from tests.commands import respray
from tests.faults.processes import CALLBACK_SECRET
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, markers, palette_job, put_photos, tiny_worker


def states(folder: Path) -> list[tuple[str, str]]:
    records = [json.loads(path.read_text()) for path in sorted((folder / "outputs/u_abc/job_1/manifest").glob("[0-9]*.json"))]
    return [(record["callback"]["url"], record["callback"]["state"]) for record in records]


@pytest.mark.parametrize("corrected", ["/jobs/job_1/callback", "/jobs/job_1/callback?token=new"])
def test_a_job_sent_again_tells_what_was_refused(tmp_path: Path, receiver: Receiver, corrected: str) -> None:
    put_photos(tmp_path, "job_1", 2)
    pipeline, first, second = TinyPipeline(), f"{receiver.url}/jobs/job_1/callback", f"{receiver.url}{corrected}"
    receiver.plan = lambda number, body: (401 if number < 2 else 200, {})

    async def send(message: dict[str, Any], name: str) -> None:
        async with tiny_worker(tmp_path, pipeline, allow=receiver.host) as worker:
            await worker.start(message, message_id=name).finished()

    asyncio.run(send(palette_job(count=2, callback_url=first), "a"))
    assert states(tmp_path) == [(first, "refused")] * 2
    for name in ("b", "b"):  # delivered twice by its queue: told once
        asyncio.run(send(palette_job(count=2, callback_url=second), name))
    assert states(tmp_path) == [(second, "delivered")] * 2
    assert pipeline.calls == 2 and len(receiver.calls) == 4


def test_a_job_sent_again_with_the_address_that_it_lacked_is_told(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 2)
    pipeline, url = TinyPipeline(), f"{receiver.url}/jobs/job_1/callback"

    async def send(**fields: str) -> None:
        async with tiny_worker(tmp_path, pipeline, allow=receiver.host) as worker:
            await worker.start(palette_job(count=2, **fields)).finished()

    asyncio.run(send())
    assert not receiver.calls
    for _ in range(2):  # sent twice: told once
        asyncio.run(send(callback_url=url))
    assert states(tmp_path) == [(url, "delivered")] * 2 and not markers(tmp_path)
    assert pipeline.calls == 2, "nothing was edited again"
    assert sorted(call.body["idx"] for call in receiver.calls) == [0, 1]


def retry(folder: Path, allow: str) -> int:
    """`respray callbacks retry` as its user runs it: the exit code."""
    environment = {**os.environ, "GPU_CALLBACK_SECRET": CALLBACK_SECRET, "CALLBACK_ALLOW_HOSTS": allow}
    return respray("callbacks", "retry", "--store", str(folder), cwd=folder, environment=environment).returncode


@pytest.mark.parametrize("kind", ["401", "host not allowed"])
def test_retry_finds_what_was_refused_and_no_sweep_does(tmp_path: Path, receiver: Receiver, kind: str) -> None:
    put_photos(tmp_path, "job_1", 2)
    url, answer = f"{receiver.url}/jobs/job_1/callback", 401
    receiver.plan = lambda number, body: (answer, {})

    async def work() -> None:
        async with tiny_worker(tmp_path, TinyPipeline(), allow=receiver.host if kind == "401" else "other.test") as worker:
            await worker.start(palette_job(count=2, callback_url=url)).finished()
            calls = len(receiver.calls)
            assert await worker.sweeper.sweep(force=True) == 0 and len(receiver.calls) == calls, "asked again unasked"

    asyncio.run(work())
    assert states(tmp_path) == [(url, "refused")] * 2 and not markers(tmp_path)
    assert retry(tmp_path, receiver.host if kind == "401" else "other.test") == 1, "nothing has been corrected yet"
    assert states(tmp_path) == [(url, "refused")] * 2
    answer = 200
    assert retry(tmp_path, receiver.host) == 0
    assert states(tmp_path) == [(url, "delivered")] * 2
    assert not [*(tmp_path / "callbacks-refused").rglob("*.json")] and not markers(tmp_path)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 2, "the same news, for whoever counts"


class FullStore(FolderStorage):
    """Takes no record while it is full."""

    full = False

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        if self.full and "/manifest/" in key:
            raise StorageError(f"{key}: no space left on device")
        return super().write(key, data, media_type, expect)


def test_a_store_that_takes_no_record_makes_no_refused_callback_forgotten(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 1)
    url, store = f"{receiver.url}/jobs/job_1/callback", FullStore(tmp_path, sync=False)
    receiver.plan = lambda number, body: (401 if number == 0 else 200, {})

    async def work() -> None:
        async with tiny_worker(store, TinyPipeline(), allow=receiver.host) as worker:
            await worker.start(palette_job(count=1, callback_url=url)).finished()
            store.full = True
            await worker.sweeper.owe_refused()
            store.full = False
            await worker.sweeper.owe_refused()
            assert await worker.sweeper.sweep() == 0

    asyncio.run(work())
    assert states(tmp_path) == [(url, "delivered")] and not [*(tmp_path / "callbacks-refused").rglob("*.json")]
