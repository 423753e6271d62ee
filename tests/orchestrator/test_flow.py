"""Speed and memory of the flow: what is not the GPU overlaps it, and a long job needs no more memory than a short one."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Any

from orchestrator.storage import Expect, Stat
from orchestrator.storage.folder import FolderStorage
from respray.contract.report import FileReport, PhotoReport
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, tiny_worker


class SlowFolder(FolderStorage):
    """A folder whose uploads take as long as the seeds' R2."""

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        time.sleep(0.2)
        return super().write(key, data, media_type, expect)


def test_fifty_images_take_little_more_than_their_time_in_triton(tmp_path: Path) -> None:
    """The seeds' figures: 3 concepts x 300 ms + 2 rules x 50 ms = 1 s per image, four at a time; 200 ms per upload, 100 ms per callback."""
    put_photos(tmp_path, "job_1", 50)
    receiver, events = Receiver(delay=0.1), list[dict[str, Any]]()
    pipeline = TinyPipeline(seconds=1.0)

    async def work() -> float:
        async with tiny_worker(SlowFolder(tmp_path, sync=False), pipeline, events=events, allow=receiver.host, concurrency=4) as worker:
            began = time.monotonic()
            result = await worker.start(palette_job(count=50, callback_url=f"{receiver.url}/jobs/job_1/callback")).finished()
            assert result.ok and result.callbacks == {"delivered": 50, "undelivered": []}
            return time.monotonic() - began

    seconds = asyncio.run(work())
    receiver.down()
    triton = 13 * 1.0  # 50 images, four at a time
    stored = next(e for e in events if e["event"] == "finish")["seconds"]
    print(f"stored and told after {seconds:.2f} s; time in the pipeline {triton:.2f} s; ratio {seconds / triton:.3f}")
    assert pipeline.most == 4 and stored <= seconds
    assert seconds <= 1.15 * triton, f"{seconds / triton:.3f}"


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
