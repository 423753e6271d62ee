"""Memory that runs out: the concurrency halves once per event, a photo that does not fit alone is final."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.worker.backend import translate
from respray.triton.errors import ServingError
from tests.orchestrator.support import OutOfMemory, TinyPipeline, palette_job, put_photos, tiny_worker


def do(folder: Path, message: Any, pipeline: TinyPipeline, concurrency: int) -> tuple[Any, list[dict[str, Any]]]:
    """The first of several deliveries of a job: what may pass would go back to the queue."""
    events: list[dict[str, Any]] = []

    async def work() -> Any:
        async with tiny_worker(folder, pipeline, events=events, concurrency=concurrency) as worker:
            return await worker.start(message, final=False).finished()

    return asyncio.run(work()), events


def test_a_batch_that_runs_out_of_memory_halves_the_concurrency_once(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 8)
    pipeline = TinyPipeline(0.02, fail=lambda number, photo: OutOfMemory("CUDA out of memory") if number <= 8 else None)
    result, events = do(tmp_path, palette_job(count=8, batch_concurrency=8), pipeline, concurrency=8)
    assert result.ok
    assert [e["message"] for e in events if "memory" in e.get("message", "")] == [
        "CUDA out of memory; going on with 4 photo(s) at the same time"
    ]


def test_a_photo_that_does_not_fit_alone_fails_for_good_and_the_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.worker.backend.ALONE_PAUSE", 0.0)
    put_photos(tmp_path, "job_1", 6)
    large = (tmp_path / "inputs/u_abc/job_1/2.jpg").read_bytes()
    pipeline = TinyPipeline(0.01, fail=lambda number, photo: OutOfMemory("CUDA out of memory") if photo == large else None)
    result, events = do(tmp_path, palette_job(count=6), pipeline, concurrency=4)
    assert not result.dead  # in the first delivery: the job does not go back to its queue
    items = {e["idx"]: e for e in events if e["event"] == "item"}
    assert [items[i]["status"] for i in range(6)] == ["completed", "completed", "failed", "completed", "completed", "completed"]
    assert items[2]["error"] == "the photo does not fit into memory, also alone"


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("[StatusCode.INTERNAL] onnx runtime error 6: BFCArena: Failed to allocate memory for requested buffer", "the accelerator is out"),
        (
            "Failed to increase the shared memory pool size for key 'respray_triton_3' to 1216348160 bytes. If you are running Triton "
            "inside docker, use '--shm-size' flag to control the shared memory region size. Error: No space left on device",
            r"/dev/shm of the Triton server is full; give it more \(Docker: --shm-size\)",
        ),
    ],
)
def test_both_kinds_of_memory_that_run_out_are_understood(said: str, understood: str) -> None:
    """The servers' own words; making a real one say them takes a GPU, or a full /dev/shm."""
    error = translate(ServingError(f"The Triton server at 127.0.0.1:1 failed: {said}"))
    assert isinstance(error, OutOfMemory) and re.search(understood, str(error))
