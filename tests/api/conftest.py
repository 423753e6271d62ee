"""One `respray api` per session, over the session's embedded server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api.support import ApiProcess
from tests.faults.receiver import Receiver


@pytest.fixture(scope="session")
def api(triton_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An intake without keys, for the user `local`."""
    process = ApiProcess(tmp_path_factory.mktemp("api"), triton_url)
    process.wait_ready()
    yield process
    assert process.stop() == 0, process.log.read_text()[-2000:]


@pytest.fixture
def client(api: ApiProcess) -> Iterator[httpx.Client]:
    """A client of it. Without TLS it need not read the public authorities, 25 ms of a core for each test."""
    with httpx.Client(base_url=api.url, timeout=280, verify=False) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A callback receiver that answers 200."""
    server = Receiver()
    yield server
    server.down()
