"""Speed and memory of the flow: what is not the GPU overlaps it, and a long job needs no more memory than a short one."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.storage import Expect, Stat
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from respray.contract.report import FileReport, PhotoReport
from tests.faults import virtual_time
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, tiny_worker


class SlowStorage(AsyncStorage):
    """A folder whose uploads take as long as the specification says."""

    async def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        """As AsyncStorage.write."""
        await asyncio.sleep(0.2)
        return await super().write(key, data, media_type, expect)


class SlowReceiver(httpx.AsyncBaseTransport):
    """Answers 200 after a tenth of a second."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One callback."""
        await asyncio.sleep(0.1)
        return httpx.Response(200, stream=httpx.ByteStream(b""))


def test_fifty_images_take_little_more_than_their_time_in_triton(tmp_path: Path) -> None:
    """Specified: 3 concepts x 300 ms + 2 rules x 50 ms = 1 s per image, four at a time; 200 ms per upload, 100 ms per callback."""
    put_photos(tmp_path, "job_1", 50)
    pipeline = TinyPipeline(seconds=1.0)
    message = palette_job(count=50, callback_url="https://receiver.example/jobs/job_1/callback")

    async def work() -> tuple[float, float]:
        storage = SlowStorage(FolderStorage(tmp_path, sync=False))
        async with tiny_worker(storage, pipeline, concurrency=4, transport=SlowReceiver()) as worker:
            clock = asyncio.get_running_loop().time
            began, handle = clock(), worker.start(message)
            assert (await handle.stored()).ok
            stored = clock() - began
            result = await handle.finished()
            assert result.callbacks == {"delivered": 50, "undelivered": []}
            return stored, clock() - began

    stored, told = virtual_time.run(work())
    triton = 13 * 1.0  # 50 images, four at a time
    print(f"stored after {stored:.2f} s, told after {told:.2f} s; time in the pipeline {triton:.2f} s; ratio {told / triton:.3f}")
    assert pipeline.most == 4 and triton < stored <= told
    assert told <= 1.15 * triton, f"{told / triton:.3f}"


def test_a_jobs_own_concurrency_is_kept_and_capped(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 12)
    for wanted, expected in ((1, 1), (3, 3), (64, 4)):
        pipeline = TinyPipeline(seconds=0.03)
        wanted_job = palette_job(count=12, batch_concurrency=wanted, options={"quality": 10 + wanted})

        async def work(pipeline: TinyPipeline = pipeline, job: dict[str, Any] = wanted_job) -> None:
            async with tiny_worker(tmp_path, pipeline, concurrency=4) as worker:
                assert (await worker.start(job).finished()).ok

        asyncio.run(work())
        assert pipeline.most == expected


class LargeResults(TinyPipeline):
    """Every photo becomes 2 MB."""

    async def infer(self, photo: bytes, request: Any, attachments: Any) -> tuple[PhotoReport, list[bytes]]:
        files = [FileReport(kind="output", name="result", media_type="image/png")]
        await asyncio.sleep(0.001)
        self.calls += 1
        return PhotoReport(width=1, height=1, concepts=[], outputs=[], files=files, timings={}), [os.urandom(2 << 20)]


class Forgetful(FolderStorage):
    """Keeps no results, so that the test needs no gigabytes of disk."""

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        return super().write(key, data[:64] if key.endswith(".png") else data, media_type, expect)


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_images(tmp_path: Path) -> None:
    folder = tmp_path / "inputs/u_abc/job_1"
    folder.mkdir(parents=True)
    picture = photo()
    for index in range(1000):
        (folder / f"{index}.jpg").write_bytes(picture)
    seen: list[tuple[int, int]] = []

    def look(done: int, total: int) -> None:
        if done % 100 == 0:
            gc.collect()
            seen.append((done, resident()))

    async def work() -> None:
        async with tiny_worker(Forgetful(tmp_path, sync=False), LargeResults(), concurrency=4) as worker:
            message = palette_job(count=1000)
            for item in message["items"]:
                del item["preview_key"]
            assert (await worker.start(message, on_progress=look).finished()).ok

    asyncio.run(work())
    growth = max(size for done, size in seen if done > 200) - dict(seen)[200]
    print(f"resident memory from image 200 to 1000: {growth / 2**20:+.0f} MB, of 1600 MB that passed through")
    assert growth < 64 << 20
