"""Building a model repository: complete, reused, never half there, and wrong inputs named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from serving.configs import MODELS
from serving.errors import BuildError
from serving.repository import build, needed_shared_memory
from serving.targets import TARGETS, target


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

    monkeypatch.setattr("serving.repository._link", full)
    with pytest.raises(BuildError, match="No space left on device"):
        build(demo_graphs, target("embedded"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_engine_script_is_valid_shell_and_names_real_files(demo_graphs: Path, tmp_path: Path) -> None:
    """Run with a stand-in for trtexec that writes what it was told to: the plans land where their configuration looks."""
    out = build(demo_graphs, target("tensorrt"), tmp_path / "out")
    tools = tmp_path / "tools"
    tools.mkdir()
    trtexec = tools / "trtexec"
    trtexec.write_text(
        '#!/bin/sh\nfor a in "$@"; do case "$a" in --onnx=*) test -f "${a#--onnx=}" || exit 9;; '
        '--saveEngine=*) echo plan > "${a#--saveEngine=}";; esac; done\necho "$@" >> "$ENGINE_CACHE/calls"\n'
    )
    trtexec.chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "ENGINE_CACHE": str(tmp_path / "cache")}
    for _ in range(2):  # the second run has nothing to do
        subprocess.run(["sh", "build_engines.sh"], cwd=out, env=environment, check=True)
    calls = (tmp_path / "cache" / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("--stronglyTyped" in call and "--maxShapes=" in call for call in calls)
    for model in ("sam3_image_encoder", "sam3_concept_decoder"):
        assert (out / model / "1" / "model.plan").is_file()
        assert 'default_model_filename: "model.plan"' in (out / model / "configs" / "plan.pbtxt").read_text()


def test_the_memory_estimate_grows_with_batches_and_is_recorded(demo_graphs: Path, tmp_path: Path) -> None:
    small = build(demo_graphs, target("embedded", max_photos=1), tmp_path / "small")
    large = build(demo_graphs, target("embedded", max_photos=8), tmp_path / "large")
    assert 64 << 20 < needed_shared_memory(small) < needed_shared_memory(large)
    assert needed_shared_memory(tmp_path) == 0
