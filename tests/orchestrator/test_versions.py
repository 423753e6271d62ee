"""Messages that were sent under one job id: the newest one is what is stored and told, whoever was frozen when, and only once."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.records.versions import VersionLog
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.folder import FolderStorage
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, photo, put_photos, tiny_worker


def job(color: str, receiver: Receiver | None = None, count: int = 1) -> dict[str, Any]:
    fields = {} if receiver is None else {"callback_url": f"{receiver.url}/jobs/job_1/callback"}
    return palette_job(count=count, concepts={"Wall": {"action": "recolor", "value": color}}, **fields)


def stored(root: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Record, manifest and picture of item 0."""
    folder = root / "outputs" / "u_abc" / "job_1"
    record = json.loads((folder / "manifest" / "0.json").read_text())
    return record, json.loads((folder / "manifest.json").read_text()), (folder / "0_result.png").read_bytes()


class Gate(FolderStorage):
    """A folder in which one write of a key waits, as in a worker that is frozen right before it."""

    def __init__(self, root: Path, key_part: str) -> None:
        super().__init__(root, sync=False)
        self._part, self.reached, self.thawed = key_part, threading.Event(), threading.Event()

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        if self._part in key and not self.reached.is_set():
            self.reached.set()
            self.thawed.wait(60)
        return super().write(key, data, media_type, expect)


async def _frozen(tmp_path: Path, frozen_at: str, an_older_result_is_there: bool) -> None:
    put_photos(tmp_path, "job_1", 1)
    if an_older_result_is_there:
        async with tiny_worker(tmp_path) as first:
            assert (await first.start(job("#00ff00"), message_id="green").finished()).ok
    gate = Gate(tmp_path, frozen_at)
    async with tiny_worker(gate, name="frozen") as frozen, tiny_worker(tmp_path, name="newer") as newer:
        late = frozen.start(job("#ff0000"), message_id="red")
        await asyncio.to_thread(gate.reached.wait, 60)
        assert (await newer.start(job("#0000ff"), message_id="blue").finished()).ok
        before = stored(tmp_path)
        gate.thawed.set()
        await late.finished()
    assert stored(tmp_path) == before, "the late worker leaves record, manifest and picture alone"
    assert before[0]["version"] == (3 if an_older_result_is_there else 2)


@pytest.mark.parametrize("frozen_at", ["0_result.png", "0_thumb.jpg", "manifest/0.json", "manifest.json"])
@pytest.mark.parametrize("an_older_result_is_there", [False, True])
def test_a_frozen_worker_that_goes_on_leaves_the_newer_result_alone(tmp_path: Path, frozen_at: str, an_older_result_is_there: bool) -> None:
    asyncio.run(_frozen(tmp_path, frozen_at, an_older_result_is_there))


def test_a_message_sent_while_an_older_one_is_at_work_wins(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 8)

    async def main() -> None:
        slow = TinyPipeline(0.3)
        async with tiny_worker(tmp_path, slow, allow=receiver.host, concurrency=1) as worker:
            older = worker.start(job("#ff0000", receiver, 8), message_id="red")
            await asyncio.sleep(0.5)
            newer = worker.start(job("#0000ff", receiver, 8), message_id="blue")
            assert (await newer.finished()).ok
            assert not (await older.finished()).ok

    asyncio.run(main())
    last = {call.body["idx"]: call.headers["webhook-id"] for call in receiver.calls}
    for idx in range(8):
        record = json.loads((tmp_path / f"outputs/u_abc/job_1/manifest/{idx}.json").read_text())
        assert record["version"] == 2 and record["callback"]["state"] == "delivered"
        assert last[idx] == record["callback"]["event_id"], "the newest message is told last"


def test_a_colour_that_comes_back_is_news_with_an_id_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    put_photos(tmp_path, "job_1", 1)

    async def main() -> None:
        async with tiny_worker(tmp_path, allow=receiver.host) as worker:
            for name, color in enumerate(("#ff0000", "#0000ff", "#ff0000")):
                assert (await worker.start(job(color, receiver), message_id=f"m{name}").finished()).ok

    asyncio.run(main())
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == len(receiver.calls) == 3
    assert len({call.headers["x-idempotency-key"] for call in receiver.calls}) == 3


def test_an_old_message_that_is_delivered_again_changes_nothing(tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 1)

    async def main() -> None:
        async with tiny_worker(tmp_path) as worker:
            await worker.start(job("#ff0000"), message_id="red").finished()
            await worker.start(job("#0000ff"), message_id="blue").finished()
            before = stored(tmp_path)
            await worker.start(job("#ff0000"), attempt=2, message_id="red").finished()
            assert stored(tmp_path) == before

    asyncio.run(main())


@pytest.mark.parametrize("changed", ["photo", "mask"])
def test_what_was_drawn_or_taken_again_under_its_key_is_edited_again(tmp_path: Path, changed: str) -> None:
    put_photos(tmp_path, "job_1", 1)
    folder = tmp_path / "inputs/u_abc/job_1"
    (folder / "mask.png").write_bytes(photo(50))
    message = job("#ff0000")
    message["items"][0]["mask_keys"] = {"Wall": "inputs/u_abc/job_1/mask.png"}

    async def main() -> tuple[bytes, bytes, bytes]:
        async with tiny_worker(tmp_path) as worker:
            pictures = []
            for name in ("first", "same", "changed"):
                if name == "changed":
                    (folder / {"photo": "0.jpg", "mask": "mask.png"}[changed]).write_bytes(photo(77))
                assert (await worker.start(message, message_id=name).finished()).ok
                pictures.append(stored(tmp_path)[2])
            return pictures[0], pictures[1], pictures[2]

    first, same, other = asyncio.run(main())
    assert first == same != other


def test_workers_that_take_numbers_at_once_never_share_one() -> None:
    log = VersionLog()
    for name in ("a", "b", "c"):
        log = log.with_new(name, f"content of {name}")
    assert log.latest == 3 and [log.number_of(name, "", True) for name in ("a", "b", "c", "d")] == [1, 2, 3, None]


def test_a_content_without_a_name_is_news_when_it_comes_back() -> None:
    log = VersionLog().with_new("red", "red").with_new("blue", "blue")
    assert log.number_of("blue", "blue", False) == 2, "sent twice is one message"
    assert log.number_of("red", "red", False) is None, "sent again after another one is news"
    assert log.number_of("red", "red", True) == 1, "delivered again is not"


def test_a_content_sent_twice_under_two_names_shares_a_number() -> None:
    log = VersionLog().with_new("bullmq:1", "red").with_new("bullmq:2", "red").with_new("bullmq:3", "blue").with_new("bullmq:4", "red")
    assert [log.number_of(f"bullmq:{number}", "red", True) for number in (1, 2, 3, 4)] == [1, 1, 2, 3]
