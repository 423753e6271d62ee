"""Which GPUs GPU_DEVICE means, with nvidia-smi's answers of a machine with several."""

from __future__ import annotations

import pytest

from respray.launch.gpus import Gpu, check_capability, choose
from respray.triton.errors import HostError

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


def test_a_gpu_that_cuda_13_left_behind_is_named() -> None:
    with pytest.raises(HostError, match=r"Tesla V100 has compute capability 7\.0, and the image's CUDA 13 runs on 7\.5 or later"):
        check_capability([*FOUR, Gpu("4", "GPU-4", "Tesla V100", "7.0")])
    check_capability([*FOUR, Gpu("4", "GPU-4", "Tesla T4", "7.5"), Gpu("5", "GPU-5", "B200", "10.0"), Gpu("6", "GPU-6", "?", "[N/A]")])
