"""Hostile requests: each is answered by a problem document that says what is wrong, and the intake works on afterwards."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.api.support import WALL, ApiProcess, palette_job, photo
from tests.orchestrator import hostile

pytestmark = pytest.mark.server
JSON = {"Content-Type": "application/json"}
LEFT_OUT = ("user_id", "job_id", "userId", "jobId")
"""What HTTP takes without."""
FORM = "multipart/form-data; boundary=x"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


EDIT = part("photo", photo(1), '; filename="a.jpg"') + part("job", json.dumps(WALL).encode()) + b"--x--\r\n"
BROKEN_GIF = part("photo", b"GIF89a" + bytes(99), '; filename="../../../etc/passwd"') + part("job", b"{}") + b"--x--"
NO_RULE = part("photo", photo(1), '; filename="a"') + part("job", b'{"concepts": {"W": 1}}') + b"--x--"
REQUESTS: list[tuple[str, str, dict[str, str], bytes, set[int]]] = [
    # Bodies that are no messages.
    ("POST", "/v1/jobs", JSON, b"", {400}),
    ("POST", "/v1/jobs", JSON, b"{", {400}),
    ("POST", "/v1/jobs", JSON, b"\xff\xfe{\x00}\x00", {400}),
    ("POST", "/v1/jobs", JSON, b"null", {422}),
    ("POST", "/v1/jobs", JSON, b'{"a":1,"a":2}', {400}),
    ("POST", "/v1/jobs", JSON, b'{"job_id": NaN}', {400}),
    ("POST", "/v1/sessions", JSON, b'{"a": 1e999}', {422}),
    ("POST", "/v1/jobs", JSON, b'{"job_id": "a", "items": 1e999}', {422}),
    ("POST", "/v1/jobs", JSON, b'{"items": 1e999}', {422}),
    ("POST", "/v1/jobs", JSON, b"[" * 100_000, {400, 422}),
    ("POST", "/v1/jobs", JSON, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, {400, 422}),
    ("POST", "/v1/jobs", JSON, b'{"job_id": "' + b"x" * (2 << 20) + b'"}', {413, 422}),
    ("POST", "/v1/jobs", JSON, b'{"user_id": 5, "job_id": []}', {422}),
    ("POST", "/v1/jobs", JSON, b'{"user_id": "local", "job_id": "../../x", "items": []}', {422}),
    ("POST", "/v1/jobs", JSON, b'{"user_id": "other"}', {403}),
    ("POST", "/v1/jobs", JSON, b'{"userId": "other", "rules": []}', {403}),
    ("POST", "/v1/jobs", JSON, b'{"user_id": "\\ud800"}', {403}),
    ("POST", "/v1/jobs", JSON, b'{"job_id": "\\ud800", "items": []}', {422}),
    ("POST", "/v1/jobs", JSON, b'{"job_id": "\\u0000", "items": []}', {422}),
    ("POST", "/v1/jobs?replace=maybe", JSON, b"{}", {422}),
    # Media types.
    ("POST", "/v1/jobs", {"Content-Type": "text/plain"}, b"{}", {415}),
    ("POST", "/v1/jobs", {}, b"{}", {415}),
    ("POST", "/v1/jobs", {"Content-Type": FORM}, EDIT, {415}),
    ("POST", "/v1/edits", JSON, b"{}", {415}),
    ("POST", "/v1/photos", {"Content-Type": "text/html"}, b"<html>", {415}),
    ("POST", "/v1/jobs", JSON | {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08", {415}),
    # Forms.
    ("POST", "/v1/edits", {"Content-Type": "multipart/form-data"}, EDIT, {400}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, b"", {400, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, b"garbage", {400, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, EDIT[:-10], {400, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, part("a", b"x") * 50 + b"--x--", {400, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, part("a", b"x", '; filename="b"') * 50 + b"--x--", {400, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, part("job", b"x" * (2 << 20)) + b"--x--", {400, 413, 422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, BROKEN_GIF, {422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, NO_RULE, {422}),
    ("POST", "/v1/edits", {"Content-Type": FORM}, part("photo", photo(1)) + part("job", b"{}") + b"--x--", {422}),
    # Ids and addresses.
    ("GET", "/v1/jobs/..%2f..%2fx", {}, b"", {404}),
    ("GET", "/v1/jobs/" + "x" * 500, {}, b"", {404, 422}),
    ("GET", "/v1/jobs/%00", {}, b"", {404}),
    ("GET", "/v1/jobs/%ff%fe", {}, b"", {404}),
    ("DELETE", "/v1/jobs/none", {}, b"", {404}),
    ("GET", "/v1/jobs/none/events", {"Last-Event-ID": "x" * 5000}, b"", {404}),
    ("GET", "/v1/jobs/", {}, b"", {404, 405}),
    ("GET", "/v1/files/", {}, b"", {404}),
    ("GET", "/v1/files/outputs/local/%2e%2e/%2e%2e/etc/passwd", {}, b"", {404}),
    ("GET", "/v1/textures/..%2f..%2fcatalogue.yaml/picture", {}, b"", {404}),
    ("GET", "/docs/..%2fapp.py", {}, b"", {404}),
    ("GET", "/v1", {}, b"", {404}),
    ("GET", "//v1/palettes", {}, b"", {404}),
    ("GET", "/V1/palettes", {}, b"", {404}),
    # Methods.
    ("PUT", "/v1/jobs", {}, b"", {405}),
    ("TRACE", "/v1/palettes", {}, b"", {405}),
    ("OPTIONS", "/v1/jobs", {"Access-Control-Request-Method": "POST"}, b"", {405}),
    ("BREW", "/ping", {}, b"", {405}),
    ("DELETE", "/v1/files/outputs/local/x", {}, b"", {405}),
    # Photos.
    ("POST", "/v1/photos", {"Content-Type": "image/jpeg"}, b"", {422}),
    ("POST", "/v1/photos", {"Content-Type": "image/jpeg"}, b"<svg onload=alert(1)>", {422}),
    ("POST", f"/v1/photos/{'0' * 64}/preview", JSON, b'{"concepts": {"a": {"action": "recolor", "value": "oak_a"}}}', {404}),
    ("POST", "/v1/photos/..%2f/segments", JSON, b'{"concepts": ["a"]}', {404}),
    ("POST", f"/v1/photos/{'0' * 64}/segments", JSON, b'{"concepts": []}', {422}),
    ("POST", f"/v1/photos/{'0' * 64}/segments", JSON, b'{"concepts": ["a"], "long_side": 1e9}', {422}),
    ("POST", f"/v1/photos/{'0' * 64}/segments", JSON, b'{"concepts": ["\\ud800"]}', {400, 422}),
    ("POST", f"/v1/photos/{'0' * 64}/preview", JSON, b'{"concepts": {}, "crop": [0, 0, 9, 9]}', {422}),
    ("POST", f"/v1/photos/{'0' * 64}/preview", JSON, b'{"concepts": {}, "crop": [0.5, 0, 0.2, 1]}', {422}),
]


NAMES = [f"{number}-{request[0]}-{request[1][:24]}" for number, request in enumerate(REQUESTS)]


@pytest.mark.parametrize(("method", "path", "headers", "body", "statuses"), REQUESTS, ids=NAMES)
def test_every_hostile_request_gets_a_problem(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], body: bytes, statuses: set[int]
) -> None:
    answer = client.request(method, path, headers=headers, content=body)
    assert answer.status_code in statuses, answer.text[:500]
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json" and problem["status"] == answer.status_code
    assert 10 < len(problem["detail"]) < 8000 and "Traceback" not in answer.text and "pydantic" not in answer.text


def test_what_pydantic_finds_is_said_in_the_parsers_words(client: httpx.Client) -> None:
    answer = client.post("/v1/jobs?replace=maybe", json={})
    said = "input should be a valid boolean, unable to interpret input (given: 'maybe')"
    assert answer.json()["errors"] == [{"field": "replace", "message": said}]
    answer = client.post("/v1/photos", content=b"x")
    assert answer.json()["detail"].startswith("Content-Type is missing; accepted is multipart/form-data or image/*; with curl: ")


def test_every_hostile_message_is_refused_with_the_parsers_sentence(client: httpx.Client) -> None:
    """The corpus of all intakes, as far as it travels over HTTP."""
    sent = 0
    for name, message in hostile.messages():
        try:
            body = message if isinstance(message, bytes) else message.encode() if isinstance(message, str) else json.dumps(message).encode()
        except (TypeError, ValueError, RecursionError):
            continue
        answer = client.post("/v1/jobs", content=body, headers=JSON)
        if answer.status_code == 202 and name.split(" without ")[-1] in LEFT_OUT:
            continue
        assert answer.status_code in (400, 403, 413, 422), (name, answer.status_code, answer.text[:300])
        assert answer.json()["detail"], name
        sent += 1
    assert sent > 150


@pytest.mark.parametrize("path", ["/v1/edits", "/v1/jobs", "/v1/palettes"])
def test_a_body_that_claims_too_much_is_refused_before_it_comes(api: ApiProcess, path: str) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\nContent-Length: {1 << 40}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(4096)
        while not answer.endswith(b"}") and (more := connection.recv(4096)):
            answer += more
        assert answer.startswith(b"HTTP/1.1 413 ") and b" MB that are accepted here" in answer


def test_it_works_on_afterwards(api: ApiProcess, client: httpx.Client) -> None:
    assert client.post("/v1/edits", content=EDIT, headers={"Content-Type": FORM}).status_code == 200
    assert "Traceback" not in api.log.read_text()
    assert client.post("/v1/jobs", json=palette_job("later", 1)).status_code == 202
    assert not list(api.store.glob("outputs/other*"))
