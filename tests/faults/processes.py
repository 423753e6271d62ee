"""Start and stop real servers: Redis, an S3 server (moto), the Node producer, Respray workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from tests.commands import RESPRAY, Forked

PROJECT = Path(__file__).resolve().parents[2]
NODE = PROJECT / "tests" / "orchestrator" / "node"
ACCESS, SECRET = "AKIAFAULTSTEST", "s3-secret-only-for-tests"
CALLBACK_SECRET = "callback-secret-only-for-tests"
BUCKET = "s3-images"
LIMIT = 120.0
"""Seconds after which whatever is waited for will not come: several times what it takes on a slow machine that does much else."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, check: Any, seconds: float = LIMIT) -> None:
    """Return when `check()` is true; AssertionError after so many seconds."""
    deadline, pause = time.monotonic() + seconds, 0.02
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
        pause = min(1.3 * pause, 0.1)  # what takes long is asked less often: a question costs both sides


def status_of(url: str) -> int:
    """The status with which `url` answers a GET; httpx.HTTPError where nothing does. Reads no authorities, 25 ms of a core, for http."""
    return httpx.get(url, timeout=30, verify=False).status_code


class Process:
    """A child process of ours, ended by its own id and nothing else."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None, stdout: Path | None = None) -> None:
        self.command, self.log, self.stdout, self.environment = command, log, stdout, environment
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.start()

    def start(self) -> None:
        """Start (again); logs are appended."""
        with self.log.open("ab") as log, (self.stdout or self.log).open("ab") as out:
            environment = {**os.environ, **(self.environment or {})}
            self.process = subprocess.Popen(self.command, stdout=out, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=PROJECT)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        if self.alive:
            self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self, seconds: float = LIMIT) -> int:
        """SIGTERM, then SIGKILL. Returns the exit code."""
        assert self.process is not None
        if self.alive:
            self.send(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()


class ForkedProcess(Process):
    """A module with a `main()`, and its arguments, forked from a process that has imported it: see `tests.commands`."""

    def start(self) -> None:
        """Start (again); logs are appended."""
        streams = (Path(os.devnull), self.stdout or self.log, self.log)
        environment = {**os.environ, **(self.environment or {})}
        for stream in streams[1:]:
            stream.touch()  # there are those who read at once
        self.process = Forked(self.command[0], self.command[1:], cwd=PROJECT, environment=environment, streams=streams)


class Redis(Process):
    """A Redis of our own on a free port, with its data kept in `folder` so that it can be restarted. `tls`: (cert, key, ca)."""

    def __init__(self, folder: Path, tls: tuple[Path, Path, Path] | None = None) -> None:
        binary = shutil.which("redis-server")
        assert binary is not None, "redis-server is missing: scripts/setup_test_tools.sh installs it"
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls = free_port(), tls
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        if tls:
            cert, key, ca = map(str, tls)
            files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"]
            options += ["--port", "0", "--tls-port", str(self.port), *files]
        else:
            options += ["--port", str(self.port)]
        super().__init__([binary, *options], folder / "redis.log")
        self.wait()

    @property
    def url(self) -> str:
        """As REDIS_URL."""
        return f"rediss://localhost:{self.port}/0?ssl_ca_certs={self.tls[2]}" if self.tls else f"redis://127.0.0.1:{self.port}/0"

    def wait(self) -> None:
        """Until it answers."""

        def answers() -> bool:
            import redis

            try:
                return bool(redis.from_url(self.url).ping())
            except redis.RedisError:
                return False

        wait_for("Redis", answers)


class S3Server(ForkedProcess):
    """moto's S3 server in a process of its own. It keeps objects in memory, so it is not restarted."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        """Start it; with `tls` (certificate, key) it speaks https only."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls = free_port(), tls
        command = ["moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        super().__init__([*command, *(["-s", "-c", str(tls[0]), "-k", str(tls[1])] if tls else [])], folder / "s3.log")
        trusted: ssl.SSLContext | bool = ssl.create_default_context(cafile=tls[0]) if tls else False

        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/moto-api/data.json", timeout=2, verify=trusted).status_code == 200
            except httpx.HTTPError:
                return False

        wait_for("the S3 server", answers)
        self.client().create_bucket(Bucket=BUCKET)

    @property
    def url(self) -> str:
        """As STORAGE_S3_ENDPOINT."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A plain boto3 client, as a caller has one."""
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 5})
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            verify=str(self.tls[0]) if self.tls else None,
            config=config,
        )


def produce(redis: Redis, queue: str, jobs: list[dict[str, Any]], options: dict[str, Any] | None = None) -> None:
    """Add jobs to a BullMQ queue from real Node."""
    tls = {"NODE_EXTRA_CA_CERTS": str(redis.tls[2])} if redis.tls else {}
    request = {"url": redis.url.split("?")[0], "queue": queue, "jobs": jobs, "options": options or {}}
    done = subprocess.run(
        ["node", str(NODE / "produce.mjs")],
        input=json.dumps(request),
        text=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, **tls},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def worker_environment(**values: str) -> dict[str, str]:
    """What a worker process needs to talk to the servers of this module; `values` on top."""
    base = {
        "STORAGE_ACCESS_KEY": ACCESS,
        "STORAGE_SECRET_KEY": SECRET,
        "STORAGE_BUCKET": BUCKET,
        "GPU_CALLBACK_SECRET": CALLBACK_SECRET,
        "CALLBACK_TIMEOUT_SEC": "2",
        "REQUIRE_REAL_MODEL": "false",
        "MODEL_NAME": "demo",
        "HEALTH_PORT": "0",
        "GRACE_PERIOD_SEC": "10",
        "PYTHONUNBUFFERED": "1",
    }
    return base | values


class WorkerProcess(ForkedProcess):
    """`respray work` with its events in a file."""

    def __init__(self, folder: Path, name: str, environment: dict[str, str], arguments: tuple[str, ...] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events_file = folder / f"{name}.events"
        super().__init__([RESPRAY, "work", *arguments], folder / f"{name}.log", worker_environment(**environment), self.events_file)

    def events(self) -> list[dict[str, Any]]:
        """Events so far; AssertionError when stdout holds anything else."""
        lines = self.events_file.read_text().splitlines() if self.events_file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def probes(self) -> str:
        """Where its probes are, once it is ready."""
        said = next(e["message"] for e in self.events() if e["event"] == "worker" and e["status"] == "ready")
        return f"http://127.0.0.1:{said.rpartition(' ')[2]}"

    def wait_ready(self, seconds: float = LIMIT) -> None:
        """Until it takes jobs."""

        def ready() -> bool:
            assert self.alive, self.log.read_text()[-2000:]
            return any(e["event"] == "worker" and e["status"] == "ready" for e in self.events())

        wait_for("the worker", ready, seconds)
