"""The GPU image's Triton: its command line, its process, and whether it is ready."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import SettingsError
from respray.triton.client import MODEL
from respray.triton.embedded import guard
from respray.triton.embedded.preflight import SEGMENT_PREFIX
from respray.triton.embedded.processes import answers, listens
from respray.triton.errors import HostError, ServerStartError
from respray.triton.hardening import RESTRICTED, RESTRICTED_BENCHMARK, restriction_flags, server_environment
from respray.triton.heartbeat import Heartbeat
from respray.triton.models import surroundings
from respray.triton.probe_gate import ProbeGate, loaded_first
from respray.triton.repository.build_repository import needed_pool
from respray.triton.repository.configs import PLAN_CONFIG

DRAIN_SECONDS = 30
PINNED_POOL = 256 << 20  # bytes; Triton's default
# Python models' shared memory: named, so that what a crashed Triton leaves behind can be told from other programs' and removed.
TRITON_SEGMENTS = f"{SEGMENT_PREFIX}triton_"
POLL_SECONDS = 0.2


PORT_SETTINGS = {"TRITON_HTTP_PORT": 8000, "TRITON_GRPC_PORT": 8001, "TRITON_METRICS_PORT": 8002}


@dataclass(frozen=True)
class Ports:
    """Triton's own defaults, unless TRITON_HTTP_PORT, TRITON_GRPC_PORT or TRITON_METRICS_PORT say otherwise."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Ports:
        """From the environment.

        Raises:
            SettingsError: one is no port, or two are the same.
        """
        ports = []
        for name, default in PORT_SETTINGS.items():
            given = environment.get(name, "").strip() or str(default)
            if not given.isdecimal() or not 0 < int(given) < 65536:
                raise SettingsError(f"{name}={given!r}: a port from 1 to 65535 is accepted")
            ports.append(int(given))
        if len(set(ports)) < len(ports):
            raise SettingsError(f"{', '.join(PORT_SETTINGS)} are {', '.join(map(str, ports))}: three different ports are needed")
        return cls(*ports)

    def check_free(self, address: str) -> None:
        """Refuse ports that another program listens on, in whose place Triton would end after minutes of preparation.

        Args:
            address: where Triton will listen.

        Raises:
            HostError: names the first that is taken, and its setting.
        """
        for name, port in zip(PORT_SETTINGS, (self.http, self.grpc, self.metrics), strict=True):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is in TIME_WAIT is free
                try:
                    attempt.bind((address, port))
                    attempt.listen()
                except OSError as error:
                    raise HostError(f"port {port} cannot be used for Triton ({error.strerror}); set {name} to a free one") from None


def ready(port: int) -> bool:
    """Whether a Triton says at this HTTP `port` that it takes photos; whose Triton, `listens` tells."""
    return _says_yes(port, f"models/{MODEL}/ready")


def _says_yes(port: int, path: str) -> bool:
    return answers(f"http://127.0.0.1:{port}/v2/{path}", 3.0)


def listen_address(environment: Mapping[str, str], role: str) -> str:
    """TRITON_ADDRESS, or loopback where the worker is in the same container, else every address."""
    return environment.get("TRITON_ADDRESS", "127.0.0.1" if role == "work" else "0.0.0.0")


