"""The flow of a job: isolation of items, resuming, twins, callbacks, what is left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.folder import FolderStorage
from orchestrator.worker.handle import JobFailed
from tests.faults.receiver import Receiver
from tests.orchestrator.support import (
    GatedPipeline,
    OutOfMemory,
    PhotoRefused,
    PipelineUnavailable,
    TinyPipeline,
    markers,
    palette_job,
    put_photos,
    rule_job,
    tiny_worker,
)


def do(folder: Path, message: Any, pipeline: TinyPipeline | None = None, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Run one job to its end; its result and the events."""
    events: list[dict[str, Any]] = []

    async def work() -> Any:
        async with tiny_worker(folder, pipeline, events=events, **options) as worker:
            return await worker.start(message, final=options.get("final", True)).finished()

    return asyncio.run(work()), events


def manifest(folder: Path, user: str, job: str) -> dict[str, Any]:
    return dict(json.loads((folder / "outputs" / user / job / "manifest.json").read_text()))


def test_callers_are_not_told_where_things_lie(tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """What they gave and what is accepted; paths and other programs' words are for whoever reads the log."""
    put_photos(tmp_path, "job_1", 1)
    hidden = str(tmp_path)
    pipeline = TinyPipeline(fail=lambda number, photo: FileNotFoundError(2, "No such file or directory", f"{hidden}/model.onnx"))
    result, events = do(tmp_path, palette_job(count=2, callback_url=f"{receiver.url}/jobs/job_1/callback"), pipeline, allow=receiver.host)
    told = {call.body["idx"]: call.body["error"] for call in receiver.calls}
    assert told == {
        0: "an unexpected error in this worker (FileNotFoundError); its log says more",
        1: "there is no inputs/u_abc/job_1/1.jpg",
    }
    assert result.failed == 2
    kept = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert kept and not any(hidden in text for text in (*kept, json.dumps(events), str(result.error)))
    assert f"there is no inputs/u_abc/job_1/1.jpg in {hidden}" in caplog.text and f"{hidden}/model.onnx" in caplog.text


def test_every_file_lands_under_its_key(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_r", 2, "u")
    result, events = do(tmp_path, rule_job())
    assert result.ok and result.completed == 2
    for key in ("outputs/u/job_r/r1/1.jpg", "outputs/u/job_r/r2/0.jpg", "masks/u/job_r/wall/0_1.png", "previews/u/job_r/1_preview.jpg"):
        assert (tmp_path / key).is_file(), key
    item = next(e for e in events if e["event"] == "item")
    assert set(item["timings"]) == {"download", "decode", "segment", "matte", "apply", "encode", "preview", "upload", "total"}
    assert events[-1]["event"] == "finish" and events[-1]["status"] == "completed"


def test_a_failing_item_leaves_the_others_alone(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 4)
    folder = tmp_path / "inputs/u_abc/job_1"
    (folder / "1.jpg").write_bytes(b"no photo")
    (folder / "2.jpg").unlink()
    url = f"{receiver.url}/jobs/job_1/callback"
    result, _ = do(tmp_path, palette_job(count=4, callback_url=url), allow=receiver.host)
    assert (result.status, result.completed, result.failed) == ("failed", 2, 2)
    told = {call.body["idx"]: call.body for call in receiver.calls}
    assert told[0] == {
        "idx": 0,
        "status": "completed",
        "output_key": "outputs/u_abc/job_1/0_result.png",
        "preview_key": "previews/u_abc/job_1/0_thumb.jpg",
        "error": None,
    }
    assert told[1]["status"] == "failed" and "not an image" in told[1]["error"] and told[1]["output_key"] is None
    assert "there is no inputs/u_abc/job_1/2.jpg" in told[2]["error"]
    assert [call.problem for call in receiver.calls] == [None] * 4
    left = {entry["idx"]: entry for entry in manifest(tmp_path, "u_abc", "job_1")["items"]}
    assert left[1]["error_code"] == "photo" and left[3]["status"] == "completed"


def test_a_redelivered_job_repeats_nothing_that_is_stored(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 3)
    message = palette_job(callback_url=f"{receiver.url}/jobs/job_1/callback")
    first = TinyPipeline()
    do(tmp_path, message, first, allow=receiver.host)
    (tmp_path / "outputs/u_abc/job_1/1_result.png").write_bytes(b"damaged")
    second = TinyPipeline()
    result, _ = do(tmp_path, message, second, allow=receiver.host)
    assert result.ok and first.calls == 3 and second.calls == 1
    assert len(receiver.calls) == 3, "no callback is sent twice"


def test_a_changed_job_is_done_again_and_told_anew(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 1)
    message = palette_job(count=1, callback_url=f"{receiver.url}/jobs/job_1/callback")
    do(tmp_path, message, allow=receiver.host)
    do(tmp_path, message | {"concepts": {"Wall": {"action": "recolor", "value": "#112233"}}}, allow=receiver.host)
    ids = [call.headers["webhook-id"] for call in receiver.calls]
    assert len(ids) == 2 and ids[0] != ids[1]


def test_two_workers_with_the_same_job_tell_each_item_once(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 8)
    message = palette_job(count=8, callback_url=f"{receiver.url}/jobs/job_1/callback")

    async def work() -> list[Any]:
        async with (
            # A timeout that a busy machine does not reach: an answer that comes too late is told again.
            tiny_worker(tmp_path, TinyPipeline(0.05), allow=receiver.host, name="one", timeout=60.0) as one,
            tiny_worker(tmp_path, TinyPipeline(0.05), allow=receiver.host, name="two", timeout=60.0) as two,
        ):
            return list(await asyncio.gather(one.start(message).finished(), two.start(message).finished()))

    results = asyncio.run(work())
    assert all(result.ok for result in results)
    assert sorted(call.body["idx"] for call in receiver.calls) == list(range(8))


def test_a_late_twin_cannot_overwrite_a_newer_result(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)
    newer = palette_job(count=1, concepts={"Wall": {"action": "recolor", "value": "#ffffff"}})

    async def work() -> tuple[Any, bytes]:
        gate = GatedPipeline()
        async with tiny_worker(tmp_path, gate, name="old") as old, tiny_worker(tmp_path, name="new") as new:
            slow = old.start(palette_job(count=1))
            while not gate.waiting:
                await asyncio.sleep(0.01)
            assert (await new.start(newer).finished()).ok
            kept = (tmp_path / "outputs/u_abc/job_1/0_result.png").read_bytes()
            gate.open = True
            return await slow.finished(), kept

    late, kept = asyncio.run(work())
    assert not late.ok and "newer version" in late.error
    assert (tmp_path / "outputs/u_abc/job_1/0_result.png").read_bytes() == kept
    assert manifest(tmp_path, "u_abc", "job_1")["items"][0]["report"] is not None


def test_what_may_pass_is_tried_again_and_in_the_end_given_up(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 2)
    message = palette_job(count=2, callback_url=f"{receiver.url}/jobs/job_1/callback")

    def away(number: int, photo: bytes) -> Exception:
        return PipelineUnavailable("Triton is away")

    async def work() -> Any:
        async with tiny_worker(tmp_path, TinyPipeline(fail=away), allow=receiver.host, attempts=2, patience=0.1) as worker:
            with pytest.raises(JobFailed, match="2 of 2 items are to be tried again"):
                await worker.start(message, attempt=1).stored()
            assert not receiver.calls, "nothing is told before it is final"
            return await worker.start(message, attempt=2).finished()

    result = asyncio.run(work())
    assert result.dead and result.failed == 2
    assert {call.body["status"] for call in receiver.calls} == {"failed"}
    record = json.loads((tmp_path / "failed/u_abc/job_1.json").read_text())
    assert "Triton is away" in record["reason"] and record["message"]["job_id"] == "job_1" and record["attempts"] == 2


def test_a_job_that_takes_its_workers_down_is_given_up_untouched(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 2)
    pipeline = TinyPipeline()

    async def work() -> Any:
        async with tiny_worker(tmp_path, pipeline, attempts=3) as worker:
            return await worker.start(palette_job(count=2), attempt=4).finished()

    result = asyncio.run(work())
    assert pipeline.calls == 0 and result.dead and "delivered 4 times" in result.error


def test_out_of_memory_halves_the_concurrency_and_says_so(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 6)
    pipeline = TinyPipeline(0.02)
    pipeline.fail = lambda number, photo: OutOfMemory("CUDA out of memory") if pipeline.running > 2 else None
    result, events = do(tmp_path, palette_job(count=6), pipeline, concurrency=4)
    assert result.ok
    assert any("out of memory" in e.get("message", "") for e in events)


def test_triton_may_restart_in_the_middle(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 4)
    pipeline = TinyPipeline(fail=lambda number, photo: PipelineUnavailable("restarting") if number <= 3 else None)
    result, _ = do(tmp_path, palette_job(count=4), pipeline)
    assert result.ok


def test_an_unexpected_error_is_one_items_matter(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 3)
    pipeline = TinyPipeline(fail=lambda number, photo: ZeroDivisionError("a bug") if number == 2 else None)
    result, _ = do(tmp_path, palette_job(count=3), pipeline)
    assert (result.completed, result.failed) == (2, 1) and "unexpected error" in result.error


def test_refused_photos_are_not_tried_again(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)
    pipeline = TinyPipeline(fail=lambda number, photo: PhotoRefused("too dark"))
    result, _ = do(tmp_path, palette_job(count=1), pipeline)
    assert pipeline.calls == 1 and result.error == "1 of 1 items failed; item 0: too dark"


def test_a_dead_workers_callback_is_taken_over_with_the_same_id(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 1)
    message = palette_job(count=1, callback_url=f"{receiver.url}/jobs/job_1/callback")
    receiver.down()

    async def die() -> None:
        async with tiny_worker(tmp_path, allow=receiver.host, name="dead", lease=1.0) as worker:
            handle = worker.start(message)
            await handle.stored()
            handle.cancel()  # recorded and acknowledged, not delivered
            while worker.busy:
                await asyncio.sleep(0)

    asyncio.run(die())
    before = json.loads((tmp_path / "outputs/u_abc/job_1/manifest/0.json").read_text())["callback"]
    assert before["state"] == "owed" and len(markers(tmp_path)) == 1
    receiver.up()
    result, _ = do(tmp_path, message, allow=receiver.host, name="next")
    assert result.ok
    assert [call.headers["webhook-id"] for call in receiver.calls] == [before["event_id"]]
    assert not markers(tmp_path)


def test_the_sweep_delivers_what_is_owed_without_the_job(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 3)
    receiver.down()
    result, events = do(tmp_path, palette_job(callback_url=f"{receiver.url}/jobs/job_1/callback"), allow=receiver.host)
    assert result.ok, "a failing callback never fails the job"
    assert [entry["state"] for entry in events[-1]["callbacks"]["undelivered"]] == ["owed"] * 3
    receiver.up()

    async def sweep() -> int:
        async with tiny_worker(tmp_path, allow=receiver.host, name="sweeper") as worker:
            return await worker.sweeper.sweep(force=True)

    assert asyncio.run(sweep()) == 0
    assert len(receiver.delivered()) == 3 and not markers(tmp_path)
    assert manifest(tmp_path, "u_abc", "job_1")["callbacks"] == {"delivered": 3, "undelivered": []}


def test_rule_jobs_tell_one_callback_per_photo_with_all_outputs(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_r", 1, "u")
    do(tmp_path, rule_job(count=1), allow=receiver.host, workers_api_url=receiver.url)
    assert receiver.calls[0].path == "/jobs/job_r/callback"
    assert receiver.calls[0].body["output_key"] == "outputs/u/job_r/r1/0.jpg"
    assert receiver.calls[0].body["outputs"] == {"r1": "outputs/u/job_r/r1/0.jpg", "r2": "outputs/u/job_r/r2/0.jpg"}


def test_the_sweep_keeps_its_hands_off_callbacks_under_way(tmp_path: Path) -> None:
    slow = Receiver(delay=0.3)
    put_photos(tmp_path, "job_1", 4)

    async def work() -> None:
        async with tiny_worker(tmp_path, allow=slow.host) as worker:
            handle = worker.start(palette_job(count=4, callback_url=f"{slow.url}/jobs/job_1/callback"))
            await handle.stored()
            await worker.sweeper.sweep(force=True)
            assert (await handle.finished()).callbacks == {"delivered": 4, "undelivered": []}

    asyncio.run(work())
    slow.down()
    assert len(slow.calls) == 4 and not markers(tmp_path)


class ReadOnly(FolderStorage):
    """A store that takes nothing."""

    def write(self, key: str, data: bytes, media_type: str, expect: Any = None) -> Any:
        raise StorageError("read-only today")


def test_a_job_whose_dead_letter_cannot_be_written_stays_in_the_queue(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)

    async def work() -> None:
        async with tiny_worker(ReadOnly(tmp_path)) as worker:
            for message, attempt in (("{broken", 1), (palette_job(count=1), 3)):
                with pytest.raises(JobFailed, match="read-only today"):
                    await worker.start(message, attempt).stored()

    asyncio.run(work())
