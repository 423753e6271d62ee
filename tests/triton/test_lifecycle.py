"""Start, failure and stop of the embedded server; what a slow encoder and a client that goes away do to it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from respray.top.observation import parse
from respray.triton.client import PipelineClient
from respray.triton.embedded.processes import family
from respray.triton.embedded.server import START_ATTEMPTS, EmbeddedServer, ServerOptions
from respray.triton.errors import ServerStartError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from respray.triton.statistics import ModelStatistics, difference
from respray.triton.watchdog import ServerWatchdog
from tests.triton.photos import jpeg, request
from tests.triton.repositories import cold_repository, cold_sources

pytestmark = pytest.mark.server
GATED_MODEL = """
import time
from pathlib import Path
from respray.triton.models.graph_model import GraphModel

class TritonPythonModel(GraphModel):
    def execute(self, requests):
        folder = Path({folder!r})
        with (folder / "begun").open("a") as begun:
            begun.write("x" * len(requests))
        while (folder / "closed").exists():
            time.sleep(0.01)
        return super().execute(requests)
"""
OWNER = """
import sys, time
from pathlib import Path
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
server = EmbeddedServer(Path(sys.argv[1]), ServerOptions(log_file=Path(sys.argv[2]))).start()
print("ready", flush=True)
time.sleep(600)
"""


def segments(pid: int) -> list[str]:
    """Shared-memory segments of servers that the process owns."""
    return [name for name in os.listdir("/dev/shm") if name.startswith(f"respray_{pid}_")]


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def small(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that starts quickly: no photo is edited."""
    return cold_repository(demo_graphs, tmp_path_factory.mktemp("small"))


def test_a_stop_and_a_killed_guard_leave_nothing_and_it_starts_again(small: Path, tmp_path: Path) -> None:
    before = set(segments(os.getpid()))  # of the session's server
    server = EmbeddedServer(small, ServerOptions(log_file=tmp_path / "log"))
    for killed in (False, True):
        with server:
            processes = family(server.pid)
            assert len(processes) >= 7  # guard, server, five Python models
            assert set(segments(os.getpid())) - before
            if killed:
                os.kill(server.pid, signal.SIGKILL)  # the guard, which would have ended the others
        assert not server.running
        left = [Path(f"/proc/{pid}") for pid in processes]
        assert eventually(lambda left=left: not any(process.exists() for process in left), 60.0 if killed else 0.0)  # type: ignore[misc]
        assert set(segments(os.getpid())) == before
    server.stop()  # a second stop is nothing


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_an_owner_that_is_killed(small: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", OWNER, str(small), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        processes = family(owner.pid)[1:]
        assert len(processes) >= 7
        owner.send_signal(number)
    assert eventually(lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])
    assert eventually(lambda: not segments(owner.pid))


def test_a_server_that_dies_is_kept_up_on_the_same_ports(small: Path, tmp_path: Path) -> None:
    others = set(segments(os.getpid()))  # of the session's server
    server = EmbeddedServer(small, ServerOptions(log_file=tmp_path / "triton.log")).start()
    watchdog = ServerWatchdog(server)
    try:
        url, first = server.grpc_url, family(server.pid)
        os.kill(first[1], signal.SIGKILL)  # tritonserver, the guard's child
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in first))
        asyncio.run(_ready(url))
        assert server.grpc_url == url
        assert sorted(path.name for path in tmp_path.glob("*.log")) == ["triton-1.log", "triton.log"]
    finally:
        watchdog.stop()
    assert not server.running
    assert set(segments(os.getpid())) == others


async def _ready(url: str) -> None:
    async with PipelineClient(url) as client:
        await client.wait_ready(60)


def test_a_model_that_does_not_load_is_told_in_the_servers_words(small: Path, tmp_path: Path) -> None:
    broken = tmp_path / "repository"
    shutil.copytree(small, broken)
    (broken / "applier" / "1" / "model.py").write_text("import a_module_that_is_not_there\n")
    server = EmbeddedServer(broken, ServerOptions(log_file=tmp_path / "log"))
    with pytest.raises(ServerStartError) as error:
        server.start()
    assert "No module named 'a_module_that_is_not_there'" in str(error.value)
    assert f"The whole log: {tmp_path / 'log'}" in str(error.value)
    assert len(str(error.value).splitlines()) < 15
    assert not server.running


# Triton's own end on a busy machine (server issue 8882), at the first start only.
CRASHING = """
import os, signal, sys
from pathlib import Path
marker = Path({marker!r})
with marker.open("a") as starts:
    starts.write("x")
if len(marker.read_text()) <= {times}:
    print("  what():  boost::interprocess::lock_exception", file=sys.stderr, flush=True)
    os.kill(os.getppid(), signal.SIGABRT)
"""


