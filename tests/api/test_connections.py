"""Clients that hold a connection open, and what is no HTTP: against the real server with short limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.api.app import make_app
from orchestrator.api.connections import GuardedProtocol
from orchestrator.api.serve import Address, listening, parse_listen
from orchestrator.api.service import ApiService
from orchestrator.errors import SettingsError
from orchestrator.settings import Settings

HOST = "Host: localhost\r\n"


class Hurried(GuardedProtocol):
    header_seconds, reader_seconds = 0.3, 0.3


async def with_server(app: object, talk: Callable[[int], Awaitable[None]]) -> None:
    async with asyncio.timeout(30), listening(app, Address("127.0.0.1", 0), Hurried) as port:  # type: ignore[arg-type]
        await talk(port)


def test_slow_headers_are_cut_off() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /ping HTTP/1.1\r\n")
        for _ in range(100):
            writer.write(b"X: y\r\n")
            if reader.at_eof():
                break
            try:
                await asyncio.wait_for(reader.read(1), 0.05)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("the connection stays open")
        writer.close()

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk))


@pytest.mark.parametrize("size", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_slow_bodies_are_answered_and_cut_off(size: str) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /v1/jobs HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n{size}\r\n\r\n".encode())
        answer = await reader.read()  # to the end of the connection
        assert b"408" in answer.splitlines()[0] and b'"code":"slow"' in answer
        writer.close()

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http", api_idle=0.3))), talk))


def test_readers_that_do_not_read_are_cut_off() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def endless() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1 << 20)
            finally:
                ended.set()

        await StreamingResponse(endless())(scope, receive, send)

    async def talk(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode())
        await ended.wait()
        writer.transport.abort()

    asyncio.run(with_server(app, talk))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem(sent: bytes) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"400" in head.splitlines()[0] and json.loads(body)["status"] == 400
        writer.close()

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk))


@pytest.mark.parametrize(("text", "expected"), [(":1", ("0.0.0.0", 1)), ("[::1]:2", ("::1", 2)), ("localhost:3", ("localhost", 3))])
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == Address(*expected)


@pytest.mark.parametrize("text", ["", "8080", "host", "a:b", "a:99999", "http://a:1"])
def test_what_is_no_address_is_said_so(text: str) -> None:
    with pytest.raises(SettingsError, match="accepted is HOST:PORT"):
        parse_listen(text)
