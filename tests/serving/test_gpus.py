"""Which GPUs GPU_DEVICE means, with nvidia-smi's answers of a machine with several."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import HostError
from serving.gpus import Gpu, choose

FOUR = [Gpu(str(i), f"GPU-{i}f0e", "NVIDIA L4", "8.9") for i in range(4)]


@pytest.mark.parametrize(
    ("setting", "chosen"),
    [
        (None, "0123"), ("", "0123"), (" , ", "0123"), ("2", "2"), ("cuda:1", "1"), ("3, 0", "30"), ("1,1", "1"), ("GPU-2f", "2"),
        ("GPU-1f0e,3", "13"), ("4,5,6,7", "0123"),
    ],
)  # fmt: skip
def test_numbers_and_uuids_choose(setting: str | None, chosen: str) -> None:
    assert "".join(gpu.index for gpu in choose(FOUR, setting)) == chosen


def test_the_host_s_number_of_the_only_gpu_is_that_gpu() -> None:
    assert choose(FOUR[:1], "3") == FOUR[:1]


@pytest.mark.parametrize("setting", ["4", "-1", "1.5", "GPU-", "GPU-9", "cpu", "NVIDIA L4", "0;1", "²"])
def test_what_means_no_gpu_or_several_is_refused_with_what_is_there(setting: str) -> None:
    with pytest.raises(HostError, match=r"GPU_DEVICE='.*' means \d GPUs; .*: 0 \(GPU-0f0e, NVIDIA L4\), 1 \("):
        choose(FOUR, setting)


def test_triton_sees_the_chosen_ones(tmp_path: Path) -> None:
    """The container's own start, up to Triton; the engines are those of the chosen kind of GPU."""
    tools = tmp_path / "tools"
    tools.mkdir()
    rows = "0, GPU-aaaa, NVIDIA L4, 8.9\n1, GPU-bbbb, NVIDIA H100 80GB HBM3, 9.0\n2, GPU-cccc, NVIDIA H100 80GB HBM3, 9.0"
    for name, text in {
        "nvidia-smi": f"printf '{rows}\n'",
        "respray": "exit 0",
        "trtexec": 'for a in "$@"; do case "$a" in --saveEngine=*) echo plan > "${a#--saveEngine=}";; esac; done',
        "tritonserver": f'echo "$CUDA_VISIBLE_DEVICES $@" > {tmp_path}/told; exit 3',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755 | stat.S_IXUSR)
    (tmp_path / "tmp").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "TMPDIR": str(tmp_path / "tmp"),
        "MODEL_NAME": "demo",
        "MODEL_PATH": str(tmp_path / "models"),
        "TRITON_TARGET": "tensorrt",
        "TRT_VERSION": "10.13.3.9",
        "TRITON_HTTP_PORT": str(port),
        "GPU_DEVICE": "2,1",
    }
    command = [sys.executable, "-m", "serving.container", "triton"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Triton ended while starting (status 3)" in run.stderr
    told = (tmp_path / "told").read_text()
    assert told.startswith("GPU-cccc,GPU-bbbb --")
    assert "--cuda-memory-pool-byte-size=1:" in told and "byte-size=2:" not in told
    (plan, _) = sorted((tmp_path / "models" / "engines").rglob("*.plan"))
    assert "nvidia-h100-80gb-hbm3-sm90" in str(plan)
    kinds = "needs GPUs of one kind, and this container sees NVIDIA H100 80GB HBM3 and NVIDIA L4"
    for setting, said in {"7": "respray: GPU_DEVICE='7'", "0,1": kinds}.items():
        environment["GPU_DEVICE"] = setting
        refused = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert refused.returncode == 1 and said in refused.stderr
