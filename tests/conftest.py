"""Fixtures that several packages' tests share: the demo model's graphs and one embedded server per session."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before NumPy is imported: several tests run at once, and threads of BLAS, OpenCV and torch that turn in circles until there is work take
# the cores from them: a seventh of the processor seconds of tests that edit. (Servers' processes are told so by the product.)
os.environ.update(OPENBLAS_NUM_THREADS="1", OPENCV_FOR_THREADS_NUM="1", OMP_NUM_THREADS="1")

import pytest

from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from respray.triton.watchdog import ServerWatchdog

pytest_plugins = ["tests.servers"]
PROJECT = Path(__file__).resolve().parents[1]

# A shell script starts what it leaves in the background (`make test &`) with Ctrl-C ignored, and `nohup` with the end of the terminal.
# Programs that tests start and end with these signals would inherit that.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture(scope="session")
def demo_graphs() -> Path:
    """The exported graphs of the demo model, as they lie in the repository."""
    folder = PROJECT / "respray" / "weights" / "demo" / "graphs"
    if not (folder / "spec.json").is_file():
        folder = PROJECT / "build" / "random-demo"
    if not (folder / "spec.json").is_file():
        pytest.skip("no exported graphs: run scripts/export_onnx.py --checkpoint demo")
    return folder


@pytest.fixture(scope="session")
def triton_server(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real embedded server over a freshly built repository. Eight pipeline instances, so that eight photos can be under way.

    Looked after as `respray serve` does, for one that dies would take all tests after it along.
    """
    folder = tmp_path_factory.mktemp("triton")
    repository = build(demo_graphs, target("embedded", pipeline_instances=8), folder / "repository")
    server = EmbeddedServer(repository, ServerOptions(log_file=folder / "triton.log")).start()
    watchdog = ServerWatchdog(server)
    yield server
    watchdog.stop()


@pytest.fixture(scope="session")
def triton_url(triton_server: EmbeddedServer) -> str:
    """`host:port` of the session's server, as TRITON_URL is written."""
    return triton_server.grpc_url
