"""Celery beyond the way of a good job: what senders get wrong ends in a dead letter, and `celery worker` is our worker."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
import uuid
import zlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import serialization

from orchestrator.errors import JobError
from orchestrator.intake.celery import TASK, job_of, make_app
from orchestrator.intake.celery_compression import MAX_BODY_BYTES
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from tests.faults.processes import PROJECT, Redis, wait_for, worker_environment
from tests.orchestrator.support import palette_job, photo
from tests.orchestrator.test_intakes import celery_worker, done, jobs_in


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def push(server: Redis, queue: str, body: bytes, kind: str = "application/json", **headers: Any) -> None:
    """A message as Celery's own producers write it, with any body and headers."""
    name = str(uuid.uuid4())
    base = {"lang": "py", "task": TASK, "id": name, "root_id": name, "parent_id": None, "group": None, "retries": 0}
    properties = {
        "correlation_id": name,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8" if kind == "application/json" else "binary",
        "content-type": kind,
        "headers": {key: value for key, value in (base | headers).items() if value != "absent"},
        "properties": properties,
    }
    redis.from_url(server.url).lpush(queue, json.dumps(message))


def test_what_celery_would_throw_away_is_refused_with_a_dead_letter(tmp_path: Path, redis_server: Redis) -> None:
    queue, ran = "celery-refuse", tmp_path / "ran"
    good = [json.dumps([[palette_job(f"job_{number}")], {}, {}]).encode() for number in range(4)]
    push(redis_server, queue, ("[[" + "[" * 2000 + "]" * 2000 + "], {}, {}]").encode())
    push(redis_server, queue, b"[[{broken")
    push(redis_server, queue, pickle.dumps([[Bomb(ran)], {}, {}]), "application/x-python-serialize")
    push(redis_server, queue, good[0], task="other.process")
    push(redis_server, queue, good[1], task="absent")
    push(redis_server, queue, good[2], eta="tomorrow")
    push(redis_server, queue, good[3], compression="application/x-unknown")
    push(redis_server, queue, zlib.compress(b'["' + b" " * (MAX_BODY_BYTES + 1)), compression="application/x-gzip")  # 40 kB
    push(redis_server, queue, zlib.compress(good[3])[:-9], compression="application/x-gzip")
    push(redis_server, queue, b"[1, 2]")
    push(redis_server, queue, b'"text"')
    result = make_app(redis_server.url, queue, 60).send_task(TASK, kwargs={"job": jobs_in(tmp_path, "last")[0]})
    letters = tmp_path / "failed/unreadable"
    with celery_worker(tmp_path, redis_server, queue):
        wait_for("eleven dead letters", lambda: letters.is_dir() and len(list(letters.glob("*.json"))) == 11)
        wait_for("the job behind them", result.ready)
    reasons = sorted(json.loads(path.read_text())["reason"] for path in letters.glob("*.json"))
    assert not ran.exists() and done(tmp_path, "last")()
    said = ["'other.process'; accepted is 'respray.process'", "pickle", "names no task", "recursion", "tomorrow"]
    for part in (*said, "unpacks to more", "cut off"):
        assert any(part in reason for reason in reasons), (part, reasons)
    assert not redis.from_url(redis_server.url).exists(queue, f"respray:{queue}:unacked")


@pytest.mark.parametrize(
    ("arguments", "named", "job"),
    [
        ([{"job_id": "a"}], {}, {"job_id": "a"}),
        ([], {"job": {"job_id": "a"}}, {"job_id": "a"}),
        ([], {"job_id": "a", "user_id": "u"}, {"job_id": "a", "user_id": "u"}),
        ([], {}, {}),
    ],
)
def test_the_ways_to_give_a_job(arguments: list[Any], named: Mapping[str, Any], job: Any) -> None:
    assert job_of(arguments, named) == job


