"""Real servers for the orchestrator's tests, one each per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.processes import Redis, S3Server
from tests.faults.receiver import Receiver


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """moto's S3 server with the bucket `s3-images`."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis of our own."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A callback receiver that answers 200."""
    server = Receiver()
    yield server
    server.down()
