"""One photo at once: what a person types, and what a program that does not wait does."""

from __future__ import annotations

import asyncio
import email
import io
import json
import socket
import subprocess
from email.message import Message
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.api.support import WALL, ApiProcess, curl, palette_job, photo, wait_over
from tests.faults.processes import wait_for

pytestmark = pytest.mark.server
CLEAR = {"concepts": {"Wall": {"action": "remove", "value": "transparent"}}, "options": {"format": "jpeg"}}
PART = b'--a\r\nContent-Disposition: form-data; name="p%d"\r\n\r\nx\r\n'


def form(seed: int, **fields: object) -> dict[str, tuple[str, bytes | str]]:
    return {"photo": ("room.jpg", photo(seed)), "job": ("", json.dumps(WALL | fields))}


def masked(mask: object) -> str:
    return json.dumps(WALL | {"mask_keys": {"Wall": mask}})


def test_curl_sends_a_photo_and_gets_the_picture(api: ApiProcess, tmp_path: Path) -> None:
    (tmp_path / "room.jpg").write_bytes(photo(1))
    job = 'job={"preset":"interior","concepts":{"Wall":{"action":"recolor","value":"#7C9082"}}}'
    command = [curl(), "-sS", "-f", "-F", "photo=@room.jpg", "-F", job, f"{api.url}/v1/edits", "-o", "out.png", "-D", "head"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "out.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 48))
    head = (tmp_path / "head").read_text().lower()
    assert "content-type: image/png" in head and '"concepts":[{"name":"wall"' in head


def test_the_same_edit_again_is_the_same_job(api: ApiProcess, client: httpx.Client) -> None:
    first, second = (client.post("/v1/edits", files=form(2)) for _ in range(2))
    assert first.status_code == second.status_code == 200 and first.content == second.content
    job = first.headers["respray-job"]
    assert len(api.finished(job)) == 1
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "completed"
    assert client.get(first.headers["content-location"]).content == first.content


@pytest.mark.slow
def test_two_hundred_edits_at_once(api: ApiProcess) -> None:
    """More than one key may have under way (API_REQUESTS_PER_KEY): those beyond are told when to come again, and nothing is lost."""
    refused: list[int] = []

    async def send(client: httpx.AsyncClient, number: int) -> tuple[str, bytes]:
        edit = {"action": "recolor", "value": f"#{number:02x}9082"}
        for _ in range(10):
            answer = await client.post("/v1/edits", files=form(1000 + number % 8, concepts={"Wall": edit}))
            if answer.status_code == 429:
                refused.append(int(answer.headers["retry-after"]))
                await asyncio.sleep(refused[-1])
                continue
            assert answer.status_code == 200, answer.text
            return answer.headers["respray-job"], answer.content
        raise AssertionError("told to come again for the tenth time")

    async def all_at_once() -> list[tuple[str, bytes]]:
        async with httpx.AsyncClient(base_url=api.url, timeout=280, limits=httpx.Limits(max_connections=None)) as client:
            return list(await asyncio.gather(*(send(client, number) for number in range(200))))

    done = asyncio.run(all_at_once())
    assert refused and all(1 <= seconds <= 30 for seconds in refused)
    for _, picture in done:
        with Image.open(io.BytesIO(picture)) as opened:
            assert opened.size == (64, 48)
    assert len({job for job, _ in done}) == 200
    # An event is kept first and told on stdout then. Nothing is done twice.
    wait_for("every end on stdout", lambda: [len(api.finished(job)) for job, _ in done] == [1] * 200)


def test_several_files_come_in_one_answer(client: httpx.Client) -> None:
    rules = [
        {"ruleId": "a", "concept": "wall", "type": "recolor", "params": {"color": "#334455"}},
        {"ruleId": "b", "concept": "wall", "type": "tone", "params": {"brightness": 0.5}},
    ]
    job = {"concepts": ["wall"], "rules": rules, "imageCount": 1, "options": {"masks": True}}
    answer = client.post("/v1/edits", files={"photo": ("room.jpg", photo(3)), "job": ("", json.dumps(job))})
    assert answer.status_code == 200, answer.text
    message = email.message_from_bytes(b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.content)
    parts = message.get_payload()
    assert isinstance(parts, list)
    report, *pictures = [part for part in parts if isinstance(part, Message)]
    assert json.loads(bytes(report.get_payload(decode=True)))["width"] == 64
    locations = [part["Content-Location"] for part in pictures]
    assert [where.rsplit("/", 2)[-2] for where in locations[:2]] == ["a", "b"]
    for part, where in zip(pictures, locations, strict=True):
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes) and Image.open(io.BytesIO(data)).size == (64, 48)
        assert client.get(where).content == data


def test_what_is_not_waited_for_goes_on(client: httpx.Client) -> None:
    answer = client.post("/v1/edits", files=form(4), headers={"Prefer": "respond-async"})
    assert answer.status_code == 202 and answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["location"] == answer.json()["status_url"]
    view = wait_over(client, answer.json()["job_id"])
    assert view["state"] == "completed"
    assert client.get(next(iter(view["items"][0]["files"].values()))).status_code == 200


