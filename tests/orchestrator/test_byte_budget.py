"""Bytes in flight are bounded for a worker as a whole; nobody waits for ever, and a giant neighbour stops nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.worker.budget import COPIES, MAX_DEFAULT_BYTES, MIN_DEFAULT_BYTES, ByteBudget, default_budget
from respray.contract.request import PhotoRequest
from tests.faults import virtual_time
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, tiny_worker

MIB = 1 << 20


def test_items_wait_for_room_and_one_that_is_larger_than_all_goes_alone() -> None:
    budget = ByteBudget(1000)
    at_work: list[int] = []
    most: list[int] = []

    async def item(size: int, job: str) -> None:
        async with budget.hold(size, job):
            at_work.append(size)
            most.append(sum(at_work))
            assert len(at_work) == 1 or sum(at_work) <= 375
            await asyncio.sleep(1)
            at_work.remove(size)

    async def work() -> None:
        await asyncio.gather(*(item(size, "j") for size in [100] * 10 + [5000] + [100] * 3 + [5000]))

    virtual_time.run(work())
    assert max(most) == 5000 and most.count(300) >= 3 and budget.used == 0


def test_a_giant_neighbour_stops_neither_small_items_nor_other_jobs_of_its_kind() -> None:
    budget, order = ByteBudget(1000), list[str]()

    async def item(size: int, job: str) -> None:
        async with budget.hold(size, job):
            await asyncio.sleep(10)
            order.append(job)

    async def work() -> None:
        giants = [asyncio.create_task(item(2000, "giant")) for _ in range(50)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(11):
            await asyncio.gather(*(item(20, "small") for _ in range(10)))
        async with asyncio.timeout(35):
            await item(500, "large")
        assert len([done for done in order if done == "giant"]) <= 3
        for giant in giants:
            giant.cancel()
        await asyncio.wait(giants)
        assert budget.used == 0

    virtual_time.run(work())


def test_whoever_stops_waiting_gives_back_what_it_was_given() -> None:
    budget = ByteBudget(1000)

    async def work() -> None:
        for _ in range(30):
            tasks = [asyncio.create_task(_held(budget, 200)) for _ in range(4)]
            await asyncio.sleep(0.5)
            tasks[0].cancel()
            tasks[1].cancel()
            await asyncio.sleep(0)
            tasks[2].cancel()
            await asyncio.wait(tasks)
        assert budget.used == 0

    virtual_time.run(work())


async def _held(budget: ByteBudget, size: int) -> None:
    async with budget.hold(size, "j") as held:
        await asyncio.sleep(0.5)
        held.become(size // 2)
        await asyncio.sleep(0.5)


class Watching(TinyPipeline):
    """Notes the most bytes that items held while a photo was here."""

    budget: ByteBudget
    most_bytes = 0

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> Any:
        """As TinyPipeline.infer."""
        self.most_bytes = max(self.most_bytes, self.budget.used)
        return await super().infer(photo, request, attachments)


def test_a_job_of_many_large_masks_stays_within_the_budget(tmp_path: Path) -> None:
    """Each item's masks are read when there is room for them, and all items get their turn."""
    put_photos(tmp_path, "job_1", 6)
    message = palette_job(count=6, concepts={"wall": {"action": "recolor", "value": "#112233"}})
    del message["preset"]
    for item in message["items"]:
        item["mask_keys"] = {"wall": f"inputs/u_abc/job_1/m{item['idx']}.png"}
        (tmp_path / item["mask_keys"]["wall"]).write_bytes(photo(item["idx"]) + bytes(8 * MIB))
    pipeline = Watching(seconds=0.02)

    async def work() -> str:
        async with tiny_worker(tmp_path, pipeline) as worker:
            pipeline.budget = worker.budget
            for part in (worker.budget._small, worker.budget._large):
                part.capacity = 2 * COPIES * 8 * MIB + MIB
            result = await worker.start(message).finished()
            assert worker.budget.used == 0
            return result.status

    assert asyncio.run(work()) == "completed"
    assert COPIES * 8 * MIB < pipeline.most_bytes <= 2 * COPIES * 8 * MIB + MIB


@pytest.mark.parametrize(
    ("said", "budget"), [("max\n", None), (str(512 * MIB), 128 * MIB), (str(1 << 40), None), (str(MIB), MIN_DEFAULT_BYTES)]
)
def test_the_default_follows_the_containers_memory(tmp_path: Path, said: str, budget: int | None) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(said)
    unlimited = default_budget((tmp_path / "missing",))
    assert default_budget((limit,)) == (unlimited if budget is None else budget)
    assert MIN_DEFAULT_BYTES <= unlimited <= MAX_DEFAULT_BYTES


def test_masks_that_are_too_large_together_fail_their_photo_before_they_are_read(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 2)
    masks = {f"Floor_{number}": f"inputs/u_abc/job_1/0_{number}.png" for number in range(4)}
    for key in masks.values():
        with (tmp_path / key).open("wb") as file:
            file.truncate(30 * MIB)  # each alone would be read, and found to be no picture
    job = palette_job(count=2, concepts={name: {"action": "recolor", "value": "#ff0000"} for name in masks})
    job["items"][0]["mask_keys"] = masks
    pipeline, events = TinyPipeline(), list[dict[str, Any]]()

    async def work() -> Any:
        async with tiny_worker(tmp_path, pipeline, events=events) as worker:
            return await worker.start(job).finished()

    result = asyncio.run(work())
    (failed,) = [event for event in events if event["event"] == "item" and event["status"] == "failed"]
    assert failed["idx"] == 0 and failed["error"] == "the photo's 4 masks and textures have 126 MB together; at most 101 MB are accepted"
    assert pipeline.calls == 1 and result.completed == 1
