"""Whoever stops a job waits for what the pipeline has in hand, and not for what was only fetched ahead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

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