def test_a_client_that_goes_away_stops_its_edit(api: ApiProcess, client: httpx.Client) -> None:
    """While a job holds the pipeline, so that the edit has not come far."""
    api.put("local", "holder", 12)
    assert client.post("/v1/jobs", json=palette_job("holder", 12)).status_code == 202
    request = client.build_request("POST", "/v1/edits", files=form(5))
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    host, _, port = api.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST /v1/edits HTTP/1.1\r\n{head}\r\n".encode() + body)
        wait_for("the edit in the queue", lambda: list((api.store / "queue").rglob("local/edit-*/*.json")))
        entry = next((api.store / "queue").rglob("local/edit-*/*.json"))
    job = entry.parent.name
    wait_for("its end", lambda: not entry.exists())
    assert client.get(f"/v1/jobs/{job}").json()["state"] in ("stopped", "completed")
    wait_over(client, "holder")
    # Sent again, it is done.
    assert client.post("/v1/edits", files=form(5)).status_code == 200
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "completed"


@pytest.mark.parametrize(
    ("files", "status", "field", "sentence"),
    [
        ({"job": ("", json.dumps(WALL))}, 422, "photo", "is missing"),
        ({"photo": ("a.jpg", photo(6))}, 422, "job", "is missing"),
        ({"photo": ("a.jpg", b"no photo"), "job": ("", json.dumps(WALL))}, 422, "photo", "not an image"),
        ({"photo": ("a.jpg", b""), "job": ("", json.dumps(WALL))}, 422, "photo", "empty"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", "{")}, 400, "", "not JSON"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", "[]")}, 422, "", "JSON object"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", json.dumps(WALL | {"job_id": "x"}))}, 422, "job_id", "/v1/jobs"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", json.dumps(WALL | {"preset": "castle"}))}, 422, "preset", "there are: interior"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", json.dumps(CLEAR))}, 422, "options.format", "JPEG has none; accepted are png and webp"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", masked({"base64": "aGVsbG8="}))}, 422, "mask_keys.Wall.base64", "not an image"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", masked({"base64": "?"}))}, 422, "mask_keys.Wall.base64", "is not base64"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", masked("inputs/local/x.png"))}, 422, "mask_keys.Wall", "outside this job's own prefix"),
        ({"photo": ("a.jpg", photo(6)), "job": ("", json.dumps(WALL)), "mask": ("m.png", b"x")}, 422, "mask", "accepted are the parts"),
    ],
)
def test_an_edit_that_cannot_be_done_says_why(
    client: httpx.Client, files: dict[str, tuple[str, bytes]], status: int, field: str, sentence: str
) -> None:
    answer = client.post("/v1/edits", files=files)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), problem
    assert problem["errors"][0]["field"] == field and sentence in problem["errors"][0]["message"], problem


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("multipart/form-data", b"x", "boundary"),
        ("multipart/form-data; boundary=a", b"hello", "Invalid multipart data"),
        ("multipart/form-data; boundary=a", b"".join(PART % i for i in range(10_000)), "fields"),
        ("multipart/form-data; boundary=a", PART[:-9] + b"X: y\r\n" * 100_000, "Invalid"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/edits", "/v1/photos"])
def test_a_form_that_cannot_be_read_is_told_what_is_accepted(client: httpx.Client, path: str, kind: str, body: bytes, reason: str) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": kind})
    problem = answer.json()
    assert answer.status_code == 400 and problem["code"] == "form", problem
    assert reason in problem["detail"] and "curl -F photo=@room.jpg" in problem["detail"], problem


def test_a_form_may_be_written_in_any_way_that_is_a_form(client: httpx.Client) -> None:
    """Parts in either order, the message as a file, no name and odd names, boundaries in quotes, chunks."""
    first = client.post("/v1/edits", files=form(7)).headers["respray-job"]
    job = ("job.json", json.dumps(WALL), "application/json")
    for name in ("", '"\u623f \\.jpg'):
        answer = client.post("/v1/edits", files={"job": job, "photo": (name, photo(7), "text/html")})
        assert (answer.status_code, answer.headers.get("respray-job")) == (200, first), answer.text
    assert client.post("/v1/photos", files={"photo": ("", photo(7))}).status_code == 201
    parts = [b"name=photo; filename=x\r\n\r\n" + photo(7), b'name="job"\r\n\r\n' + json.dumps(WALL).encode()]
    body = b"".join(b"--a b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--a b--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="a b"'}
    for content in (body, (body[i : i + 1000] for i in range(0, len(body), 1000))):
        answer = client.post("/v1/edits", content=content, headers=headers)
        assert (answer.status_code, answer.headers.get("respray-job")) == (200, first), answer.text
    assert client.post("/v1/edits", content=body[:-200], headers=headers).status_code == 422
