"""CUDA is chosen where its libraries load, and only there."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from respray.segmentation import accelerator, providers
from respray.segmentation.device import ANY_GPU, Device
from respray.segmentation.device import CPU as CPU_DEVICE
from respray.segmentation.errors import DeviceError

CPU = ["CPUExecutionProvider"]


def given(device: Device) -> Any:
    """What a session on that device is given."""
    return providers.add_providers(onnxruntime.SessionOptions(), device)


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu, as far as it says what it has."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *CPU])


@pytest.mark.usefixtures("gpu_build")
def test_cuda_is_used_where_its_libraries_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "cuda_problem", lambda: None)
    memory = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
    assert given(Device.named("cuda:1")) == [("CUDAExecutionProvider", {"device_id": "1", **memory}), *CPU]
    limited = given(Device("cuda", memory=14 << 30, recorded=True))
    assert limited[0][1] == {"device_id": "0", **memory, "gpu_mem_limit": "15032385536", "enable_cuda_graph": "1"}


@pytest.mark.usefixtures("gpu_build")
def test_the_cpu_is_used_and_said_so_where_they_do_not(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(providers, "cuda_problem", lambda: "libcudnn_ops.so.9 does not load (SIGABRT)")
    with caplog.at_level(logging.WARNING):
        assert given(ANY_GPU) == CPU
    assert "CUDA is not used: libcudnn_ops.so.9 does not load (SIGABRT)" in caplog.text


@pytest.mark.usefixtures("gpu_build")
def test_nothing_is_probed_for_a_graph_that_stays_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "cuda_problem", lambda: pytest.fail("probed"))
    assert given(CPU_DEVICE) == CPU


def test_nothing_is_probed_without_a_gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: CPU)
    monkeypatch.setattr(providers, "cuda_problem", lambda: pytest.fail("probed"))
    assert given(ANY_GPU) == CPU


def test_a_machine_without_the_libraries_is_told_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "accepted_majors", lambda *_: (999,))
    assert "libcublasLt.so.999 does not load" in (accelerator.cuda_problem({"PATH": "/usr/bin"}) or "")


def plugin(path: str) -> Any:
    """NVIDIA's package, as far as this project calls it."""
    module: Any = types.ModuleType(providers.RTX_MODULE)
    module.get_library_path = lambda: path
    return module


def test_tensorrt_rtx_is_refused_in_one_sentence_where_it_is_absent_or_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rtx = Device.named("tensorrt-rtx:0")
    providers.rtx_devices.cache_clear()
    monkeypatch.setitem(sys.modules, providers.RTX_MODULE, None)
    with pytest.raises(DeviceError, match=r"not installed here: pip install onnxruntime-ep-nv-tensorrt-rtx-cu13$"):
        given(rtx)
    monkeypatch.setitem(sys.modules, providers.RTX_MODULE, plugin(str(tmp_path / "missing.so")))
    assert "cannot be used with ONNX Runtime" in (providers.rtx_problem() or "")


def test_tensorrt_rtx_without_a_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    providers.rtx_devices.cache_clear()
    monkeypatch.setitem(sys.modules, providers.RTX_MODULE, plugin("plugin.so"))
    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", lambda _name, _path: None)
    assert "sees no GPU" in (providers.rtx_problem() or "")
    with pytest.raises(DeviceError, match="no GPU number 0 for TensorRT-RTX"):
        given(Device.named("tensorrt-rtx:0"))
    providers.rtx_devices.cache_clear()