@pytest.mark.parametrize(("times", "starts"), [(1, True), (9, False)])
def test_a_start_that_met_tritons_fault_is_made_again(small: Path, tmp_path: Path, times: int, starts: bool) -> None:
    faulty, marker = tmp_path / "repository", tmp_path / "marker"
    shutil.copytree(small, faulty)
    model = faulty / "sam3_text_encoder" / "1" / "model.py"
    model.write_text(
        CRASHING.format(marker=str(marker), times=times) + model.read_text().replace("from __future__ import annotations\n", "")
    )
    server = EmbeddedServer(faulty, ServerOptions(log_file=tmp_path / "log"))
    try:
        if starts:
            assert server.start().running and marker.read_text() == "xx"
        else:
            with pytest.raises(ServerStartError, match="lock_exception"):
                server.start()
            assert len(marker.read_text()) == START_ATTEMPTS
    finally:
        server.stop()


def test_a_start_that_takes_too_long_is_given_up(small: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(small, ServerOptions(log_file=tmp_path / "log", start_timeout=0.3))
    with pytest.raises(ServerStartError, match=r"not ready after 0\.3 s"):
        server.start()
    assert not server.running


@pytest.mark.parametrize(("number", "built"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_serve_ends_in_order_when_it_is_told_to(small: Path, tmp_path: Path, number: signal.Signals, built: bool) -> None:
    ports = [f"--{name}-port=0" for name in ("grpc", "http", "metrics")]
    command = [sys.executable, "-m", "orchestrator.cli.app", "serve", *ports, *(("--repository", str(small)) if built else ())]
    environment = {**os.environ, "MODEL_NAME": "demo", "REQUIRE_REAL_MODEL": "false", "BATCH_CONCURRENCY": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        assert serving.stdout is not None
        assert [json.loads(serving.stdout.readline())["status"] for _ in range(2)] == ["loading", "ready"]
        processes = family(serving.pid)
        serving.send_signal(number)
        # A server that does not hear of it is killed after 25 s.
        output, _ = serving.communicate(timeout=20)
    assert serving.returncode == 0
    assert [json.loads(line)["status"] for line in output.splitlines()] == ["cleaning_up"]
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


class Gated(NamedTuple):
    """A server whose image encoder waits at a gate with each batch, as a large model takes its time."""

    server: EmbeddedServer
    folder: Path

    def close(self) -> None:
        (self.folder / "begun").write_text("")
        (self.folder / "closed").touch()

    def open(self) -> None:
        (self.folder / "closed").unlink()

    def at_the_encoder(self) -> int:
        """Photos that have reached the encoder since the gate was closed: in its batch, and waiting for it."""
        with urllib.request.urlopen(self.server.metrics_url) as answer:
            metrics = parse(answer.read().decode(), 0.0)
        waiting = int(metrics.total("nv_inference_pending_request_count", model="sam3_image_encoder"))
        return len((self.folder / "begun").read_text()) + waiting


@pytest.fixture(scope="module")
def gated(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    folder = tmp_path_factory.mktemp("gated")
    sources = cold_sources(folder / "sources")
    (sources / "sam3_image_encoder" / "1" / "model.py").write_text(GATED_MODEL.format(folder=str(folder)))
    chosen = target("embedded", pipeline_instances=8, applier_instances=1, max_photos=4, warm_up=False)
    repository = build(demo_graphs, chosen, folder / "repository", sources)
    with EmbeddedServer(repository, ServerOptions(log_file=folder / "log")) as server:
        yield Gated(server, folder)


def test_eight_photos_overlap_while_the_encoder_is_slow(gated: Gated) -> None:
    """BLS must not block: while one photo waits for the encoder, the others are decoded, queued there and batched."""

    async def eight() -> dict[str, ModelStatistics]:
        async with PipelineClient(gated.server.grpc_url) as client:
            before = await client.statistics()
            gated.close()
            photos = [asyncio.create_task(client.edit(jpeg(seed), request("floor"))) for seed in range(8)]
            try:
                assert await asyncio.to_thread(eventually, lambda: gated.at_the_encoder() == 8, 60), gated.at_the_encoder()
            finally:
                gated.open()
            await asyncio.gather(*photos)
            return difference(await client.statistics(), before)

    encoder = asyncio.run(eight())["sam3_image_encoder"]
    assert encoder.inferences == 8
    assert encoder.executions <= 4  # the first one leaves alone or with few, the others gather meanwhile


def test_a_cancelled_photo_ends_at_its_next_stage(gated: Gated) -> None:
    async def leave() -> dict[str, ModelStatistics]:
        async with PipelineClient(gated.server.grpc_url) as client:
            before = await client.statistics()
            gated.close()
            try:
                photo = asyncio.create_task(client.edit(jpeg(), request("floor")))
                assert await asyncio.to_thread(eventually, lambda: gated.at_the_encoder() == 1, 60)
                photo.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await photo
            finally:
                gated.open()
            while True:
                added = difference(await client.statistics(), before)
                if added["pipeline_bls"].failures or added["pipeline_bls"].requests:
                    return added
                await asyncio.sleep(0.05)

    added = asyncio.run(leave())
    assert added["sam3_image_encoder"].inferences == 1
    assert added["applier"].requests == 0