def test_what_celerys_json_makes_of_python_s_values_is_what_they_mean() -> None:
    """An id that is a UUID, a number of a database, base64 as Python's own module returns it."""
    name = uuid.uuid4()
    half = {"Wall": {"action": "recolor", "value": {"color": "#AABBCC", "strength": Decimal("0.5")}}}
    item = {"idx": Decimal(0), "input_base64": base64.b64encode(photo()), "output_key": f"outputs/u/{name}/0.png"}
    registry: Any = serialization  # the package is half typed
    sent = registry.dumps({"job_id": name, "user_id": b"u", "concepts": half, "items": [item]}, "json")[2]
    job = parse_job(registry.loads(sent, "application/json", "utf-8"), load_catalog())
    assert job.job_id == str(name) and job.user_id == "u"
    for given in (b"\xff\xd8", {1}):
        with pytest.raises(JobError, match="none of its types; files travel as base64 text"):
            parse_job({"job_id": given}, load_catalog())


@pytest.mark.parametrize(
    ("arguments", "named", "said"), [([1, 2], {}, "2 arguments"), ([{"job_id": "a"}], {"x": 1}, "1 positional and 1 keyword arguments")]
)
def test_more_than_a_job_is_refused_as_such(arguments: list[Any], named: Mapping[str, Any], said: str) -> None:
    refused = job_of(arguments, named)
    assert refused.fields is None and said in refused.problem and json.loads(refused.received)["args"] == arguments


def test_what_other_languages_leave_out_is_filled_in_and_no_entry_of_the_list_is_lost(tmp_path: Path, redis_server: Redis) -> None:
    """A task without an id used to be delivered for ever, and an entry that is no Celery message to vanish."""
    queue = "celery-other-languages"
    jobs = jobs_in(tmp_path, "no_id", "nulls", "php", "behind")
    push(redis_server, queue, json.dumps([[jobs[0]], {}, {}]).encode(), id="absent")
    push(redis_server, queue, json.dumps([[jobs[1]], None, None]).encode(), id=7)
    push(redis_server, queue, json.dumps([[jobs[2]], [], []]).encode())
    push(redis_server, queue, json.dumps([[palette_job("list")], ["x"], {}]).encode())
    push(redis_server, queue, json.dumps(palette_job("bare")).encode())
    plain = redis.from_url(redis_server.url)
    for entry in (b"hello", b"\xff\xfe", json.dumps(palette_job("plain")).encode(), b"[]", b"null", b'{"task": "x"}', b"[" * 100_000):
        plain.lpush(queue, entry)
    letters = tmp_path / "failed/unreadable"
    result = make_app(redis_server.url, queue, 60).send_task(TASK, [jobs[3]], priority=9)
    with celery_worker(tmp_path, redis_server, queue):
        wait_for("nine dead letters", lambda: letters.is_dir() and len(list(letters.glob("*.json"))) == 9)
        wait_for("the job behind them", result.ready)
    reasons = sorted(json.loads(path.read_text())["reason"] for path in letters.glob("*.json"))
    assert all(done(tmp_path, name)() for name in ("no_id", "nulls", "php", "behind"))
    assert sum("names no task; accepted is a Celery message" in reason for reason in reasons) == 6, reasons
    assert sum("the body of a task is [args, kwargs, embed]" in reason for reason in reasons) == 2, reasons
    assert not plain.exists(queue, f"respray:{queue}:unacked")


def test_celerys_own_command_is_our_worker(tmp_path: Path, redis_server: Redis) -> None:
    """It goes as far as `respray work` does: here, up to the missing store."""
    environment = worker_environment(REDIS_URL=redis_server.url, QUEUE_NAME="q", PYTHONPATH=str(PROJECT), PATH="/usr/bin:/bin")
    environment["STORAGE_ACCESS_KEY"] = ""
    command = [sys.executable, "-m", "celery", "-A", "orchestrator.celery_app", "worker", "--loglevel=info", "-c", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False)
    assert "missing settings for ADAPTER=celery: STORAGE_S3_ENDPOINT" in ended.stderr, ended.stderr[-2000:]
