"""A message is decoded once, and whoever needs it reads what was decoded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import JobError
from orchestrator.jobs import limits
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.jobs.raw_message import decode_message
from tests.faults.receiver import Receiver
from tests.orchestrator.support import palette_job, rule_job, tiny_worker


def test_what_is_decoded_is_not_decoded_again() -> None:
    raw = decode_message(json.dumps(palette_job()).encode())
    assert decode_message(raw) is raw and raw.fields == palette_job() and not raw.problem
    assert parse_job(raw, load_catalog()) == parse_job(palette_job(), load_catalog())


def test_a_refused_message_is_decoded_once_on_its_way(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed, refused, written down as a dead letter, and told to its sender."""
    text = json.dumps(palette_job(callback_url=f"{receiver.url}/jobs/job_1/callback", preset="castle"))
    loads, decoded = json.loads, list[str]()

    def spied(given: Any, **options: Any) -> Any:
        decoded.extend([given] if given == text else [])
        return loads(given, **options)

    monkeypatch.setattr(json, "loads", spied)

    async def work() -> None:
        async with tiny_worker(tmp_path, allow=receiver.host) as worker:
            assert (await worker.start(text.encode()).finished()).job_id == "job_1"

    asyncio.run(work())
    assert len(receiver.calls) == 1 and decoded == [text]
    (letter,) = (tmp_path / "failed/unreadable").iterdir()
    assert loads(letter.read_text())["message"] == text


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        (b'{"job_id": "a"}', '{"job_id": "a"}'),
        ({"job_id": "a", "pair": (1, 2)}, {"job_id": "a", "pair": [1, 2]}),
        ({"job_id": float("nan")}, '{"job_id": NaN}'),
        ({"job_id": b"\xff"}, '{"job_id": "b\'\\\\xff\'"}'),
        (7, "7"),
        ("x! " * limits.MAX_MESSAGE_TEXT_BYTES, ("x! " * limits.MAX_MESSAGE_TEXT_BYTES)[: limits.MAX_MESSAGE_TEXT_BYTES]),
    ],
)
def test_a_dead_letter_shows_what_came(received: Any, shown: Any) -> None:
    assert decode_message(received).presentable == shown


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (palette_job(items={}), "items: input should be a valid array (given: {})"),
        (palette_job(options=[]), "options: input should be an object (given: [])"),
        (palette_job(concepts=[]), "concepts: input should be an object (given: [])"),
        (rule_job(rules=["x"]), "rules[0]: input should be an object (given: 'x')"),
        (palette_job(job_id=None), "job_id: input should be a valid string (given: null)"),
        (
            palette_job(items=[{"idx": 0, "input_base64": {"type": "Buffer", "data": [255]}, "output_key": "outputs/u_abc/job_1/0.png"}]),
            "items[0].input_base64: must be a string of base64 (in Node, buffer.toString('base64'))",
        ),
        (palette_job(protect=[True]), "protect[0]: input should be a valid string (given: true)"),
        (palette_job() | {"preset": "\ud800"}, "message: invalid JSON: a string holds half a surrogate pair"),
    ],
)
def test_problems_speak_of_json_and_not_of_python(message: dict[str, Any], problem: str) -> None:
    with pytest.raises(JobError) as caught:
        parse_job(message, load_catalog())
    assert problem in [sentence.partition("; accepted here: ")[0] for sentence in caught.value.problems]


@pytest.mark.parametrize(
    ("received", "what"), [(b"null", "null"), (b"[]", "an array"), (b'"x"', "a string"), (b"5", "a number"), (b"true", "true or false")]
)
def test_what_is_no_object_is_named_in_jsons_words(received: bytes, what: str) -> None:
    assert decode_message(received).problem == f"the message must be a JSON object, not {what}"


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (b"\xef\xbb\xbf \n", "it is empty"),
        (b"job_id: x\n\tuser_id: y", "a job is an object in braces, and this begins with 'job_id: x\\n\\tuser_id: '"),
        (b'{"job_id": %s}' % (b"9" * 5000), "a number in it has more than 4300 digits"),
        (b'{"job_id": }', "Expecting value: line 1 column 12 (char 11)"),
    ],
)
def test_what_is_no_json_is_told_by_how_it_begins_or_where_it_ends(received: bytes, why: str) -> None:
    assert decode_message(received).problem == f"the message is not JSON: {why}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_of_windows_is_told_by_its_name(encoding: str) -> None:
    message = "\ufeff" * (encoding != "utf-16") + '{"job_id": "a"}'
    assert decode_message(message.encode(encoding)).problem.startswith("the message is not UTF-8 but UTF-16")


