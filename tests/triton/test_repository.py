"""Building a model repository: complete, reused, never half there, and wrong inputs named."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from pathlib import Path

import pytest

from respray.triton.errors import BuildError
from respray.triton.repository.build_repository import build, gpu_pool, needed_pool, needed_shared_memory
from respray.triton.repository.configs import MODELS
from respray.triton.repository.targets import TARGETS, target
from tools.docs.model_reference import full_size


@pytest.mark.parametrize("name", TARGETS)
def test_a_repository_is_complete(demo_graphs: Path, tmp_path: Path, name: str) -> None:
    out = build(demo_graphs, target(name), tmp_path / "deep" / name)
    for model in MODELS:
        assert (out / model / "config.pbtxt").is_file()
        assert (out / model / "1").is_dir()
    python = {path.parts[-3] for path in out.glob("*/1/model.py")}
    graphs = {path.parts[-3] for path in out.glob("*/1/*.onnx")}
    assert graphs == {"sam3_image_encoder", "sam3_text_encoder", "sam3_concept_decoder"}
    assert python == {"applier", "pipeline_bls"} | (graphs if name == "embedded" else set())
    assert (out / "pipeline_bls" / "1" / "tokenizer.json").is_file()


def test_a_second_build_reuses_and_a_changed_one_replaces(demo_graphs: Path, tmp_path: Path) -> None:
    out = build(demo_graphs, target("embedded"), tmp_path / "repository")
    config = out / "sam3" / "config.pbtxt"
    first = config.stat().st_ino
    build(demo_graphs, target("embedded"), out)
    assert config.stat().st_ino == first
    build(demo_graphs, target("embedded", max_photos=2), out)
    assert config.stat().st_ino != first
    assert "max_batch_size: 2" in config.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_a_folder_of_something_else_is_not_replaced(demo_graphs: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BuildError, match="is not empty and was not built by this command"):
        build(demo_graphs, target("embedded"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_missing_and_damaged_graphs_are_named(demo_graphs: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"holds no spec\.json"):
        build(tmp_path, target("embedded"), tmp_path / "out")
    graphs = tmp_path / "graphs"
    shutil.copytree(demo_graphs, graphs)
    (graphs / "sam3_text_encoder.onnx").write_bytes(b"short")
    with pytest.raises(BuildError, match=r"sam3_text_encoder\.onnx has 5 bytes instead of"):
        build(graphs, target("embedded"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_disk_error_leaves_nothing_behind(demo_graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", full)
    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(BuildError, match="No space left on device"):
        build(demo_graphs, target("embedded"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def changed_graphs(source: Path, folder: Path, **fields: object) -> Path:
    """A copy of the graphs whose description says something else."""
    shutil.copytree(source, folder)
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | fields))
    return folder


def test_the_engine_script_is_valid_shell_and_names_real_files(demo_graphs: Path, tmp_path: Path) -> None:
    """Run with a stand-in for trtexec that writes what it was told to: the plans land where their configuration looks."""
    out = build(demo_graphs, target("tensorrt"), tmp_path / "out")
    calls = build_engines(out, tmp_path)
    assert build_engines(out, tmp_path) == calls and len(calls) == 2  # the second run has nothing to do
    assert all("--stronglyTyped" in call and "--maxShapes=" in call for call in calls)
    for model in ("sam3_image_encoder", "sam3_concept_decoder"):
        assert (out / model / "1" / "model.plan").is_file()
        assert 'default_model_filename: "model.plan"' in (out / model / "configs" / "plan.pbtxt").read_text()


def build_engines(repository: Path, folder: Path) -> list[str]:
    """Run the script with a stand-in for trtexec that writes what it was told to, and return all of its calls so far."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    trtexec = tools / "trtexec"
    trtexec.write_text(
        '#!/bin/sh\nfor a in "$@"; do case "$a" in --onnx=*) test -f "${a#--onnx=}" || exit 9;; '
        '--saveEngine=*) echo "$@" > "${a#--saveEngine=}";; esac; done\necho "$@" >> "$MODEL_CACHE_DIR/engine-cache/calls"\n'
    )
    trtexec.chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "MODEL_CACHE_DIR": str(folder / "volume")}
    subprocess.run(["sh", "build_engines.sh"], cwd=repository, env=environment, check=True)
    return (folder / "volume" / "engine-cache" / "calls").read_text().splitlines()


def test_an_engine_of_another_profile_or_model_is_not_taken(demo_graphs: Path, tmp_path: Path) -> None:
    first = build(demo_graphs, target("tensorrt"), tmp_path / "first")
    build_engines(first, tmp_path)
    narrow = build(demo_graphs, target("tensorrt", max_concepts=8), tmp_path / "narrow")
    assert len(build_engines(narrow, tmp_path)) == 3  # the encoder's is the same
    assert "text_features:2x8x" in (narrow / "sam3_concept_decoder" / "1" / "model.plan").read_text()

    graphs = json.loads((demo_graphs / "spec.json").read_text())["graphs"]
    graphs["sam3_image_encoder"]["model"]["sha256"] = "0" * 64
    retrained = build(changed_graphs(demo_graphs, tmp_path / "graphs", graphs=graphs), target("tensorrt"), tmp_path / "retrained")
    assert len(build_engines(retrained, tmp_path)) == 4

    assert len(build_engines(first, tmp_path)) == 4  # and what was built for the first is still there
    assert "text_features:1x16x" in (first / "sam3_concept_decoder" / "1" / "model.plan").read_text()


def test_graphs_of_the_wrong_attention_are_told(demo_graphs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fused = changed_graphs(demo_graphs, tmp_path / "fused", attention="ort")
    with pytest.raises(BuildError, match=r"which TensorRT cannot read; export the checkpoint again with --attention explicit"):
        build(fused, target("tensorrt"), tmp_path / "out")
    sizes = full_size().model_dump(include={"image_size", "patch_size", "grid", "mask_size", "precision"})
    explicit = changed_graphs(demo_graphs, tmp_path / "explicit", attention="explicit", **sizes)
    with caplog.at_level(logging.WARNING):
        for graphs, name in ((fused, "onnxruntime"), (explicit, "tensorrt"), (demo_graphs, "onnxruntime")):
            build(graphs, target(name), tmp_path / f"quiet-{graphs.name}-{name}")
        assert not caplog.messages
        build(explicit, target("onnxruntime"), tmp_path / "loud")
    assert "takes 0.4 GB for one matrix and its copies; export the checkpoint again with --attention ort" in caplog.text


def test_tritons_memory_on_a_gpu_holds_two_batches_of_features(demo_graphs: Path, tmp_path: Path) -> None:
    features = 256 * 2 * (288**2 + 144**2 + 72**2)  # of one photo at full size in FP16: 55.7 MB
    for name in ("onnxruntime", "tensorrt"):
        assert 8 * features < gpu_pool(full_size(), target(name)) < 1 << 30
    assert gpu_pool(full_size(), target("embedded")) == 0
    out = build(demo_graphs, target("onnxruntime"), tmp_path / "out")
    assert needed_pool(out) > 64 << 20 and needed_pool(tmp_path) == 0


def test_the_memory_estimate_grows_with_batches_and_is_recorded(demo_graphs: Path, tmp_path: Path) -> None:
    small = build(demo_graphs, target("embedded", max_photos=1), tmp_path / "small")
    large = build(demo_graphs, target("embedded", max_photos=8), tmp_path / "large")
    assert 64 << 20 < needed_shared_memory(small) < needed_shared_memory(large)
    assert needed_shared_memory(tmp_path) == 0
