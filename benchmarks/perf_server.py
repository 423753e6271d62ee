"""The embedded server for a shell script: writes TRITON_URL and METRICS_URL to a file once it is ready, and runs until SIGTERM.

python -m benchmarks.perf_server FILE
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.work import GRAPHS
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target


def main(ready: Path) -> None:
    """Serve until SIGTERM."""
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with tempfile.TemporaryDirectory(prefix="respray-perf-") as folder:
        try:
            repository = build(GRAPHS, target("embedded", pipeline_instances=8), Path(folder) / "repository")
            with EmbeddedServer(repository) as server:
                metrics = server.metrics_url.removeprefix("http://")
                ready.write_text(f"TRITON_URL={server.grpc_url}\nMETRICS_URL={metrics}\n")
                signal.sigwait(stop)
        except ServingError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
