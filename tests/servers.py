"""Fixtures with real servers that several packages' tests share: an S3 server process and a Redis process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
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
