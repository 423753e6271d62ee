"""Jobs over HTTP: taken in once, followed to their end, stopped, taken up again."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.support import ApiProcess, palette_job, wait_over
from tests.faults.processes import CALLBACK_SECRET, wait_for
from tests.faults.receiver import Receiver

pytestmark = pytest.mark.server


def events_of(client: httpx.Client, job: str, last: str | None = None) -> list[dict[str, Any]]:
    """All events of a job to the end of the stream, each with its id."""
    found, identity = [], ""
    with client.stream("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last} if last else {}) as answer:
        assert answer.status_code in (200, 204)
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            identity = value if name == "id" else identity
            if name == "data":
                found.append({"id": identity, **json.loads(value)})
    return found


def test_a_job_is_taken_in_once(api: ApiProcess, client: httpx.Client) -> None:
    api.put("local", "once", 2)
    job = palette_job("once", 2)
    first = client.post("/v1/jobs", json=job)
    assert first.status_code == 202 and first.headers["location"] == "/v1/jobs/once"
    assert first.json() == {"job_id": "once", "user_id": "local", "status_url": "/v1/jobs/once", "events_url": "/v1/jobs/once/events"}
    assert client.post("/v1/jobs", content=json.dumps(job, indent=3), headers={"Content-Type": "application/json"}).status_code == 200
    other = palette_job("once", 2, protect=["Floor"])
    refused = client.post("/v1/jobs", json=other)
    assert refused.status_code == 409 and "replace=true" in refused.json()["detail"]
    assert wait_over(client, "once")["state"] == "completed"
    assert client.post("/v1/jobs", json=job).status_code == 200
    assert client.post("/v1/jobs", json=other).status_code == 409
    assert len(api.finished("once")) == 1 and not list((api.store / "queue").rglob("once/*.json"))
    assert client.post("/v1/jobs", params={"replace": True}, json=other).status_code == 202
    view = wait_over(client, "once")
    assert view["state"] == "completed" and len(api.finished("once")) == 2
    assert {concept["name"] for concept in view["items"][0]["report"]["concepts"]} >= {"Wall", "Floor"}


def test_ids_may_be_left_out(api: ApiProcess, client: httpx.Client) -> None:
    rule = {"concepts": ["wall"], "rules": [{"ruleId": "r", "concept": "wall", "type": "recolor", "params": {"color": "#112233"}}]}
    first, second = (client.post("/v1/jobs", json=rule | {"imageCount": 1}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200) and first.json() == second.json()
    view = wait_over(client, first.json()["job_id"])
    assert view["state"] == "failed" and "there is no inputs/local/job-" in view["items"][0]["error"]  # nobody has put a photo there


def test_forty_photos_are_told_one_by_one_and_a_stream_is_taken_up_where_it_broke_off(api: ApiProcess, client: httpx.Client) -> None:
    api.put("local", "forty", 40, different=4)
    assert client.post("/v1/jobs", json=palette_job("forty", 40)).status_code == 202
    seen, last = [], ""
    with client.stream("GET", "/v1/jobs/forty/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("id: "):
                seen.append(line)
                last = line.removeprefix("id: ")
            if len(seen) == 10:
                break
    rest = events_of(client, "forty", last)
    assert len(seen) + len(rest) == 81  # progress and item of each, and finish
    assert rest[-1]["event"] == "finish" and rest[-1]["completed"] == 40

    def told() -> list[dict[str, Any]]:
        events = [json.loads(line) for line in api.events_file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [event for event in events if event.get("job_id") == "forty"]

    # An event is kept first and told on stdout then.
    wait_for("the end on stdout", lambda: told()[-1]["event"] == "finish")
    assert [{k: v for k, v in event.items() if k != "id"} for event in rest] == told()[10:]
    assert events_of(client, "forty", rest[-1]["id"]) == []
    view = client.get("/v1/jobs/forty").json()
    assert (view["state"], view["completed"], len(view["items"])) == ("completed", 40, 40)
    files = [client.get(url).headers["content-type"] for item in view["items"] for url in item["files"].values()]
    assert files == ["image/png"] * 40


def test_a_stopped_job_keeps_what_is_done(api: ApiProcess, client: httpx.Client) -> None:
    api.put("local", "stopped", 60)
    job = palette_job("stopped", 60)
    assert client.post("/v1/jobs", json=job).status_code == 202
    wait_for("a first item", lambda: client.get("/v1/jobs/stopped").json()["completed"] > 0)
    answer = client.delete("/v1/jobs/stopped")
    assert answer.status_code == 202 and answer.json()["state"] == "stopping"
    view = wait_over(client, "stopped")
    assert view["state"] == "stopped" and 0 < view["completed"] < 60 and view["failed"] == 0
    assert client.delete("/v1/jobs/stopped").status_code == 200
    assert client.post("/v1/jobs", json=job).status_code == 200  # the same job, stopped
    assert len(list((api.store / "outputs/local/stopped").glob("*.png"))) == view["completed"]
    assert events_of(client, "stopped")[-1]["status"] == "failed"


def test_a_job_that_is_stopped_while_it_waits_does_not_wait_any_longer(api: ApiProcess, client: httpx.Client) -> None:
    holders = [f"holder-{number}" for number in range(4)]  # more than are worked on at the same time
    for job in (*holders, "waits"):
        api.put("local", job, 20)
        assert client.post("/v1/jobs", json=palette_job(job, 20)).status_code == 202
    assert client.delete("/v1/jobs/waits").status_code in (200, 202)
    view = wait_over(client, "waits")
    assert (view["state"], view["completed"], view["failed"]) == ("stopped", 0, 0)
    assert client.get(f"/v1/jobs/{holders[-1]}").json()["state"] in ("queued", "running")
    (end,) = events_of(client, "waits")
    assert (end["event"], end["status"], end["failed"], end["total"]) == ("finish", "failed", 0, 20)
    for job in holders:
        client.delete(f"/v1/jobs/{job}")
    for job in holders:
        wait_over(client, job)


def test_a_killed_intake_loses_nothing_and_does_nothing_twice(tmp_path: Path, triton_url: str, receiver: Receiver) -> None:
    environment = {"GPU_CALLBACK_SECRET": CALLBACK_SECRET, "CALLBACK_ALLOW_HOSTS": receiver.host, "JOB_CONCURRENCY": "1"}
    api = ApiProcess(tmp_path, triton_url, **environment)
    try:
        with httpx.Client(base_url=api.wait_ready(), timeout=60) as client:
            for job in ("one", "two"):
                api.put("local", job, 12)
                body = palette_job(job, 12, callback_url=f"{receiver.url}/{job}")
                assert client.post("/v1/jobs", json=body).status_code == 202
            wait_for("a first item", lambda: client.get("/v1/jobs/one").json()["completed"] > 0)
        api.kill()
        before = {path: path.stat().st_mtime_ns for path in api.store.glob("outputs/local/*/*.png")}
        assert 0 < len(before) < 24 and len(list((api.store / "queue").rglob("*.json"))) == 2
        with httpx.Client(base_url=api.restart(), timeout=60) as client:
            assert {job["state"] for job in (client.get(f"/v1/jobs/{name}").json() for name in ("one", "two"))} <= {"queued", "running"}
            assert [wait_over(client, job)["completed"] for job in ("one", "two")] == [12, 12]
            # What was done before is told from the records, to those who ask after a restart.
            assert {e["idx"] for e in events_of(client, "one") if e["event"] == "item"} == set(range(12))
        recorded = [json.loads(path.read_text()) for path in api.store.glob("outputs/local/*/manifest/*.json") if path.stem.isdigit()]
        kept = {file["key"] for record in recorded for file in record["files"] if record["attempt"] == 1}
        after = {path: path.stat().st_mtime_ns for path in before if str(path.relative_to(api.store)) in kept}
        assert after and after == {path: before[path] for path in after}
        assert len({(call.path, call.body["idx"]) for call in receiver.calls}) == 24
        assert len({call.headers["webhook-id"] for call in receiver.calls}) == 24
        assert not list((api.store / "queue").rglob("*.json"))
    finally:
        api.stop()


def test_sigterm_hands_back_what_is_not_done_in_time(tmp_path: Path, triton_url: str) -> None:
    api = ApiProcess(tmp_path, triton_url, GRACE_PERIOD_SEC="1", BATCH_CONCURRENCY="1")
    try:
        with httpx.Client(base_url=api.wait_ready(), timeout=60) as client:
            api.put("local", "long", 60)
            assert client.post("/v1/jobs", json=palette_job("long", 60)).status_code == 202
            wait_for("a first item", lambda: client.get("/v1/jobs/long").json()["completed"] > 0)
            api.send(signal.SIGTERM)
            wait_for("the end", lambda: not api.alive)
        assert api.stop() == 0, api.log.read_text()
        (entry,) = (json.loads(path.read_text()) for path in (api.store / "queue").rglob("*.json"))
        assert (entry["holder"], entry["attempts"]) == ("", 0)
    finally:
        api.stop()
