"""Clients that hold a connection open, and what is no HTTP: against the real server with short limits."""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx
import psutil
import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.api.app import make_app
from orchestrator.api.connections import READER_BYTES, READER_SECONDS, SPARE_CONNECTIONS, GuardedProtocol
from orchestrator.api.gate import Gate
from orchestrator.api.serve import Address, listening, parse_listen
from orchestrator.api.service import ApiService
from orchestrator.errors import SettingsError
from orchestrator.settings import Settings

HOST = "Host: localhost\r\n"


class Hurried(GuardedProtocol):
    header_seconds, reader_seconds = 0.3, 0.3


async def with_server(app: object, talk: Callable[[int], Awaitable[None]], protocol: type[GuardedProtocol] = Hurried) -> None:
    async with asyncio.timeout(30), listening(app, Address("127.0.0.1", 0), protocol) as port:  # type: ignore[arg-type]
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
                    await asyncio.sleep(0)  # as a file that is read does
            finally:
                ended.set()

        await StreamingResponse(endless())(scope, receive, send)

    async def talk(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode())
        await ended.wait()
        writer.transport.abort()

    asyncio.run(with_server(app, talk))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("size", [24 << 20, 4 << 20])
def test_readers_that_are_slow_get_all_of_a_large_answer(size: int, connection: str) -> None:
    """However large the answer is that was written at once, and however long it takes: a little in every so many seconds is enough."""
    whole = bytes(size)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(whole)(scope, receive, send)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(f"GET / HTTP/1.1\r\n{HOST}Connection: {connection}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200" in head.splitlines()[0]
        for _ in range(12):  # several times as long as a reader may take nothing
            size_read.append(len(await reader.readexactly(size // 16)))
            await asyncio.sleep(0.1)
        size_read.append(len(await reader.readexactly(size - sum(size_read))))
        writer.transport.abort()

    size_read: list[int] = []
    asyncio.run(with_server(app, talk))
    assert sum(size_read) == size


@pytest.mark.parametrize("read_at_first", [0, 20 << 20])
def test_a_reader_of_4_kb_a_second_is_heard_of_in_time(read_at_first: int) -> None:
    """Told by its reading, not by a clock: how much one on loopback takes before its system says so, also one that was quick before."""
    filling = bytes(1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as reader:
        writer, _ = server.accept()
        with writer:
            writer.setblocking(False)

            def fill() -> None:
                with suppress(BlockingIOError):
                    while True:
                        writer.send(filling)

            def unread() -> int:
                fill()
                return int.from_bytes(fcntl.ioctl(writer.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

            fill()
            taken = 0
            while taken < read_at_first:
                taken += len(reader.recv(1 << 18))
                fill()
            longest, since, before = 0, 0, unread()
            for _ in range(1024):
                since += len(reader.recv(4096))
                # What the system made room for is filled at once: only then is less unread than before.
                if (now := int.from_bytes(fcntl.ioctl(writer.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)) < before:
                    longest, since = max(longest, since), 0
                    now = unread()
                before = now
            assert READER_BYTES < max(longest, since) < READER_SECONDS * 4096


def test_a_reader_that_stops_within_the_last_bytes_is_cut_off() -> None:
    """The answer is complete for the server then, and only its buffers hold it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(bytes(16 << 20), headers={"Connection": "close"})(scope, receive, send)

    async def talk(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET / HTTP/1.1\r\n{HOST}\r\n".encode())
        ours = writer.get_extra_info("sockname")
        theirs = [c for c in psutil.Process().net_connections("tcp") if c.raddr == ours]
        async with asyncio.timeout(20):
            while not theirs:
                await asyncio.sleep(0.02)
                theirs = [c for c in psutil.Process().net_connections("tcp") if c.raddr == ours]
            while any(c.raddr == ours for c in psutil.Process().net_connections("tcp")):
                await asyncio.sleep(0.05)
        writer.transport.abort()

    asyncio.run(with_server(app, talk))


def test_files_are_left_for_the_store() -> None:
    """A process that may open 1,024 files, as on many systems: it asks for more, and keeps half of what it gets."""
    ask = "import resource as r; from orchestrator.api.serve import _most_connections as m; print(m(), r.getrlimit(r.RLIMIT_NOFILE)[0])"
    for limits, expected in (("ulimit -Sn 1024; ulimit -Hn 20000", "2000 4000"), ("ulimit -n 1024", "512 1024")):
        told = subprocess.run(["bash", "-c", f"{limits}; exec {sys.executable} -c '{ask}'"], capture_output=True, text=True, check=True)
        assert told.stdout.split() == expected.split()


def test_one_connection_too_many_gets_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.serve.MAX_CONNECTIONS", 3)
    monkeypatch.setattr(Hurried, "header_seconds", 30.0)  # those that are held open say nothing

    async def talk(port: int) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.get("/ping")
            assert answer.status_code == 503 and answer.headers["retry-after"] and answer.headers["connection"] == "close"
            assert answer.headers["content-type"] == "application/problem+json" and answer.json()["code"] == "busy"
            more = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SPARE_CONNECTIONS + 8)]
            closed = [asyncio.create_task(reader.read(1)) for reader, _ in more]
            while sum(task.done() for task in closed) < 5:
                await asyncio.sleep(0.01)
            assert sum(task.done() for task in closed) <= 8, "those beyond the spare ones are closed"
            held += more
            for _, writer in held:
                writer.transport.abort()
            while (await client.get("/ping")).status_code != 204:
                await asyncio.sleep(0.01)

    # Not in a hurry: those that are held say nothing, and are to stay for as long as this takes.
    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk, GuardedProtocol))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
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


def test_a_body_with_two_lengths_is_refused_and_what_hides_behind_it_is_not_heard() -> None:
    """A proxy in front that went by the other length would take somebody else's request for a part of this one."""

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hidden = f"GET /v1/palettes HTTP/1.1\r\n{HOST}\r\n"
        head = f"POST /v1/jobs HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: {len(hidden) + 5}\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}".encode())
        answer = await reader.read()  # to the end of the connection
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1 and b"accepted is one of them" in answer
        writer.close()

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk))


def test_a_compressed_body_is_refused_as_one() -> None:
    async def talk(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.post(
                "/v1/jobs", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
            )
            assert (
                answer.status_code == 415 and "Content-Encoding 'gzip' is not accepted: send the body as it is" in answer.json()["detail"]
            )

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk))


def test_more_requests_of_a_key_than_are_allowed_are_put_off() -> None:
    async def talk(port: int) -> None:
        head = f"POST /v1/jobs HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n".encode()
        _, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(head)
        await asyncio.sleep(0.1)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        second.write(head)
        answer = await reader.read(4096)
        assert answer.startswith(b"HTTP/1.1 429 ") and b"retry-after: " in answer
        for writer in (first, second):
            writer.close()
            await writer.wait_closed()

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http", api_requests=1))), talk))


def test_a_timeout_inside_a_route_is_an_error_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("of something that a route waits for")

    async def talk(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/ping")).status_code == 500

    asyncio.run(with_server(Gate(route, ApiService(Settings(adapter="http"))), talk))
    assert "was ended" not in caplog.text


def test_a_load_balancer_sees_it_start() -> None:
    """Before the worker is open, health says so, and calls are told to come again."""

    async def talk(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/ping")).status_code == 204
            answer = await client.get("/v1/jobs/any")
            assert answer.status_code == 503 and answer.headers["retry-after"]
            assert (await client.get("/v1/palettes")).status_code == 200

    asyncio.run(with_server(make_app(ApiService(Settings(adapter="http"))), talk))


@pytest.mark.parametrize(("text", "expected"), [(":1", ("0.0.0.0", 1)), ("[::1]:2", ("::1", 2)), ("localhost:3", ("localhost", 3))])
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == Address(*expected)


@pytest.mark.parametrize("text", ["", "8080", "host", "a:b", "a:99999", "http://a:1"])
def test_what_is_no_address_is_said_so(text: str) -> None:
    with pytest.raises(SettingsError, match="accepted is HOST:PORT"):
        parse_listen(text)
