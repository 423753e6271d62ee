"""What the GPU image runs: weights, graphs, model repository, engines, Triton, and then the orchestrator.

    python3 -m respray.launch.container work      Triton on loopback and the orchestrator that feeds it (the default)
    python3 -m respray.launch.container triton    Triton alone, for workers in other containers
    python3 -m respray.launch.container health    exit code 0 when Triton is ready (the image's HEALTHCHECK)

Environment, beside the orchestrator's own (GPU_DEVICE chooses among several GPUs): TRITON_TARGET (onnxruntime or tensorrt), TRITON_ADDRESS
and TRITON_METRICS_ADDRESS (loopback for `work`, every address for `triton`), TRITON_{HTTP,GRPC,METRICS}_PORT, TRITON_BENCHMARK,
START_TIMEOUT_SEC. A step that fails ends the container with its message. SIGTERM ends the preparation at once; later the orchestrator
finishes what it has in its hands, then Triton.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from orchestrator.errors import SettingsError
from orchestrator.settings import load_settings
from respray.launch import gpus, preparation
from respray.triton.embedded import guard
from respray.triton.embedded.preflight import SEGMENT_PREFIX, check_shared_memory
from respray.triton.embedded.watchdog import Restarts
from respray.triton.errors import ServerStartError, ServingError
from respray.triton.models import allocator
from respray.triton.repository.build_repository import build, needed_pool, needed_shared_memory
from respray.triton.repository.configs import PLAN_CONFIG
from respray.triton.repository.targets import target
from respray.weights.errors import OperationsError

# Everything but inference and health answers only to a key that is made at the start and given to no one ...
RESTRICTED = "metadata,statistics,model-config,shared-memory,model-repository,trace,logging"
# ... unless TRITON_BENCHMARK is set, for perf_analyzer and `respray bench`.
RESTRICTED_BENCHMARK = "shared-memory,model-repository,trace,logging"
DRAIN_SECONDS = 30
PINNED_POOL = 256 << 20  # Triton's default
# Python models' shared memory: named, so that what a crashed Triton leaves behind can be told from other programs' and removed.
TRITON_SEGMENTS = f"{SEGMENT_PREFIX}triton_"


@dataclass(frozen=True)
class Ports:
    """Triton's own defaults, unless TRITON_HTTP_PORT, TRITON_GRPC_PORT or TRITON_METRICS_PORT say otherwise."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Ports:
        """From the environment."""
        return cls(
            *(int(environment.get(f"TRITON_{name}_PORT", port)) for name, port in (("HTTP", 8000), ("GRPC", 8001), ("METRICS", 8002)))
        )


def ready(port: int) -> bool:
    """Whether Triton says that every model is loaded."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=3.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def triton_command(repository: Path, role: str, environment: Mapping[str, str], plans: bool, devices: int = 1) -> list[str]:
    """tritonserver's command line. Loopback only for `work`; what is not inference, health or metadata needs a key that nobody has."""
    pool = needed_pool(repository)
    address = environment.get("TRITON_ADDRESS", "127.0.0.1" if role == "work" else "0.0.0.0")
    metrics = environment.get("TRITON_METRICS_ADDRESS", address)
    ports = Ports.of(environment)
    restricted = RESTRICTED_BENCHMARK if environment.get("TRITON_BENCHMARK", "").lower() in {"1", "true", "yes"} else RESTRICTED
    key = secrets.token_urlsafe(32)
    flags = {
        "model-repository": repository,
        "model-control-mode": "none",
        "strict-readiness": "true",
        "exit-timeout-secs": DRAIN_SECONDS,
        "cache-config": f"local,size={64 << 20}",
        "http-address": address,
        "http-port": ports.http,
        "grpc-address": address,
        "grpc-port": ports.grpc,
        "metrics-address": metrics,
        "metrics-port": ports.metrics,
        "grpc-restricted-protocol": f"{restricted}:respray-key={key}",
        "http-restricted-api": f"{restricted}:respray-key={key}",
    }
    if plans:
        flags["model-config-name"] = PLAN_CONFIG
    if pool:
        flags["pinned-memory-pool-byte-size"] = max(PINNED_POOL, devices * pool)
    return [
        "tritonserver",
        "--disable-auto-complete-config",
        *(f"--{name}={value}" for name, value in flags.items()),
        *(f"--cuda-memory-pool-byte-size={gpu}:{pool}" for gpu in range(devices) if pool),
        f"--backend-config=python,shm-region-prefix-name={TRITON_SEGMENTS}",
    ]


def _set_folders(repository: Path, mode: int) -> None:
    """Give the repository's folders, where there are any, these permissions."""
    for folder in [repository, *repository.rglob("*")]:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(mode)


