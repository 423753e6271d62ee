"""What goes wrong at a container's first start: said in one sentence, before minutes are spent, and never by a traceback."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from respray.launch.triton_process import Ports
from respray.triton.errors import HostError

PROJECT = Path(__file__).resolve().parents[2]
# As the image's user: without the capability by which root writes where no one has permission to.
AS_USER = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A container's environment, with a GPU that only talks and a Triton that ends at once and leaves a mark."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script(tools / "nvidia-smi", "#!/bin/sh\ncase $1 in *driver*) echo 550.54.15;; *) echo '0, GPU-5a1e, NVIDIA L4, 8.9';; esac\n")
    script(tools / "tritonserver", f"#!/bin/sh\ntouch {tmp_path}/started\nexit 3\n")
    script(tools / "respray", "#!/bin/sh\nexit 0\n")
    (tmp_path / "tmp").mkdir()
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for entry in (one, two, three):
            entry.bind(("", 0))
        ports = dict(zip(("HTTP", "GRPC", "METRICS"), (entry.getsockname()[1] for entry in (one, two, three)), strict=True))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRITON_", "STORAGE_", "RUNPOD_", "MODEL_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(PROJECT),
        "TMPDIR": str(tmp_path / "tmp"),
        "MODEL_NAME": "demo",
        "REQUIRE_REAL_MODEL": "false",
        "TRITON_TARGET": "embedded",
        **{f"TRITON_{name}_PORT": str(port) for name, port in ports.items()},
    }


def start(environment: dict[str, str], *role: str, cwd: Path) -> tuple[int, str]:
    command = [*AS_USER, sys.executable, "-m", "respray.launch.container", *role]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


WORKER = {"GPU_CALLBACK_SECRET": "s", "STORAGE_ACCESS_KEY": "a", "STORAGE_SECRET_KEY": "b"}


@pytest.mark.parametrize(
    ("role", "wrong", "said"),
    [
        ("triton", {"TRITON_TARGET": "onnx"}, "Unknown target 'onnx'; there is: embedded, onnxruntime, tensorrt"),
        ("triton", {"TRITON_FALLBACK": "trt"}, "Unknown target 'trt'"),
        ("triton", {"TRITON_HTTP_PORT": "80x0"}, "TRITON_HTTP_PORT='80x0': a port from 1 to 65535 is accepted"),
        ("triton", {"TRITON_GRPC_PORT": "8000", "TRITON_HTTP_PORT": "8000"}, "three different ports are needed"),
        ("triton", {"START_TIMEOUT_SEC": "10m"}, "START_TIMEOUT_SEC='10m': a number of seconds above 0 is accepted"),
        ("triton", {"TRITON_GRAPH_MEMORY_GB": "all"}, "TRITON_GRAPH_MEMORY_GB='all'"),
        ("triton", {"RESPRAY_THREADS": "1.5"}, "RESPRAY_THREADS='1.5': a whole number of at least 1 is accepted"),
        ("triton", {"MODEL_PATH": '"/models"'}, "MODEL_PATH: its value stands in quotes"),
        ("triton", {"GPU_DEVICE": "GPU-9"}, "GPU_DEVICE='GPU-9': 'GPU-9' means 0 GPUs"),
        ("triton", {"TMPDIR": "/proc/self/task"}, "Triton ended while starting"),  # Python then takes /tmp
        ("work", WORKER | {"STORAGE_S3_ENDPOINT": "https://x.r2.cloudflarestorage.com/photos"}, "bucket behind the host"),
        ("work", WORKER | {"STORAGE_S3_ENDPOINT": "https://x.r2.cloudflarestorage.com"}, "ADAPTER=runpod (the default) finds no jobs here"),
        ("work", WORKER | {"ADAPTER": "bull"}, "ADAPTER: input should be 'runpod'"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_said_before_anything_is_started(
    role: str, wrong: dict[str, str], said: str, surroundings: dict[str, str], tmp_path: Path
) -> None:
    code, log = start(surroundings | wrong, role, cwd=tmp_path)
    assert code == 1 and said in log
    assert (tmp_path / "started").exists() == ("Triton ended" in said)


def test_a_stranger_s_server_on_the_port_is_said_with_the_setting(surroundings: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        code, log = start(surroundings | {"TRITON_GRPC_PORT": port}, "triton", cwd=tmp_path)
    assert code == 1 and f"port {port} cannot be used for Triton (Address already in use); set TRITON_GRPC_PORT to a free one" in log
    assert not (tmp_path / "started").exists()
    ports = Ports(*(int(surroundings[f"TRITON_{name}_PORT"]) for name in ("HTTP", "GRPC", "METRICS")))
    ports.check_free("0.0.0.0")
    with socket.create_server(("", ports.metrics)), pytest.raises(HostError, match="set TRITON_METRICS_PORT"):
        ports.check_free("127.0.0.1")


def test_a_server_that_does_not_start_on_a_cuda_12_host_names_the_driver(surroundings: dict[str, str], tmp_path: Path) -> None:
    code, log = start(surroundings, "triton", cwd=tmp_path)
    told = log.strip().splitlines()[-1]
    assert code == 1 and (tmp_path / "started").exists()
    assert "Triton ended while starting (status 3)" in told and "the driver of this host is 550.54.15" in told and "580 or newer" in told
    tools = Path(surroundings["PATH"].split(os.pathsep)[0])
    script(tools / "nvidia-smi", "#!/bin/sh\ncase $1 in *driver*) echo 580.65.06;; *) echo '0, GPU-5a1e, NVIDIA L4, 8.9';; esac\n")
    assert "driver" not in start(surroundings, "triton", cwd=tmp_path)[1]


def test_a_temporary_folder_of_somebody_else_is_said(surroundings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tmp" / f"respray-{os.getuid()}").symlink_to("/nowhere")
    code, log = start(surroundings, "triton", cwd=tmp_path)
    assert code == 1 and "is not a folder of this user alone; remove it" in log


def respray(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    command = [*AS_USER, sys.executable, "-m", "orchestrator.cli.app", *arguments]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_folders_that_nobody_may_write_are_said_with_what_else_to_give(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code, log = respray("build", "--target", "embedded", "--out", f"{closed}/repository")
    assert code == 1 and f"could not be written to {closed}/repository: Permission denied; give a folder that can be written" in log
    code, log = respray("serve", "--grpc-port", "0", "--http-port", "0", "--metrics-port", "0", environment={"XDG_CACHE_HOME": str(closed)})
    assert code == 1 and f"{closed}/respray/repositories, where the embedded server keeps its files, cannot be written" in log
    assert "set XDG_CACHE_HOME to a folder that can" in log


def test_a_folder_that_is_no_repository_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for folder in (tmp_path / "models", tmp_path / "nothing"):
        code, log = respray("serve", "--repository", str(folder))
        assert code == 1 and f"{folder} is no model repository" in log and "respray build --target embedded" in log
    code, log = respray("serve", environment={"RESPRAY_THREADS": "many"})
    assert code == 1 and "RESPRAY_THREADS='many': a whole number of at least 1 is accepted" in log
