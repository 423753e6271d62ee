"""CUDA is chosen where its libraries load, and only there."""

from __future__ import annotations

import logging

import onnxruntime
import pytest

from respray.segmentation import accelerator, runner

CPU = ["CPUExecutionProvider"]


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime-gpu, as far as it says what it has."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *CPU])


@pytest.mark.usefixtures("gpu_build")
def test_cuda_is_used_where_its_libraries_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "cuda_problem", lambda: None)
    assert runner.providers(1) == [("CUDAExecutionProvider", {"device_id": "1"}), *CPU]


@pytest.mark.usefixtures("gpu_build")
def test_the_cpu_is_used_and_said_so_where_they_do_not(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(runner, "cuda_problem", lambda: "libcudnn_ops.so.9 does not load (SIGABRT)")
    with caplog.at_level(logging.WARNING):
        assert runner.providers(0) == CPU
    assert "CUDA is not used: libcudnn_ops.so.9 does not load (SIGABRT)" in caplog.text


@pytest.mark.usefixtures("gpu_build")
def test_nothing_is_probed_for_a_graph_that_stays_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "cuda_problem", lambda: pytest.fail("probed"))
    assert runner.providers(None) == CPU


def test_nothing_is_probed_without_a_gpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: CPU)
    monkeypatch.setattr(runner, "cuda_problem", lambda: pytest.fail("probed"))
    assert runner.providers(0) == CPU


def test_a_machine_without_the_libraries_is_told_which_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "accepted_majors", lambda *_: (999,))
    assert "libcublasLt.so.999 does not load" in (accelerator.cuda_problem({"PATH": "/usr/bin"}) or "")
