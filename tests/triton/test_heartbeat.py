"""A Python model's process that stalls is waited for; one that ended is not; what is no control block of Triton's stays as it is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from respray.triton.client import PhotoResult, PipelineClient
from respray.triton.embedded.processes import family
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.errors import ServerUnavailable
from respray.triton.heartbeat import SHARED_MEMORY, Signs
from tests.triton.photos import jpeg, request
from tests.triton.repositories import cold_repository

STALLED_SECONDS = 2.5
"""Triton gives up a process after one."""


@pytest.fixture(scope="module")
def server(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of its own: without the heartbeat it ends here."""
    folder = tmp_path_factory.mktemp("heartbeat")
    with EmbeddedServer(cold_repository(demo_graphs, folder), ServerOptions(log_file=folder / "log")) as server:
        yield server


def models(server: EmbeddedServer) -> list[psutil.Process]:
    """The processes of its Python models."""
    processes = [psutil.Process(member) for member in family(server.pid)]
    return [process for process in processes if process.name().startswith("triton_python_b")]


async def edit(server: EmbeddedServer) -> PhotoResult:
    async with PipelineClient(server.grpc_url, deadline=60) as client:
        return await client.edit(jpeg(), request("wall"))


def test_a_process_that_stalls_is_waited_for(server: EmbeddedServer) -> None:
    undisturbed = asyncio.run(edit(server))

    async def disturbed() -> PhotoResult:
        stalled = models(server)
        for process in stalled:
            process.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(edit(server))
        await asyncio.sleep(STALLED_SECONDS)
        for process in stalled:
            process.send_signal(signal.SIGCONT)
        return await asking

    assert asyncio.run(disturbed()).files == undisturbed.files
    assert asyncio.run(edit(server)).files == undisturbed.files, "the call after it is where a Triton that gave one up ends"
    assert "not healthy" not in server.log_file.read_text()


def test_a_process_that_ended_is_given_up(server: EmbeddedServer) -> None:
    for process in models(server):
        if any(part.startswith("applier") for part in process.cmdline()):
            process.kill()
    with pytest.raises(ServerUnavailable, match="not healthy"):
        asyncio.run(edit(server))


@pytest.mark.parametrize(("owners", "flags", "given"), [(1, b"\0\0\0\0", True), (1, b"\0\x47\0\0", False), (0, b"\0\0\0\0", False)])
def test_only_a_control_block_is_written_to(tmp_path: Path, owners: int, flags: bytes, given: bool) -> None:
    name = f"respray_test_{uuid.uuid4().hex}"
    segment, script = SHARED_MEMORY / name, tmp_path / "stub.py"
    memory = bytes(32) + owners.to_bytes(16, "little") + flags + bytes(64)
    segment.write_bytes(memory)
    script.write_text("import time; print(flush=True); time.sleep(600)")
    arguments = ["/x/triton_python_backend_stub", str(script), name, "1", "1", str(os.getpid()), "/lib", "32", "model_0_0", "DEFAULT"]
    try:
        with subprocess.Popen(arguments, executable=sys.executable, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"\n"
            signs = Signs(name)
            assert signs.give() == int(given)
            assert segment.read_bytes() == (memory[:48] + b"\1" + memory[49:] if given else memory)
            segment.write_bytes(memory)
            process.kill()
            while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            assert signs.give() == 0 and segment.read_bytes() == memory, "a process that ended has no sign of life"
    finally:
        segment.unlink()
