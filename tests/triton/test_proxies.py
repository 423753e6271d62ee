"""A company's proxy in the environment, as many machines have it: no connection to a Triton is sent there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from orchestrator.service.model_guard import serves_demo
from respray.doctor import connections
from respray.doctor.situation import Situation
from respray.triton.client import PipelineClient
from respray.triton.embedded.processes import answers
from respray.triton.embedded.server import EmbeddedServer

pytestmark = pytest.mark.server


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A proxy that takes connections and never answers, named in every variable that libraries look at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listener.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        listener.setblocking(False)
        yield listener


def test_nothing_that_is_said_to_a_triton_goes_through_it(triton_server: EmbeddedServer, proxy: socket.socket) -> None:
    async def ask() -> tuple[bool, bool | None]:
        async with PipelineClient(triton_server.grpc_url) as client:
            return await client.ready(), await serves_demo(triton_server.grpc_url)

    assert answers(f"{triton_server.http_url}/v2/health/ready", 5.0)
    assert asyncio.run(ask()) == (True, True)
    found = connections._triton(Situation(environment={"TRITON_URL": triton_server.grpc_url}, timeout=5.0))
    assert "is ready and serves pipeline_bls" in found[0].what
    with pytest.raises(BlockingIOError):
        proxy.accept()
