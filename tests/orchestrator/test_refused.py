"""Refused messages: their senders are told once, signed, where the message says validly whose job it is and whom to call."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.jobs.raw_message import decode_message
from orchestrator.worker.refusals import refusal
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, rule_job, tiny_worker


def refuse(folder: Path, message: Any, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The result of a message that must not reach the pipeline, and the events."""
    events: list[dict[str, Any]] = []
    pipeline = TinyPipeline()

    async def work() -> Any:
        async with tiny_worker(folder, pipeline, events=events, **options) as worker:
            return await worker.start(message).finished()

    result = asyncio.run(work())
    assert result.dead and not result.ok and pipeline.calls == 0
    return result, events


def broken(receiver: Receiver, **fields: Any) -> dict[str, Any]:
    return palette_job(callback_url=f"{receiver.url}/jobs/job_1/callback", preset="castle") | fields


def test_a_refused_palette_job_is_told_once_and_signed(tmp_path: Path, receiver: Receiver) -> None:
    message = broken(receiver)
    result, events = refuse(tmp_path, message, allow=receiver.host)
    (call,) = receiver.calls
    assert call.problem is None and call.path == "/jobs/job_1/callback"
    assert set(call.body) == {"idx", "status", "output_key", "preview_key", "error"}, "the contract's body"
    assert (call.body["idx"], call.body["status"], call.body["output_key"]) == (0, "failed", None)
    assert "the job was refused" in call.body["error"] and "unknown preset 'castle'" in call.body["error"]
    assert result.callbacks == {"delivered": 1, "undelivered": []} and events[-1]["callbacks"] == result.callbacks
    refuse(tmp_path, message, allow=receiver.host)
    ids = [call.headers["webhook-id"] for call in receiver.calls]
    assert len(ids) == 2 and ids[0] == ids[1], "a redelivered message is the same event"


def test_a_refused_rule_job_is_told_where_rule_jobs_are(tmp_path: Path, receiver: Receiver) -> None:
    refuse(tmp_path, json.dumps(rule_job(imageCount=0)).encode(), allow=receiver.host, workers_api_url=receiver.url)
    assert [call.path for call in receiver.calls] == ["/jobs/job_r/callback"] and receiver.calls[0].problem is None


def test_the_first_items_own_index_is_named(tmp_path: Path, receiver: Receiver) -> None:
    items = [{**palette_job()["items"][0], "idx": 7, "output_key": "outputs/u_other/job_1/7.png"}]
    refuse(tmp_path, broken(receiver, preset="interior", items=items), allow=receiver.host)
    assert receiver.calls[0].body["idx"] == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"job_id": "../up"},
        {"job_id": 7},
        {"jobId": "two"},
        {"callback_url": "ftp://files.example/x"},
        {"callback_url": ["https://example.com"]},
        {"callback_url": "https://" + "a" * 3000},
        {"callback_url": None},
    ],
)
def test_nobody_is_told_where_the_message_does_not_say_who(receiver: Receiver, fields: dict[str, Any]) -> None:
    assert refusal(decode_message(broken(receiver, **fields)), "reason", None) is None
    assert refusal(decode_message("{broken"), "reason", "https://api.example") is None
    assert refusal(decode_message(rule_job(imageCount=0)), "reason", None) is None


@pytest.mark.parametrize("field", ["input_key", "output_key", "preview_key", "mask_keys"])
def test_a_link_in_the_field_of_a_key_is_refused_without_its_query(tmp_path: Path, receiver: Receiver, field: str) -> None:
    """Whatever its signer calls what opens the door."""
    link = "https://cdn.example/0.jpg?verify=opens-the-door"
    items = [{**palette_job()["items"][0], field: {"Wall": link} if field == "mask_keys" else link}]
    result, events = refuse(tmp_path, broken(receiver, preset="interior", items=items), allow=receiver.host)
    letters = [path.read_text() for path in tmp_path.rglob("failed/**/*.json")]
    said = [result.error, json.dumps(events), json.dumps(receiver.calls[0].body), *letters]
    assert letters and all("opens-the-door" not in text and "cdn.example/0.jpg?***" in text for text in said)
    assert field == "output_key" or "a link or a data: URL has a field of its own (input_url" in result.error


def test_an_address_that_is_not_public_is_not_called(tmp_path: Path, receiver: Receiver) -> None:
    result, _ = refuse(tmp_path, broken(receiver))
    assert not receiver.calls and result.callbacks["undelivered"][0]["state"] == "refused"
    assert "not in CALLBACK_ALLOW_HOSTS" in result.callbacks["undelivered"][0]["error"]


def test_a_receiver_that_is_down_holds_nothing_up(tmp_path: Path, receiver: Receiver) -> None:
    receiver.down()

    async def work() -> None:
        async with tiny_worker(tmp_path, allow=receiver.host) as worker:
            handle = worker.start(broken(receiver))
            assert (await handle.stored()).dead
            assert list((tmp_path / "failed/unreadable").iterdir()), "its dead letter is written when it may be acknowledged"
            callbacks = (await handle.finished()).callbacks
            assert callbacks is not None and callbacks["undelivered"][0]["state"] == "owed"

    asyncio.run(work())


def test_without_a_secret_nothing_is_sent(tmp_path: Path, receiver: Receiver) -> None:
    result, _ = refuse(tmp_path, broken(receiver), allow=receiver.host, secret=None)
    assert not receiver.calls and result.callbacks is None


@pytest.mark.parametrize("message", [None, 7, True, [], ["a"], "", b"", {}, b"\xff\xfe", {"job_id": "\ud800"}])
def test_whatever_an_intake_hands_over_is_refused_in_words(tmp_path: Path, message: Any) -> None:
    result, _ = refuse(tmp_path, message)
    assert len(result.error) > 15
    assert list((tmp_path / "failed/unreadable").iterdir())


def test_a_message_too_deep_or_too_large_to_show_gets_its_dead_letter(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(700):
        deep = {"a": deep}
    for message in (deep, {"a": "x" * (3 << 20)}, "y" * (3 << 20)):
        refuse(tmp_path, message)
    letters = [json.loads(path.read_text()) for path in (tmp_path / "failed/unreadable").iterdir()]
    assert len(letters) == 3 and all(len(json.dumps(letter)) < 1_300_000 for letter in letters)


def test_a_large_job_given_up_keeps_its_whole_message(tmp_path: Path) -> None:
    """It is what an operator delivers again."""
    message = json.dumps(palette_job(count=900))
    assert len(message) > 65536
    put_photos(tmp_path, "job_1", 0)

    async def work() -> None:
        async with tiny_worker(tmp_path, attempts=1) as worker:
            await worker.start(message, attempt=2).finished()

    asyncio.run(work())
    assert json.loads((tmp_path / "failed/u_abc/job_1.json").read_text())["message"] == message


def test_half_a_surrogate_pair_does_not_end_the_event_stream() -> None:
    script = (
        "from respray.observe.events import Events, claim_stdout\n"
        "events = Events(claim_stdout())\n"
        "for text in ('\\ud800', 'after'): events.emit('item', error=text)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == ["\ud800", "after"]


def test_a_name_twice_among_a_hundred_thousand_is_found_at_once() -> None:
    names = ",".join(f'"{number:x}":1' for number in range(90_000))
    began = time.process_time()
    raw = decode_message("{" + names + ',"15f8f":2}')
    assert raw.fields is None and "field '15f8f' stands twice" in raw.problem
    assert time.process_time() - began < 2
