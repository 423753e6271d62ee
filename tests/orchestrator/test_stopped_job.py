"""Whoever stops a job waits for what the pipeline has in hand, and not for what was only fetched ahead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.service.open_worker import WorkerOptions, open_worker
from orchestrator.settings import Settings
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from tests.orchestrator.support import GatedPipeline, palette_job, put_photos, tiny_worker


@pytest.mark.parametrize("concurrency", [1, 2])
def test_what_was_fetched_ahead_is_not_begun(tmp_path: Path, concurrency: int) -> None:
    """Fewer items than are fetched ahead."""
    put_photos(tmp_path, "job_1", 6)
    pipeline = GatedPipeline()

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline) as worker:
            handle = worker.start(palette_job(count=6, batch_concurrency=concurrency))
            while pipeline.waiting < concurrency:
                await asyncio.sleep(0.005)
            handle.stop()
            pipeline.open = True
            result = await handle.finished()
        assert (result.status, result.completed, result.failed, result.total) == ("failed", concurrency, 0, 6)
        assert result.error == f"the job was stopped; {concurrency} of 6 items were done by then"

    asyncio.run(work())
    assert pipeline.calls == concurrency
    assert len(list((tmp_path / "outputs/u_abc/job_1").glob("*.png"))) == concurrency


def test_a_job_ends_before_what_it_works_with_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in `respray run`: a photo that met a closed connection would be recorded as failed, and told so."""
    put_photos(tmp_path, "job_1", 3)
    pipeline, redactor = GatedPipeline(), Redactor()
    monkeypatch.setattr("orchestrator.service.open_worker.TritonBackend", lambda *_: pipeline)
    settings = Settings(adapter="local", require_real_model_setting=False)

    async def run_job() -> None:
        options = WorkerOptions(str(tmp_path), "127.0.0.1:1")
        async with open_worker(settings, options, Events(None, redactor), Metrics(), redactor) as worker:
            await worker.start(palette_job(), final=True).finished()

    async def work() -> None:
        running = asyncio.create_task(run_job())
        while not pipeline.waiting:
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing of the job goes on"

    asyncio.run(work())
    assert not list(tmp_path.glob("outputs/u_abc/job_1/manifest/[0-9]*")) and not (tmp_path / "failed").exists()
