"""Graphs go into a private repository of the hub by its own client, and come back: into Runpod's cache of models, or by `weights fetch`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from respray.weights.ensure import ensure, problems
from respray.weights.errors import WeightsError
from respray.weights.hub_cache import find_snapshot
from respray.weights.hub_push import push
from respray.weights.model_presets import choose_preset
from tests.weights.private_hub import PrivateHub, Repository

huggingface_hub = pytest.importorskip("huggingface_hub")
# The hub's client hands httpx a file in a way that httpx has given up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=.*:DeprecationWarning")
REPOSITORY = "me/sam3-graphs"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateHub]:
    """Over LFS: the hub's other protocol, Xet, is a service of its own that cannot be stood in for here."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    server = PrivateHub()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def graphs(demo_graphs: Path, tmp_path: Path) -> Path:
    """The demo's, as somebody exported them under SAM3's name: its own are refused where sam3 is asked for."""
    folder = tmp_path / "models" / "sam3" / "graphs"
    shutil.copytree(demo_graphs, folder)
    spec = folder / "spec.json"
    spec.write_text(json.dumps(json.loads(spec.read_text()) | {"name": "sam3", "is_demo": False}))
    return folder


def test_what_was_pushed_is_served_from_runpods_cache(
    hub: PrivateHub, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runpod fills the hub's own cache on its volume; the client itself does here."""
    commit = push(REPOSITORY, graphs, "hf_writer", hub.url)
    assert hub.repositories[REPOSITORY].private and hub.uploads, "weights are large files"
    cache = tmp_path / "runpod-volume" / "huggingface-cache" / "hub"
    there = huggingface_hub.snapshot_download(REPOSITORY, cache_dir=cache, token="hf_reader", endpoint=hub.url)
    assert (snapshot := find_snapshot(REPOSITORY, cache)) == Path(there) and snapshot.name == commit
    monkeypatch.setattr("respray.weights.ensure.find_snapshot", lambda repository: find_snapshot(repository, cache))
    root = tmp_path / "pod"
    folder = ensure(choose_preset("sam3"), root, cached=REPOSITORY)
    assert folder.is_symlink() and problems(choose_preset("sam3"), root, full=True) == []
    assert (folder / "graphs" / "sam3_image_encoder.onnx").read_bytes() == (graphs / "sam3_image_encoder.onnx").read_bytes()


def test_without_a_cache_the_worker_fetches_them_from_the_repository(hub: PrivateHub, graphs: Path, tmp_path: Path) -> None:
    push(REPOSITORY, graphs, "hf_writer", hub.url)
    root = tmp_path / "pod"
    folder = ensure(choose_preset("sam3"), root, cached=REPOSITORY, token="hf_reader", endpoint=hub.url)
    assert problems(choose_preset("sam3"), root, full=True) == [] and not (folder / "checkpoint").exists()
    with pytest.raises(WeightsError, match=r"no repository me/sam3-graphs on the hub, or it is private, and HF_TOKEN is not set"):
        ensure(choose_preset("sam3"), tmp_path / "other", cached=REPOSITORY, endpoint=hub.url)


def test_pushing_again_sends_what_changed_and_removes_what_is_gone(hub: PrivateHub, graphs: Path) -> None:
    push(REPOSITORY, graphs, "hf_writer", hub.url)
    hub.repositories[REPOSITORY].files["graphs/old.onnx"] = b"of an export before"
    hub.uploads.clear()
    push(REPOSITORY, graphs, "hf_writer", hub.url)
    assert hub.uploads == [] and set(hub.repositories[REPOSITORY].files) == {f"graphs/{path.name}" for path in graphs.iterdir()}


@pytest.mark.parametrize(
    ("repository", "token", "said"),
    [
        (REPOSITORY, None, "needs HF_TOKEN, a token that may write there"),
        (REPOSITORY, "hf_reader", "does not let HF_TOKEN write to me/sam3-graphs"),
        (REPOSITORY, "hf_nobody", "does not let HF_TOKEN write to me/sam3-graphs"),
        ("me/public", "hf_writer", "me/public is public"),
        ("a/b/c", "hf_writer", "MODEL_HUB_REPOSITORY='a/b/c': OWNER/NAME is accepted"),
    ],
)
def test_a_push_that_cannot_be_is_one_sentence(hub: PrivateHub, graphs: Path, repository: str, token: str | None, said: str) -> None:
    hub.repositories["me/public"] = Repository(private=False)
    with pytest.raises(WeightsError, match=said):
        push(repository, graphs, token, hub.url)
    assert not any(repository.files for repository in hub.repositories.values())


def test_damaged_or_missing_graphs_and_no_network_are_not_pushed(hub: PrivateHub, graphs: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="could not be written: "):
        push(REPOSITORY, graphs, "hf_writer", "http://127.0.0.1:9")
    encoder = graphs / "sam3_text_encoder.onnx"
    content = bytearray(encoder.read_bytes())
    content[-1] ^= 1
    encoder.write_bytes(content)
    with pytest.raises(WeightsError, match=r"nothing to push to me/sam3-graphs: .*SHA-256 differs"):
        push(REPOSITORY, graphs, "hf_writer", hub.url)
    with pytest.raises(WeightsError, match="nothing to push"):
        push(REPOSITORY, tmp_path, "hf_writer", hub.url)
    assert hub.repositories == {}


def test_the_command_pushes_and_says_what_is_missing(hub: PrivateHub, graphs: Path) -> None:
    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        given = {"MODEL_PATH": str(graphs.parents[1]), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_writer"}
        command = [sys.executable, "-m", "orchestrator.cli.app", "weights", "push", "sam3", "--hub"]
        return subprocess.run(command, env={**os.environ, **given, **environment}, capture_output=True, text=True, check=False)

    assert "MODEL_HUB_REPOSITORY=OWNER/NAME" in run().stderr
    done = run(MODEL_HUB_REPOSITORY=REPOSITORY)
    assert done.returncode == 0 and f"huggingface.co/{REPOSITORY}, commit {hub.repositories[REPOSITORY].commit}" in done.stdout, done.stderr
