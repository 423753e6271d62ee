"""The hub's real client against a server that speaks the hub's protocol: gating, resuming, damage - and the presets that name models."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import weights
from orchestrator.errors import ResprayError
from respray.hub_errors import http_library
from respray.weights.engine_cache import engine_folder
from respray.weights.ensure import ensure, problems
from respray.weights.errors import DemoRefusedError, GatedModelError, PresetError, WeightsError
from respray.weights.hub_cache import find_snapshot
from respray.weights.manifest import Manifest
from respray.weights.model_presets import PRESETS_FILE, choose_preset, load_presets, refuse_demo

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# More than two of the client's chunks of 10 MB: it resumes from the last whole chunk.
WEIGHTS = bytes(range(251)) * 100_000
FILES = {"config.json": b'{"model_type": "sam3"}', "model.safetensors": WEIGHTS, "sam3.pt": b"not wanted"}


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub as its client asks for one model. `token`: who may read; `damage`: how many answers have a wrong byte."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = "hf_good"
        self.gated = True
        self.damage = 0
        self.cut = 0
        self.ranges: list[str] = []
        self.served: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool = True) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _serve(self, body: bool) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token == "hf_expired":  # without a code of its own: huggingface_hub/utils/_http.py, hf_raise_for_status
            said = "Invalid credentials in Authorization header"
            self._send(401, json.dumps({"error": said}).encode(), {"X-Error-Message": said, "Content-Type": "application/json"}, body)
            return
        if token == "hf_narrow":
            said = "Please enable access to public gated repositories in your fine-grained token settings to view this repository."
            self._send(403, json.dumps({"error": said}).encode(), {"X-Error-Code": "GatedRepo", "X-Error-Message": said}, body)
            return
        if self.server.gated and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            status = 403 if self.headers.get("Authorization") else 401
            self._send(status, b'{"error": "gated"}', {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, body)
            return
        path = self.path.split("?")[0]
        if "/tree/" in path:
            tree: list[dict[str, Any]] = [
                {"type": "file", "path": name, "size": len(content), "oid": _git_blob(content)} for name, content in FILES.items()
            ]
            self._send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"}, body)
            return
        if path.startswith("/api/models/facebook/sam3"):
            siblings = []
            for name, content in FILES.items():
                sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _git_blob(content)}
                if name != "config.json":
                    sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
                siblings.append(sibling)
            document = {
                "id": "facebook/sam3",
                "modelId": "facebook/sam3",
                "sha": COMMIT,
                "siblings": siblings,
                "tags": [],
                "private": False,
            }
            if path.rstrip("/").endswith("missing"):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            else:
                self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"}, body)
            return
        name = path.rsplit("/", 1)[1]
        content = FILES[name]
        etag = hashlib.sha256(content).hexdigest() if name != "config.json" else _git_blob(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not body:
            self._send(200, content, headers, body=False)
            return
        self.server.served.append(name)
        start = 0
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = bytearray(content[start:])
        if self.server.damage and name == "model.safetensors":
            self.server.damage -= 1
            part[1000] ^= 1
        if self.server.cut and name == "model.safetensors":
            self.server.cut -= 1
            self.send_response(206 if asked else 200)
            for key, value in {**headers, "Content-Length": str(len(part))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        self._send(206 if asked else 200, bytes(part), headers)


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _ensure(hub: Hub, root: Path, token: str | None = "hf_good") -> Path:
    return ensure(choose_preset("sam3"), root, token=token, endpoint=f"http://127.0.0.1:{hub.server_port}")


def test_checkpoint_arrives_whole_without_what_nobody_reads(hub: Hub, tmp_path: Path) -> None:
    folder = _ensure(hub, tmp_path)
    assert (folder / "checkpoint" / "model.safetensors").read_bytes() == WEIGHTS
    assert not (folder / "checkpoint" / "sam3.pt").exists()
    assert problems(choose_preset("sam3"), tmp_path, full=True) == []
    assert f"https://huggingface.co/facebook/sam3@{COMMIT}" in (folder / "weights.json").read_text()
    hub.served.clear()
    _ensure(hub, tmp_path)
    assert hub.served == []


@pytest.mark.parametrize(("token", "word"), [(None, "HF_TOKEN is not set"), ("hf_stranger", "has not been granted access")])
def test_gated_model_says_what_to_request_where_and_which_variable_to_set(hub: Hub, tmp_path: Path, token: str | None, word: str) -> None:
    with pytest.raises(GatedModelError) as caught:
        _ensure(hub, tmp_path, token)
    message = str(caught.value)
    assert word in message and "https://huggingface.co/facebook/sam3" in message and "set HF_TOKEN" in message
    assert "hf_stranger" not in message


@pytest.mark.parametrize(
    ("token", "said"),
    [("hf_expired", "does not know HF_TOKEN: it is mistyped, revoked or expired; make a read token at https://huggingface.co/settings/tokens"),
     ("hf_narrow", "HF_TOKEN is fine-grained without the right to gated repositories")],
)  # fmt: skip
def test_a_token_that_is_none_or_too_narrow_is_not_taken_for_a_refusal_of_access(hub: Hub, tmp_path: Path, token: str, said: str) -> None:
    with pytest.raises(WeightsError) as caught:
        _ensure(hub, tmp_path, token)
    assert said in str(caught.value) and "granted" not in str(caught.value) and token not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_errors_are_those_of_the_hub_client_s_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub 2 came with httpx2, and a machine without a network showed a traceback."""
    errors = pytest.importorskip("huggingface_hub.errors")
    library = http_library()
    assert issubclass(errors.HfHubHTTPError, library.HTTPError) and issubclass(library.ConnectError, library.HTTPError)
    other = types.ModuleType("http_of_tomorrow")
    other.HTTPError = type("HTTPError", (Exception,), {"__module__": "http_of_tomorrow.errors"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "http_of_tomorrow", other)
    monkeypatch.setattr("respray.hub_errors.HfHubHTTPError", type("HfHubHTTPError", (other.HTTPError,), {}))
    assert http_library() is other


def test_no_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match=r"could not be downloaded: http://127.0.0.1:9 cannot be reached \(.*HTTPS_PROXY.*MODEL_SYNC_\*"):
        ensure(choose_preset("sam3"), tmp_path, endpoint="http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pa55word@127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"https://hub.invalid cannot be reached by HTTPS_PROXY \(") as caught:
        ensure(choose_preset("sam3"), tmp_path, endpoint="https://hub.invalid")
    assert "pa55word" not in str(caught.value)


def test_broken_connection_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.cut = 1
    folder = _ensure(hub, tmp_path)
    assert (folder / "checkpoint" / "model.safetensors").read_bytes() == WEIGHTS
    assert any(int(asked.removeprefix("bytes=").split("-")[0]) > 0 for asked in hub.ranges), "the second half was asked for on its own"


def test_damaged_file_is_removed_and_the_next_start_repairs_it(hub: Hub, tmp_path: Path) -> None:
    hub.damage = 1
    with pytest.raises(WeightsError, match=r"model.safetensors arrived damaged"):
        _ensure(hub, tmp_path)
    assert problems(choose_preset("sam3"), tmp_path)
    assert (_ensure(hub, tmp_path) / "checkpoint" / "model.safetensors").read_bytes() == WEIGHTS


def test_presets_of_the_repository_are_valid_and_name_all_three_models() -> None:
    presets = load_presets()
    assert set(presets) == {"sam3", "sam3-litetext", "demo"}
    assert [preset.name for preset in presets.values() if preset.demo] == ["demo"]
    for preset in presets.values():
        assert preset.inference.env_vars["MODEL_NAME"] == preset.name
        assert (preset.weights.repository is None) != (preset.weights.folder is None)


def test_wrong_presets_say_which_field(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"MODEL_NAME='sam2' is not in model_presets.yaml; it has demo, sam3, sam3-litetext"):
        choose_preset("sam2")
    path = tmp_path / "presets.yaml"
    path.write_text(PRESETS_FILE.read_text().replace("precision: fp32", "precision: int4"))
    with pytest.raises(PresetError, match=r"models\.demo: precision: input should be 'fp16' or 'fp32' \(given: 'int4'\)"):
        load_presets(path)
    path.write_text("models: []")
    with pytest.raises(PresetError, match="needs a mapping"):
        load_presets(path)


def test_demo_is_refused_with_a_sentence_that_says_how_to_get_the_real_one() -> None:
    with pytest.raises(DemoRefusedError, match=r"request access at https://huggingface.co/facebook/sam3.*HF_TOKEN.*MODEL_NAME=sam3"):
        refuse_demo(choose_preset("demo"), require_real_model=True)
    refuse_demo(choose_preset("demo"), require_real_model=False)
    refuse_demo(choose_preset("sam3"), require_real_model=True)


def test_engine_folder_changes_with_gpu_tensorrt_graph_and_precision(tmp_path: Path) -> None:
    graph = tmp_path / "encoder.onnx"
    graph.write_bytes(b"one")
    base: dict[str, Any] = {"gpu": "NVIDIA L4", "compute_capability": "8.9", "tensorrt": "10.13.3", "precision": "fp16"}
    first = engine_folder(tmp_path, [graph], **base)
    assert first == engine_folder(tmp_path, [graph], **base)
    assert first.relative_to(tmp_path).as_posix().startswith("nvidia-l4-sm89/trt-10.13.3/fp16-")
    changes = [{"gpu": "NVIDIA L40S"}, {"compute_capability": "9.0"}, {"tensorrt": "10.14.0"}, {"precision": "fp32"}]
    folders = {engine_folder(tmp_path, [graph], **{**base, **change}) for change in changes}
    graph.write_bytes(b"two")
    assert len(folders | {first, engine_folder(tmp_path, [graph], **base)}) == 6
    with pytest.raises(ValueError, match=r"TensorRT version 'latest': accepted are numbers with dots"):
        engine_folder(tmp_path, [graph], **{**base, "tensorrt": "latest"})


def test_graphs_that_lie_on_the_volume_need_no_manifest_and_no_token(tmp_path: Path) -> None:
    """What the README's way leaves: the exporter's folder. It describes itself; the demo's graphs do not pass for SAM3."""
    graphs = tmp_path / "sam3" / "graphs"
    shutil.copytree(PRESETS_FILE.parent / "demo" / "graphs", graphs)
    sam3 = choose_preset("sam3")
    assert "holds the demo's graphs" in problems(sam3, tmp_path)[0]
    spec = json.loads((graphs / "spec.json").read_text())
    (graphs / "spec.json").write_text(json.dumps({**spec, "is_demo": False}))
    assert ensure(sam3, tmp_path, endpoint="http://127.0.0.1:9") == tmp_path / "sam3"
    assert problems(sam3, tmp_path, full=True) == []
    (graphs / "tokenizer.json").unlink()
    assert problems(sam3, tmp_path, full=True)


def test_a_manifest_of_nothing_is_neither_written_nor_taken_for_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    (folder := tmp_path / "sam3").mkdir()
    with pytest.raises(ResprayError, match=f"{folder} holds no files to describe; respray weights fetch sam3"):
        weights._manifest("sam3")
    assert not list(folder.iterdir())
    Manifest("sam3", "by hand", {}).write(folder)
    assert "names no file" in problems(choose_preset("sam3"), tmp_path)[0]


def test_graphs_in_runpods_cache_are_used_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own layout: files are links to blobs, `refs/main` says which commit; the cache may be read-only, the models' folder not."""
    cache, root = tmp_path / "cache", tmp_path / "models"
    model = cache / "models--somebody--sam3-graphs"
    for commit in ("old", "new"):
        (graphs := model / "snapshots" / commit / "graphs").mkdir(parents=True)
        for file in (PRESETS_FILE.parent / "demo" / "graphs").iterdir():
            blob = model / "blobs" / f"{commit}-{file.name}"
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(file.read_bytes())
            if file.name == "spec.json":
                blob.write_text(json.dumps({**json.loads(blob.read_text()), "is_demo": False}))
            (graphs / file.name).symlink_to(blob)
    (model / "refs").mkdir()
    sam3 = choose_preset("sam3")
    monkeypatch.setattr("respray.weights.ensure.find_snapshot", functools.partial(find_snapshot, cache=cache))
    for commit in ("new", "old"):  # another commit at the next start
        (model / "refs" / "main").write_text(commit)
        folder = ensure(sam3, root, cached="somebody/sam3-graphs", endpoint="http://127.0.0.1:9")
        assert folder.resolve() == model / "snapshots" / commit
        assert problems(sam3, root, full=True) == []
    assert find_snapshot("somebody/else", cache) is None