def triton_command(repository: Path, role: str, environment: Mapping[str, str], plans: bool, key: str, devices: int = 1) -> list[str]:
    """tritonserver's command line. Loopback only for `work`; what is not inference or health needs a key that only the gate has.

    Flags: https://github.com/triton-inference-server/server/blob/main/src/command_line_parser.cc (`tritonserver --help` prints them).

    Args:
        repository: a built model repository.
        role: "work" (a worker in the same container) or "triton" (workers elsewhere).
        environment: the container's.
        plans: run TensorRT engines, with the configurations that were written for them.
        key: what its closed interfaces answer to.
        devices: how many GPUs Triton sees.
    """
    pool = needed_pool(repository)
    address = listen_address(environment, role)
    metrics = environment.get("TRITON_METRICS_ADDRESS", address)
    ports = Ports.of(environment)
    restricted = RESTRICTED_BENCHMARK if environment.get("TRITON_BENCHMARK", "").lower() in {"1", "true", "yes"} else RESTRICTED
    flags: dict[str, object] = {
        "model-repository": repository,
        "model-control-mode": "explicit",
        "strict-readiness": "true",
        "exit-timeout-secs": DRAIN_SECONDS,
        "cache-config": f"local,size={64 << 20}",
        "http-address": address,
        "http-port": ports.http,
        "grpc-address": address,
        "grpc-port": ports.grpc,
        "metrics-address": metrics,
        "metrics-port": ports.metrics,
        **restriction_flags(restricted, key),
    }
    if plans:
        flags["model-config-name"] = PLAN_CONFIG
    if pool:
        flags["pinned-memory-pool-byte-size"] = max(PINNED_POOL, devices * pool)
    return [
        "tritonserver",
        "--disable-auto-complete-config",
        *(f"--{name}={value}" for name, value in flags.items()),
        *(f"--load-model={model}" for model in loaded_first(repository)),
        *(f"--cuda-memory-pool-byte-size={gpu}:{pool}" for gpu in range(devices) if pool),
        f"--backend-config=python,shm-region-prefix-name={TRITON_SEGMENTS}",
    ]


class TritonProcess:
    """A Triton of this container, which can be started again on the same ports. Its log goes to stderr."""

    def __init__(self, command: Sequence[str], ports: Ports, start_timeout: float, gate: ProbeGate | None = None) -> None:
        """Nothing is started yet.

        Args:
            command: tritonserver's command line.
            ports: where it listens; the same as in `command`.
            start_timeout: seconds until it has to be ready.
            gate: opened once the models that segment are loaded; None where `command` loads all models at once.
        """
        self.ports = ports
        self._command, self._start_timeout, self._gate = command, start_timeout, gate
        self._process: subprocess.Popen[bytes] | None = None
        self._heartbeat = Heartbeat(TRITON_SEGMENTS)
        self._ending = threading.Event()

    @property
    def running(self) -> bool:
        """Whether the process is there (not whether it is ready)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the server; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    @property
    def exit_status(self) -> int | None:
        """With what status a process that is not running any more has ended."""
        return self._process.poll() if self._process is not None else None

    def error_lines(self) -> str:
        """Where the server's own words are."""
        return "its log stands above"

    def start(self) -> None:
        """Start and wait until every model is ready; return at once where `wait_no_longer` was or is called.

        Raises:
            ProbeFailed: it answers, and not as PyTorch does.
            ServerStartError: it ended while starting, or was not ready in time.
        """
        if self._ending.is_set():
            return
        # Triton's log belongs to stderr: stdout is the orchestrator's, one event a line.
        environment = {**surroundings.environment(), **server_environment(os.environ)}
        self._heartbeat.start()
        self._process = subprocess.Popen(self._command, stdout=sys.stderr, env=environment)
        deadline = time.monotonic() + self._start_timeout
        while not self._ending.is_set() and not (listens(self.pid, self.ports.http) and _says_yes(self.ports.http, "health/ready")):
            if not self.running:
                raise ServerStartError(f"Triton ended while starting (status {self.exit_status}); its log stands above")
            if time.monotonic() > deadline:
                raise ServerStartError(f"Triton was not ready after {self._start_timeout:g} s (START_TIMEOUT_SEC); its log stands above")
            time.sleep(POLL_SECONDS)
        if self._gate is not None and not self._ending.is_set():
            self._gate.open(f"127.0.0.1:{self.ports.grpc}", max(1.0, deadline - time.monotonic()))

    def revive(self) -> None:
        """Start a server that has died again, without what it left in shared memory. Errors as `start`."""
        self.stop()
        self.start()

    def wait_no_longer(self) -> None:
        """End a start that is under way without an error, and let none follow: the container is about to end."""
        self._ending.set()

    def stop(self) -> None:
        """Let requests in flight finish, then end the server and remove its shared memory."""
        self._heartbeat.stop()
        end_process(self._process, DRAIN_SECONDS + 5)
        guard.remove_segments(TRITON_SEGMENTS)


def end_process(process: subprocess.Popen[bytes] | None, seconds: float) -> None:
    """Ask a process to terminate and kill it where it has not ended after so many seconds."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