def _leave(number: int, frame: FrameType | None) -> None:
    """Before there is a Triton to drain, a signal ends whatever is going on: a step, a wait for the volume's lock, hashing."""
    for ending in preparation.ENDING:
        signal.signal(ending, signal.SIG_IGN)  # a second one would interrupt the clearing up
    raise SystemExit(0)


class Supervisor:
    """Triton and, once it is ready, the orchestrator; ends both in the right order.

    A Triton that dies is started again under the worker, which waits for it; one that keeps dying ends the container.
    """

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self.stopping = False
        self.restarts = Restarts()
        self.triton: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None
        for number in preparation.ENDING:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Drain: the worker first, which still needs Triton for what it has in its hands."""
        self.stopping = True
        running = self.worker if self.worker is not None else self.triton
        if running is not None:
            with contextlib.suppress(ProcessLookupError):
                running.terminate()

    def run(self, triton: list[str], worker: list[str] | None, start_timeout: float) -> int:
        """Run until the worker ends, Triton ends for good, or SIGTERM; the exit code for the container."""
        try:
            running = self._start(triton, start_timeout)
            if worker is not None and not self.stopping:
                self.worker = subprocess.Popen(worker, env={**os.environ, "TRITON_URL": f"127.0.0.1:{self.ports.grpc}"})
            while self.worker is None or self.worker.poll() is None:
                if running.poll() is not None:
                    if not self._may_restart(running.returncode):
                        break
                    running = self._start(triton, start_timeout)
                time.sleep(0.2)
            return self._code()
        finally:
            for process in (self.worker, self.triton):
                _end(process)

    def _start(self, triton: list[str], seconds: float) -> subprocess.Popen[bytes]:
        """Start Triton and wait until it is ready."""
        # Triton's log belongs to stderr: stdout is the orchestrator's, one event a line.
        self.triton = subprocess.Popen(triton, stdout=sys.stderr, env={**allocator.environment(), **os.environ})
        if self.stopping and self.worker is None:  # the signal came when there was no process yet to hand it to
            self.triton.terminate()
        self._wait_ready(self.triton, seconds)
        return self.triton

    def _may_restart(self, status: int) -> bool:
        """Whether a Triton that has just ended is to be started again; clears what it left in shared memory."""
        guard.remove_segments(TRITON_SEGMENTS)
        if self.stopping:
            return False
        again, sentence = self.restarts.allow(status)
        print(f"respray: {sentence}", file=sys.stderr, flush=True)
        return again

    def _wait_ready(self, triton: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.stopping and not ready(self.ports.http):
            if triton.poll() is not None:
                raise ServerStartError(f"Triton ended while starting (status {triton.returncode}); its log stands above")
            if time.monotonic() > deadline:
                raise ServerStartError(f"Triton was not ready after {seconds:g} s (START_TIMEOUT_SEC); its log stands above")
            time.sleep(0.2)

    def _code(self) -> int:
        if self.worker is not None and self.worker.poll() is not None:
            return self.worker.returncode
        # Triton's own end is only wanted when we asked for it.
        return 0 if self.stopping else 1


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(DRAIN_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(arguments: list[str]) -> int:
    """Run a role; the exit code."""
    role, *rest = arguments or ["work"]
    if role == "health":
        return 0 if ready(Ports.of(os.environ).http) else 1
    if role not in {"work", "triton"}:
        # Anything else is a command for the orchestrator: `docker run respray doctor`.
        os.execvp("respray", ["respray", role, *rest])
    environment = os.environ
    for number in preparation.ENDING:
        signal.signal(number, _leave)
    try:
        there = gpus.visible()
        used = gpus.choose(there, load_settings(environment).gpu_device)
        if len(used) < len(there):
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in used)  # for trtexec and Triton
        chosen = target(environment.get("TRITON_TARGET", "onnxruntime"), gpus=len(used))
        preset, graphs = preparation.prepare_graphs(environment, chosen)
        # The temporary folder is what is writable under a read-only root file system.
        repository = Path(tempfile.gettempdir()) / "respray" / "repository"
        _set_folders(repository, 0o755)  # an earlier start of this container has taken the permission to write away
        build(graphs, chosen, repository, symlinks=True)
        check_shared_memory(needed_shared_memory(repository))
        plans = chosen.name == "tensorrt"
        if plans:
            preparation.prepare_engines(repository, preset, graphs, gpus.of_one_kind(used), environment)
        _set_folders(repository, 0o555)
        worker = ["respray", "work", *rest] if role == "work" else None
        command = triton_command(repository, role, environment, plans, len(used))
        return Supervisor(Ports.of(environment)).run(command, worker, float(environment.get("START_TIMEOUT_SEC", "3600")))
    except (ServingError, OperationsError, SettingsError) as error:
        print(f"respray: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
