"""Triton away for long: its return is noticed soon, and no waiting job fails for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.errors import PipelineUnavailable
from orchestrator.service.session import outage_patience
from orchestrator.settings import Settings
from orchestrator.worker.backend import PATIENCE
from orchestrator.worker.handle import JobFailed
from respray.triton.client import CHANNEL_OPTIONS
from tests.faults import virtual_time
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, tiny_worker

OUTAGE = 15 * 60.0
NIGHT = 10 * 3600.0


class AwayPipeline(TinyPipeline):
    """Away for a while after the first photo was sent."""

    until = 0.0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.away = seconds

    async def infer(self, *arguments: object) -> object:  # type: ignore[override]
        """As TinyPipeline.infer."""
        now = asyncio.get_running_loop().time()
        self.until = self.until or now + self.away
        if now < self.until:
            raise PipelineUnavailable("away")
        return await super().infer(*arguments)  # type: ignore[arg-type]

    async def ready(self) -> bool:
        """As TinyPipeline.ready."""
        return asyncio.get_running_loop().time() >= self.until


def run_through(folder: Path, patience: float, outage: float = OUTAGE) -> str:
    put_photos(folder, "job_1", 3)

    async def work() -> str:
        async with tiny_worker(folder, AwayPipeline(outage), patience=patience) as worker:
            return (await worker.start(palette_job(count=3)).finished()).status

    return virtual_time.run(work())


def patience_of(adapter: str) -> float:
    return outage_patience(Settings.model_validate({"adapter": adapter}))


@pytest.mark.parametrize(("adapter", "outage"), [("bullmq", NIGHT), ("celery", NIGHT), ("local", NIGHT), ("queue_pull", OUTAGE)], ids=str)
def test_an_outage_is_waited_for_in_one_attempt_as_long_as_the_job_can_be_held(tmp_path: Path, adapter: str, outage: float) -> None:
    assert run_through(tmp_path, patience_of(adapter), outage) == "completed"


def test_a_lease_that_cannot_be_renewed_is_given_back_while_it_lasts(tmp_path: Path) -> None:
    assert patience_of("queue_pull") < Settings().longest_job
    with pytest.raises(JobFailed, match="not ready within 1200 s"):
        run_through(tmp_path, patience_of("queue_pull"), NIGHT)


def test_a_command_that_somebody_waits_for_gives_up_earlier(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="not ready within 120 s"):
        run_through(tmp_path, PATIENCE)


def test_grpc_tries_to_connect_again_within_half_a_minute() -> None:
    connecting, waiting = CHANNEL_OPTIONS["grpc.min_reconnect_backoff_ms"], CHANNEL_OPTIONS["grpc.max_reconnect_backoff_ms"]
    assert connecting + 1.2 * waiting < 30_000  # gRPC's jitter is a fifth