def test_null_is_an_optional_field_that_was_not_set() -> None:
    """As Java, C# and Go write objects; what is required stays so."""
    item = {"idx": 0, "input_key": "inputs/u_abc/job_1/0.jpg", "output_key": "outputs/u_abc/job_1/0.png"}
    edit = {"action": "recolor", "value": "#336699"}
    unset = {
        "preset": None,
        "looks": None,
        "protect": None,
        "callback_url": None,
        "options": {"quality": None, "masks": None, "format": None},
    }
    nulls = palette_job(
        items=[item | {"mask_keys": None, "input_url": None, "preview_key": None}],
        concepts={"Wall": edit | {"params": None, "at": None, "instances": None, "boxes": None}},
    )
    nulls |= unset
    absent = palette_job(items=[item], concepts={"Wall": edit})
    for name in ("preset", "protect", "callback_url", "options"):
        absent.pop(name, None)
    catalog = load_catalog()
    assert parse_job(nulls, catalog) == parse_job(absent, catalog)
    assert parse_job(nulls | {"options": None}, catalog) == parse_job(absent, catalog)
    rules = rule_job()
    rules["rules"] = [rule | {"not_at": None, "value": None} for rule in rules["rules"]]
    assert parse_job(rules | {"items": None, "protect": None}, catalog) == parse_job(rule_job(), catalog)


@pytest.mark.parametrize("message", [palette_job(), rule_job()], ids=["palette", "rules"])
def test_a_byte_order_mark_and_a_message_that_was_serialised_twice(message: dict[str, Any]) -> None:
    text = json.dumps(message)
    once: list[str | bytes] = [text, "\ufeff" + text, b"\xef\xbb\xbf" + text.encode() + b"\r\n"]
    twice: list[str | bytes] = [json.dumps(text), json.dumps("\ufeff" + text), "\ufeff" + json.dumps(text), json.dumps(text).encode()]
    assert all(decode_message(received).fields == message for received in (*once, *twice))
    assert decode_message(json.dumps(json.dumps(text))).problem == "the message must be a JSON object, not a string"


@pytest.mark.parametrize("number", ["4.0", "4e0", "0.4e1"])
def test_a_whole_number_may_be_written_as_a_fraction(number: str) -> None:
    """JSON has one kind of number: Lua and PHP write 4.0 where they count in doubles."""
    text = json.dumps(palette_job(batch_concurrency=4)).replace('"batch_concurrency": 4', f'"batch_concurrency": {number}')
    assert parse_job(text, load_catalog()).concurrency == 4


@pytest.mark.parametrize("number", ["4.5", "1e400", "1e300"])
def test_what_is_no_whole_number_is_none(number: str) -> None:
    text = json.dumps(palette_job(batch_concurrency=4)).replace('"batch_concurrency": 4', f'"batch_concurrency": {number}')
    with pytest.raises(JobError, match=r"batch_concurrency: input should be (a valid integer|less than or equal to 64)"):
        parse_job(text, load_catalog())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"items": []}, "items: must have at least 1 entry, and has 0"),
        ({"concepts": {}}, "concepts: must have at least 1 entry, and has 0"),
        ({"protect": [f"a{i}" for i in range(17)]}, "protect: must have at most 16 entries, and has 17"),
        ({"callback_url": "ftp://host/a"}, "callback_url: URL scheme should be"),
        ({"preset": "INTERIOR"}, "did you mean 'interior'?"),
        ({"concepts": {"Wall": {"action": "recolor", "value": "OAK_A"}}}, "did you mean 'oak_a'?"),
        ({"concepts": {"Wall": {"action": "recolor", "value": "7C9082"}}}, "did you mean '#7C9082'?"),
    ],
)
def test_a_refusal_speaks_json_and_names_what_was_meant(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(JobError) as refused:
        parse_job(palette_job(**fields), load_catalog())
    assert sentence in str(refused.value)
