"""Where the embedded server runs its graphs: on the GPU where one can be used, and what is asked for is never quietly something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import SettingsError
from orchestrator.settings import load_settings
from respray.launch.local_server import embedded_device, start_embedded
from respray.segmentation.spec import load_spec
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import BuildError, ServerStartError
from respray.triton.repository.build_repository import build, shared_memory
from respray.triton.repository.configs import configs
from respray.triton.repository.targets import embedded_on, target
from tests.triton.repositories import cold_sources

JOB = {
    "job_id": "j",
    "user_id": "u",
    "preset": "interior",
    "concepts": {"Wall": {"action": "recolor", "value": "#7C9082"}},
    "items": [{"idx": 0, "input_key": "inputs/u/j/0.jpg", "output_key": "outputs/u/j/0.jpg"}],
}
NVIDIA_SMI = '#!/bin/sh\necho "0, GPU-1, NVIDIA L4, 8.9"\n'


def chosen(device: str) -> str:
    return embedded_device(load_settings({"ADAPTER": "local", "RESPRAY_DEVICE": device}))


def test_without_a_gpu_auto_takes_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    assert chosen("auto") == chosen("cpu") == "cpu"
    with pytest.raises(SettingsError, match="RESPRAY_DEVICE=cuda: no GPU is visible here"):
        chosen("cuda")
    with pytest.raises(SettingsError, match="RESPRAY_DEVICE=tensorrt-rtx: no GPU is visible here"):
        chosen("tensorrt-rtx")


def test_a_gpu_that_onnx_runtime_cannot_use_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert chosen("auto") == "cpu"
    assert "the graphs run on the CPU although there is a GPU" in caplog.text and "[gpu]" in caplog.text
    with pytest.raises(SettingsError, match="has no CUDA provider"):
        chosen("cuda")
    with pytest.raises(SettingsError, match="TensorRT-RTX is not installed here: pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"):
        chosen("tensorrt-rtx")


@pytest.mark.parametrize(
    ("words", "setting"), [(["serve"], "cuda"), (["serve", "--device", "cuda"], "cpu"), (["run", "job.json", "--device", "cuda"], "auto")]
)
def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, words: list[str], setting: str) -> None:
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    environment = {**os.environ, "RESPRAY_DEVICE": setting}
    command = [str(Path(sys.executable).with_name("respray")), *words, *(["--store", "."] if words[0] == "run" else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 1 and "RESPRAY_DEVICE=cuda:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.server
def test_a_server_that_was_built_for_cuda_does_not_start_on_the_cpu(demo_graphs: Path, tmp_path: Path) -> None:
    chosen = target("embedded", pipeline_instances=1, applier_instances=1, **embedded_on("cuda"))
    repository = build(demo_graphs, chosen, tmp_path / "repository", cold_sources(tmp_path / "sources"))
    with pytest.raises(ServerStartError, match="cuda:0 was asked for and ONNX Runtime took the CPU"):
        EmbeddedServer(repository).start()


def test_encoder_and_decoder_go_to_the_gpu_and_texts_stay(demo_graphs: Path) -> None:
    built = configs(load_spec(demo_graphs), target("embedded", **embedded_on("cuda")))
    devices = {name: config.parameters["device"].string_value for name, config in built.items() if "device" in config.parameters}
    graphs = {"sam3", "sam3_image_encoder", "sam3_concept_decoder"}
    assert target("embedded", **embedded_on("tensorrt-rtx")).attention == "explicit" and target("embedded").attention == "ort"
    spec, few = load_spec(demo_graphs), {"pipeline_instances": 1}
    assert shared_memory(spec, target("embedded", **few, **embedded_on("cuda"))) < shared_memory(spec, target("embedded", **few))
    assert devices == {**dict.fromkeys(graphs, "cuda:0"), "sam3_text_encoder": "cpu"}
    with pytest.raises(BuildError, match="device is 'tpu'; cpu, cuda, tensorrt-rtx are accepted"):
        target("embedded", device="tpu")


def test_a_repository_for_another_target_is_refused_in_words(demo_graphs: Path, tmp_path: Path) -> None:
    repository = build(demo_graphs, target("onnxruntime"), tmp_path / "repository")
    with pytest.raises(SettingsError, match=r"built for the target onnxruntime.*respray build --target embedded"):
        start_embedded(load_settings({"ADAPTER": "local"}), repository=repository)
