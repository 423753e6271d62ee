"""Ready means that a photo passes: what the last ones met, or a tiny one that is sent to look; never more of those than needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.errors import PipelineFailed
from orchestrator.service.health import Health
from orchestrator.worker.canary import AGAIN, FRESH, PATIENCE, WAIT
from respray.triton.client import PipelineClient
from tests.faults import virtual_time
from tests.orchestrator.support import GatedPipeline, TinyPipeline, palette_job, put_photos, tiny_worker
from tests.triton.counters import settled


def test_a_server_that_says_ready_and_fails_photos_is_not_ready(tmp_path: Path) -> None:
    broken = [True]
    pipeline = TinyPipeline(fail=lambda number, photo: PipelineFailed("stub process is not healthy") if broken[0] else None)

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline) as worker:
            health = Health()
            health.worker = worker
            assert "stub process is not healthy" in str(await health.problem())
            broken[0] = False
            await asyncio.sleep(AGAIN)
            assert await health.problem() is None

    virtual_time.run(work())


def test_canaries_are_rare_and_none_is_sent_while_photos_pass(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 3)
    pipeline = TinyPipeline(seconds=1.5)

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline) as worker:
            await worker.start(palette_job(count=3)).finished()
            for _ in range(20):
                assert await worker.backend.problem() is None
            assert pipeline.calls == 3, "the photos of the job have shown it"
            await asyncio.sleep(FRESH)
            assert [await worker.backend.problem() for _ in range(20)] == [None] * 20
            assert pipeline.calls == 4
            await asyncio.sleep(FRESH)
            assert await worker.backend.problem() is None
            assert pipeline.calls == 4, "a canary that took long is not sent again soon"

    virtual_time.run(work())


def test_a_server_that_hangs_is_noticed_and_no_probe_hangs_with_it(tmp_path: Path) -> None:
    pipeline = GatedPipeline()

    async def work() -> None:
        async with tiny_worker(tmp_path, pipeline) as worker:
            loop = asyncio.get_running_loop()
            worker.backend.canary.photo_passed()
            await asyncio.sleep(FRESH)
            began = loop.time()
            assert await worker.backend.problem() is None, "not known yet"
            assert loop.time() - began <= WAIT + 0.1 and pipeline.waiting == 1
            await asyncio.sleep(PATIENCE)
            assert "did not come back" in str(await worker.backend.problem())
            await worker.backend.canary.close()

    virtual_time.run(work())


@pytest.mark.server
def test_the_canary_goes_through_every_model(triton_url: str, tmp_path: Path) -> None:
    from orchestrator.worker.backend import TritonBackend

    async def work() -> dict[str, int]:
        async with PipelineClient(triton_url) as client:
            before = await settled(client)
            pipeline = TritonBackend(triton_url, 60.0)
            async with tiny_worker(tmp_path, pipeline) as worker:
                while (problem := await worker.backend.problem()) is not None:
                    assert problem == "no photo has passed yet"
            await pipeline.close()
            after = await settled(client)
        return {name: after[name].inferences - before[name].inferences for name in after}

    ran = asyncio.run(work())
    assert ran["pipeline_bls"] == ran["applier"] == ran["sam3_image_encoder"] == ran["sam3_concept_decoder"] == 1
