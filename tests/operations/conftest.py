"""Real servers for the tests of `operations`: an S3 server process, a Redis process, and a network that can be broken on purpose."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Return when something accepts connections on `port`; fail when `process` ends or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port} after {seconds} s")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A moto server in a process of its own."""
    port = free_port()
    environment = {**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": ""}
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def s3_client(s3_endpoint: str) -> Any:
    """An administrator's client of that server."""
    return client_of(s3_endpoint, "test", "test")


def client_of(endpoint: str, access_key: str, secret_key: str, service: str = "s3") -> Any:
    """A boto3 client without retries, so that a test fails at once."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Call it with Redis options to start a server; returns its port."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: scripts/setup_test_tools.sh brings it")
    started = []

    def start(*options: str) -> int:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir", str(tmp_path), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        wait_for_port(port, process)
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.fixture
def s3_as(s3_endpoint: str) -> Callable[..., Any]:
    """A client of the same server with other keys (and for another service)."""

    def make(access_key: str = "test", secret_key: str = "test", service: str = "s3") -> Any:
        return client_of(s3_endpoint, access_key, secret_key, service)

    return make


class BrokenNetwork:
    """A TCP proxy in front of a server that can be told to lose, damage and slow down what comes back.

    `sent` counts the bytes that came back through it. `cut_after`: close a connection once so many bytes came back through it.
    `flip_at`: change the byte at this position of a connection's answer, in the first `flips` connections that get so far.
    `bytes_per_second` slows each connection down.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self.cut_after: int | None = None
        self.cuts = 0
        self.flip_at: int | None = None
        self.flips = 0
        self.bytes_per_second: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        position = 0
        with suppress(OSError), client, server:
            while data := server.recv(65536):
                block = bytearray(data)
                if self.flip_at is not None and self.flips > 0 and position <= self.flip_at < position + len(block):
                    block[self.flip_at - position] ^= 1
                    self.flips -= 1
                if self.cut_after is not None and self.cuts > 0 and position + len(block) > self.cut_after:
                    self.cuts -= 1
                    client.sendall(block[: self.cut_after - position])
                    client.shutdown(socket.SHUT_RDWR)  # close() alone waits for the thread that is reading from it
                    return
                if self.bytes_per_second:
                    time.sleep(len(block) / self.bytes_per_second)
                client.sendall(block)
                position += len(block)
                self.sent += len(block)

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()


@pytest.fixture
def broken_network(s3_endpoint: str) -> Iterator[BrokenNetwork]:
    """The network between a worker and the S3 server."""
    proxy = BrokenNetwork(int(s3_endpoint.rsplit(":", 1)[1]))
    yield proxy
    proxy.close()
