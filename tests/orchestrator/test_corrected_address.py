"""A refused callback is repaired by sending the job again; nothing is edited anew for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, tiny_worker


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
