"""What Triton's processes may inherit, and which of its interfaces answer."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from respray.launch.triton_process import triton_command
from respray.triton.embedded import server, server_files
from respray.triton.embedded.server_files import ServerFiles
from respray.triton.hardening import RESTRICTED_BENCHMARK, new_key, server_environment
from respray.triton.heartbeat import Heartbeat

SECRETS = {
    "STORAGE_SECRET_KEY": "s",
    "MINIO_ACCESS_KEY": "s",
    "GPU_CALLBACK_SECRET": "s",
    "HF_TOKEN": "s",
    "REDIS_URL": "redis://:s@host",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=s",
    "AWS_SECRET_ACCESS_KEY": "s",
    "SOMETHING_OF_THE_COMPANY": "s",
    "TRITON_API_KEY": "s",
    "NVIDIA_API_KEY": "s",
}


def test_no_secret_is_inherited_and_what_is_needed_is() -> None:
    needed = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0", "MODEL_PATH": "/models", "LD_LIBRARY_PATH": "/lib", "OMP_NUM_THREADS": "2"}
    assert server_environment({**SECRETS, **needed}) == needed


def test_the_models_are_looked_for_where_the_worker_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_environment({"MODEL_CACHE_DIR": "/volume"}) == {"MODEL_PATH": "/volume"}
    monkeypatch.setattr("os.path.ismount", lambda place: str(place) == "/runpod-volume")
    assert server_environment({"RUNPOD_POD_ID": "pod"}) == {"MODEL_PATH": "/runpod-volume"}


def test_the_embedded_server_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    files = ServerFiles(Path("/b"), Path("/k"), Path("/c"), (Path("/l"),))
    assert not SECRETS.keys() & files.environment().keys()
    assert files.environment()["LD_LIBRARY_PATH"] == "/l"
    assert vars(server_files)["server_environment"] is server_environment


def test_the_process_that_vouches_for_models_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    heartbeat = Heartbeat("respray_nobody_")
    heartbeat.start()
    try:
        (process,) = (child for child in psutil.Process().children() if "respray_nobody_" in child.cmdline())
        assert not SECRETS.keys() & process.environ().keys()
    finally:
        heartbeat.stop()


def test_both_launchers_close_shared_memory_repository_trace_and_logging(tmp_path: Path) -> None:
    assert set(RESTRICTED_BENCHMARK.split(",")) == {"shared-memory", "model-repository", "trace", "logging"}
    restriction_flags = vars(server)["restriction_flags"]
    flags = restriction_flags(RESTRICTED_BENCHMARK, "k")
    assert flags.keys() == {"grpc-restricted-protocol", "http-restricted-api"}
    assert all(str(value).startswith(f"{RESTRICTED_BENCHMARK}:respray-key=k") for value in flags.values())
    assert new_key() != new_key(), "another start, another key"
    command = " ".join(triton_command(tmp_path, "work", {}, plans=False, key="k"))
    assert "--grpc-restricted-protocol=metadata" in command and "--http-restricted-api=metadata" in command
