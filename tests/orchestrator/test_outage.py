"""Triton away for long: its return is noticed soon, and no waiting job fails for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.errors import PipelineUnavailable
from orchestrator.worker.backend import OUTAGE_PATIENCE, PATIENCE
from orchestrator.worker.handle import JobFailed
from respray.triton.client import CHANNEL_OPTIONS
from tests.faults import virtual_time
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, tiny_worker

OUTAGE = 15 * 60.0


class AwayPipeline(TinyPipeline):
    """Away for a quarter of an hour after the first photo was sent."""

    until = 0.0

    async def infer(self, *arguments: object) -> object:  # type: ignore[override]
        """As TinyPipeline.infer."""
        now = asyncio.get_running_loop().time()
        self.until = self.until or now + OUTAGE
        if now < self.until:
            raise PipelineUnavailable("away")
        return await super().infer(*arguments)  # type: ignore[arg-type]

    async def ready(self) -> bool:
        """As TinyPipeline.ready."""
        return asyncio.get_running_loop().time() >= self.until


def run_through(folder: Path, patience: float) -> str:
    put_photos(folder, "job_1", 3)

    async def work() -> str:
        async with tiny_worker(folder, AwayPipeline(), patience=patience) as worker:
            return (await worker.start(palette_job(count=3)).finished()).status

    return virtual_time.run(work())


def test_an_outage_of_a_quarter_of_an_hour_is_waited_for_in_one_attempt(tmp_path: Path) -> None:
    assert run_through(tmp_path, OUTAGE_PATIENCE) == "completed"


def test_a_command_that_somebody_waits_for_gives_up_earlier(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="not ready within 120 s"):
        run_through(tmp_path, PATIENCE)


def test_grpc_tries_to_connect_again_within_half_a_minute() -> None:
    connecting, waiting = CHANNEL_OPTIONS["grpc.min_reconnect_backoff_ms"], CHANNEL_OPTIONS["grpc.max_reconnect_backoff_ms"]
    assert connecting + 1.2 * waiting < 30_000  # gRPC's jitter is a fifth
