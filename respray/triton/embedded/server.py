"""Start and stop the real `tritonserver` of the `nvidia-pytriton` wheel on loopback: no Docker, no GPU, development only.

    with EmbeddedServer(repository) as server:
        client = PipelineClient(server.grpc_url)

It predates security fixes of the production image, so it listens on 127.0.0.1 and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from types import TracebackType

from respray.contract.report import ProbeReport
from respray.triton.embedded import guard
from respray.triton.embedded.preflight import LOOPBACK, SEGMENT_PREFIX, check_platform, check_shared_memory, claim_ports, sweep_segments
from respray.triton.embedded.processes import answers, cpu_seconds, listens
from respray.triton.embedded.server_files import ServerFiles, cache_folder, make_folder, prepare
from respray.triton.errors import HostError, ServerStartError
from respray.triton.hardening import RESTRICTED_BENCHMARK, new_key, restriction_flags
from respray.triton.heartbeat import Heartbeat
from respray.triton.models import surroundings
from respray.triton.probe_gate import ProbeGate, Served, loaded_first
from respray.triton.repository.build_repository import built_for, needed_shared_memory

MAX_LOGS = 10
ERROR_LINE = re.compile(r"^(E\d{4} |error:|\w*Error:|.*UNAVAILABLE:)")
HARMLESS = ("CudaDriverHelper has not been initialized", "unable to create stream")  # what every machine without a GPU logs
MAX_LINE_CHARS = 300
START_ATTEMPTS = 3
# A free port found a moment ago may have been taken by another process; and on a busy machine Triton may take a Python model for dead and
# free what both share (docs/troubleshooting.md, https://github.com/triton-inference-server/server/issues/8882).
PASSING = ("already in use", "boost::interprocess::lock_exception", "is not healthy")
CRASHES = (128 + signal.SIGABRT, 128 + signal.SIGSEGV)


@dataclass(frozen=True)
class ServerOptions:
    """How the server runs. Ports of 0 mean any free one; times in seconds; sizes in bytes.

    `exit_timeout` is how long requests in flight may take to finish after a stop; `shared_memory` is what must be free before the start
    (None: what the repository was built to need); `trace_config` are Triton's own `--trace-config` settings; `gpu` names the GPUs of a
    repository that runs on them.
    """

    grpc_port: int = 0
    http_port: int = 0
    metrics_port: int = 0
    start_timeout: float = 120.0
    exit_timeout: float = 20.0
    response_cache: int = 64 << 20
    shared_memory: int | None = None
    log_file: Path | None = None
    verbose: int = 0
    extra_environment: dict[str, str] = field(default_factory=dict)
    trace_config: tuple[str, ...] = ()
    gpu: str = "GPU"


class EmbeddedServer:
    """One embedded Triton server over one model repository. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, repository: Path, options: ServerOptions | None = None) -> None:
        if not repository.is_dir():
            raise HostError(f"{repository} is no model repository; build one with: respray build --target embedded --out {repository}")
        self.repository = repository.resolve()
        self.options = options or ServerOptions()
        self.log_file = self._first_log = self.options.log_file or _new_log_file()
        self._revived = 0
        self.start_seconds = 0.0
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._key = new_key()
        self.probed: ProbeReport | None = None
        self._prefix = f"{SEGMENT_PREFIX}{os.getpid()}_{uuid.uuid4().hex[:8]}_"
        self._heartbeat = Heartbeat(self._prefix)

    @property
    def grpc_url(self) -> str:
        """`host:port` of the gRPC endpoint, as tritonclient takes it and as TRITON_URL is written."""
        return f"{LOOPBACK}:{self._ports['gRPC']}"

    @property
    def http_url(self) -> str:
        """Base URL of the HTTP endpoint."""
        return f"http://{LOOPBACK}:{self._ports['HTTP']}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus metrics."""
        return f"http://{LOOPBACK}:{self._ports['metrics']}/metrics"

    @property
    def pid(self) -> int:
        """Process id of the guard, from which the server and its Python models descend; 0 while nothing runs."""
        return self._process.pid if self._process is not None else 0

    @property
    def running(self) -> bool:
        """Whether the server process is there (not whether it is ready)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """With what status a server that is not running any more has ended; None before the start and after `stop`."""
        return self._process.poll() if self._process is not None else None

    def cpu_seconds(self) -> float:
        """Processor time that the server and its Python models have used so far."""
        return cpu_seconds(self.pid) if self.pid else 0.0

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> EmbeddedServer:
        """Check the machine, start the server and wait until every model is ready.

        Raises:
            HostError: the machine cannot run it.
            ServerStartError: it does not come up; the message has the server's own words.
        """
        if self.running:
            return self
        began = time.monotonic()
        check_platform()
        files = prepare()
        sweep_segments()
        needed = self.options.shared_memory
        check_shared_memory(needed_shared_memory(self.repository) if needed is None else needed)
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._launch(files)
                self._wait_ready(time.monotonic() + self.options.start_timeout)
                self.probed = ProbeGate(self.repository, self._key, self._served()).open(self.grpc_url, self.options.start_timeout)
                break
            except BaseException as error:
                crashed = self.exit_status in CRASHES
                self.stop()
                passing = isinstance(error, ServerStartError) and (crashed or any(words in str(error) for words in PASSING))
                if not passing or attempt == START_ATTEMPTS:
                    raise
        self.start_seconds = time.monotonic() - began
        return self

    def revive(self) -> EmbeddedServer:
        """Start a server that has died again, on the same ports and with a log of its own. Errors as `start`."""
        self.stop()
        grpc, http, metrics = (self._ports[purpose] for purpose in ("gRPC", "HTTP", "metrics"))
        self.options = replace(self.options, grpc_port=grpc, http_port=http, metrics_port=metrics)
        self._revived += 1
        self.log_file = self._first_log.with_stem(f"{self._first_log.stem}-{self._revived}")
        return self.start()

    def stop(self) -> None:
        """Let requests in flight finish (up to `exit_timeout`), then end the server. Leaves no process and no shared memory."""
        self._heartbeat.stop()
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # the guard's signal to stop
        try:
            process.wait(self.options.exit_timeout + 15.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        guard.remove_segments(self._prefix)  # the guard has done it, unless it was killed

    def _served(self) -> Served:
        """Who answers the probe: ONNX Runtime inside the Python models, in the version that they import as well."""
        built, device = built_for(self.repository)
        engine = "ONNX Runtime"
        for package in ("onnxruntime-gpu", "onnxruntime"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                engine = f"ONNX Runtime {metadata.version(package)}"
                break
        return Served(built, engine, self.options.gpu if device != "cpu" else "CPU")

    def _launch(self, files: ServerFiles) -> None:
        options = self.options
        self._ports = claim_ports({"gRPC": options.grpc_port, "HTTP": options.http_port, "metrics": options.metrics_port})
        environment = {**surroundings.environment(), **files.environment(), **options.extra_environment}
        command = [sys.executable, "-I", "-S", guard.__file__, self._prefix, str(options.exit_timeout + 5.0), "--"]
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._heartbeat.start()
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._server_command(files)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to turn into an orderly stop
            )

    def _server_command(self, files: ServerFiles) -> list[str]:
        options = self.options
        flags: dict[str, object] = {
            "model-repository": self.repository,
            "backend-directory": files.backends,
            "cache-directory": files.caches,
            "cache-config": f"local,size={options.response_cache}",
            "model-control-mode": "explicit",
            "strict-readiness": "true",
            "exit-timeout-secs": int(options.exit_timeout),
            "grpc-address": LOOPBACK,
            "grpc-port": self._ports["gRPC"],
            "http-address": LOOPBACK,
            "http-port": self._ports["HTTP"],
            "metrics-address": LOOPBACK,
            "metrics-port": self._ports["metrics"],
            "allow-gpu-metrics": "false",
            "log-verbose": options.verbose,
            # Statistics stay open: `respray bench` and `respray top` read them, and only this machine reaches the port.
            **restriction_flags(RESTRICTED_BENCHMARK, self._key),
        }
        backend = (f"shm-region-prefix-name={self._prefix}", f"stub-timeout-seconds={int(options.start_timeout)}")
        return [
            str(files.binary),
            "--disable-auto-complete-config",
            *(f"--{name}={value}" for name, value in flags.items()),
            *(f"--load-model={model}" for model in loaded_first(self.repository)),
            *(f"--backend-config=python,{setting}" for setting in backend),
            *(f"--trace-config={setting}" for setting in options.trace_config),
        ]

    def _wait_ready(self, deadline: float) -> None:
        process = self._process
        assert process is not None
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerStartError(f"The embedded server ended while starting (status {process.returncode}).\n{self.error_lines()}")
            # The metrics' port opens a moment after the others.
            if (
                all(listens(process.pid, port) for port in self._ports.values())  # and nobody else's server in our place
                and answers(f"{self.http_url}/v2/health/ready", 1.0)
                and answers(self.metrics_url, 1.0)
            ):
                return
            time.sleep(0.05)
        raise ServerStartError(
            f"The embedded server was not ready after {self.options.start_timeout:g} s; give it longer, or see why:\n{self.error_lines()}"
        )

    def error_lines(self, count: int = 12) -> str:
        """The server's own error lines, without the traces in them (the last lines when it wrote none), and where its whole log is."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.is_file() else []
        errors = [line for line in lines if ERROR_LINE.match(line) and not any(noise in line for noise in HARMLESS)]
        # Its tables (settings, models) say nothing of why.
        told = [line for line in lines if line.strip() and not line.startswith(("|", "+-"))]
        chosen = dict.fromkeys(line.split("\\n")[0].strip()[:MAX_LINE_CHARS] for line in errors or told[-count:])
        return "\n".join(f"  {line}" for line in list(chosen)[-count:]) + f"\nThe whole log: {self.log_file}"


def _new_log_file() -> Path:
    """A new log file in the cache folder; the oldest ones go."""
    folder = make_folder(cache_folder() / "logs")
    for old in sorted(folder.glob("triton-*.log"), key=lambda path: path.stat().st_mtime)[: -MAX_LOGS or None]:
        old.unlink(missing_ok=True)
    return folder / f"triton-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:4]}.log"
