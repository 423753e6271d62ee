"""Results by their key: whole, in part, not again; from a folder and from S3."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from orchestrator.api.files import FileResponse, parse_range
from orchestrator.errors import Conflict, NotFound
from orchestrator.storage.base import Storage
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.s3 import S3Storage
from respray.retry import Retry
from tests.api.support import ApiProcess
from tests.servers import client_of

DATA = os.urandom(3_000_000)
KEY = "outputs/local/files/big.png"


@pytest.fixture
def url(api: ApiProcess) -> str:
    path = api.store / KEY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(DATA)
    return f"/v1/files/{KEY}"


@pytest.mark.server
def test_a_file_is_sent_whole_in_part_and_not_again(client: httpx.Client, url: str) -> None:
    whole = client.get(url)
    assert whole.content == DATA and whole.headers["content-type"] == "image/png" and whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    for header, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=2999990-", 2999990, 3000000),
        ("bytes=-5", 2999995, 3000000),
        ("bytes=1000000-2500000", 1000000, 2500001),
    ):
        part = client.get(url, headers={"Range": header})
        assert part.status_code == 206 and part.content == DATA[start:end], header
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/3000000"
    assert client.get(url, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    beyond = client.get(url, headers={"Range": "bytes=3000000-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == "bytes */3000000"
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"old"'}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    head = client.head(url)
    assert head.status_code == 200 and head.content == b"" and head.headers["content-length"] == "3000000"
    for method in ("GET", "HEAD"):
        saved = client.request(method, url, params={"download": True})
        assert saved.headers["content-disposition"] == 'attachment; filename="big.png"'
        assert client.request(method, url, params={"download": "maybe"}).status_code == 422


@pytest.mark.server
@pytest.mark.parametrize(
    "key",
    [
        "outputs/local/files/none.png",
        "outputs/other/files/big.png",
        "outputs/local/../other/a.png",
        "outputs/local/%2e%2e/other/a.png",
        "outputs/local//files/big.png",
        "/etc/passwd",
        "queue/http/local/x.json",
        "segments/local/x",
        "failed/local/x.json",
        "outputs/local/files/manifest/0.json",
        "outputs/local/files",
        "outputs/local/files/big.png/x",
        "outputs/local/a\\b",
        "outputs/local/" + "x" * 2000,
        "outputs/local/%00",
    ],
)
def test_other_keys_are_not_there(client: httpx.Client, url: str, key: str) -> None:
    answer = client.get(f"/v1/files/{key}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 10)),
        ("bytes=5-3", None),
        ("bytes=-0", (10, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=-", None),
    ],
)
def test_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_an_open_object_stays_what_it_was(kind: str, tmp_path: Path, s3_endpoint: str) -> None:
    storage: Storage = FolderStorage(tmp_path)
    if kind == "s3":
        client_of(s3_endpoint, "test", "test").create_bucket(Bucket="opened")
        storage = S3Storage(S3Options("opened", s3_endpoint, "test", "test", "us-east-1", retry=Retry(attempts=1)))
    try:
        written = storage.write("a/b", DATA, "image/png")
        opened = storage.open("a/b")
        assert (opened.stat.size, opened.stat.etag) == (3_000_000, written.etag)
        assert opened.read(10, 20) == DATA[10:30] and opened.read(2_999_999, 50) == DATA[-1:] and opened.read(3_000_000, 5) == b""
        storage.write("a/b", b"other", "image/png")
        try:
            assert opened.read(0, 5) == DATA[:5]
        except Conflict:
            assert kind == "s3"
        opened.close()
        with pytest.raises(NotFound):
            storage.open("a/none")
    finally:
        storage.close()


def test_a_file_is_let_go_of_where_the_caller_has_gone_before_its_first_byte() -> None:
    happened: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        happened.append(message["type"])
        raise OSError("the connection is closed")

    async def parts() -> AsyncIterator[bytes]:
        happened.append("read")
        yield b"photo"

    async def answer() -> None:
        held = AsyncExitStack()
        held.callback(happened.append, "closed")
        with pytest.raises(ClientDisconnect):
            await FileResponse(held, parts(), 200, {}, "image/png")({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)

    asyncio.run(answer())
    assert happened == ["http.response.start", "closed"]
