"""`scripts/export_onnx.py`: everything that goes wrong for a user is one sentence and exit code 1. The real script, the real hub client."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from respray.segmentation.export.output_folder import OutputError, replaced_folder
from tests.segmentation.conftest import CHECKPOINT, PROJECT

GATED = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model facebook/sam3 is restricted."}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TREE = json.dumps([{"type": "file", "path": "config.json", "size": 2, "oid": "ab"}]).encode()


@contextmanager
def hub(status: int, headers: dict[str, str], tree: bytes = b"") -> Iterator[str]:
    """A hub that answers everything with `status`, and questions for a model's files with `tree`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = tree if "/tree/" in self.path else b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def export(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing but `environment` of the hub's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    command = [sys.executable, str(PROJECT / "scripts" / "export_onnx.py"), "--out", str(folder / "out"), *arguments]
    settings = {**clean, "HF_HOME": str(folder / "hub"), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=settings, cwd=folder, timeout=280, check=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """Runs in the background, two at a time: each spends its time on importing torch."""

    def folder() -> Path:
        return tmp_path_factory.mktemp("export")

    empty, foreign, lacking, damaged, other = folder(), folder(), folder(), folder(), folder()
    (foreign / "out").mkdir()
    (foreign / "out" / "holiday.jpg").write_bytes(b"x")
    shutil.copy(CHECKPOINT / "config.json", lacking)
    shutil.copytree(CHECKPOINT, damaged, dirs_exist_ok=True)
    (damaged / "model.safetensors").write_bytes((CHECKPOINT / "model.safetensors").read_bytes()[:100_000])
    shutil.copytree(CHECKPOINT, other, dirs_exist_ok=True)
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    bare = folder()
    (bare / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    with (
        hub(401, GATED) as gated,
        hub(403, GATED) as forbidden,
        hub(401, {"X-Error-Code": "RepoNotFound"}) as private,
        hub(404, {"X-Error-Code": "RepoNotFound"}) as unknown,
        hub(404, {"X-Error-Code": "RevisionNotFound"}) as no_revision,
        hub(200, {"ETag": '"ab"', "X-Repo-Commit": COMMIT}, TREE) as whole,
        hub(503, {}) as down,
    ):
        name = ("--checkpoint", "facebook/sam3")
        with ThreadPoolExecutor(2) as pool:
            yield {
                "no-token": pool.submit(export, folder(), *name, HF_ENDPOINT=gated),
                "no-access": pool.submit(export, folder(), *name, HF_ENDPOINT=forbidden, HF_TOKEN="hf_x"),
                "bad-token": pool.submit(export, folder(), *name, HF_ENDPOINT=private, HF_TOKEN="hf_x"),
                "misspelt": pool.submit(export, folder(), "--checkpoint", "facebook/sam33", HF_ENDPOINT=unknown),
                "no-revision": pool.submit(export, folder(), *name, "--revision", "typo", HF_ENDPOINT=no_revision),
                "no-cache": pool.submit(export, folder(), *name, "--revision", COMMIT, HF_ENDPOINT=whole, HF_HOME="/dev/null/hub"),
                "no-torch": pool.submit(export, bare, "--checkpoint", "demo", PYTHONPATH=str(bare)),
                "down": pool.submit(export, folder(), *name, HF_ENDPOINT=down),
                "no-network": pool.submit(export, folder(), *name, HF_ENDPOINT="http://127.0.0.1:9"),
                "offline": pool.submit(export, folder(), *name, HF_HUB_OFFLINE="1"),
                "no-folder": pool.submit(export, empty, "--checkpoint", str(empty / "[not]" / "there")),
                "lacking": pool.submit(export, lacking, "--checkpoint", str(lacking)),
                "damaged": pool.submit(export, damaged, "--checkpoint", str(damaged)),
                "other-model": pool.submit(export, other, "--checkpoint", str(other)),
                "foreign-folder": pool.submit(export, foreign, "--checkpoint", "demo"),
            }


ACCESS = "https://huggingface.co/facebook/sam3"
EXPECTED = {
    "no-token": [ACCESS, "set HF_TOKEN", "401"],
    "no-access": [ACCESS, "account of HF_TOKEN", "403"],
    "bad-token": [ACCESS, "account of HF_TOKEN", "401"],
    "misspelt": ["check the name 'facebook/sam33'", "404"],
    "no-revision": ["facebook/sam3 has no revision 'typo'", "--revision"],
    "no-cache": ["could not be downloaded to the cache /dev/null/hub/hub", "HF_HOME", "Not a directory"],
    "no-torch": ["torch is not installed", "-m pip install 'respray[export]'"],
    "down": ["503", "cannot be reached"],
    "no-network": ["cannot be reached", "network"],
    "offline": ["cannot be reached", "HF_HUB_OFFLINE"],
    "no-folder": ["[not]/there does not exist", "'demo'", "model.safetensors"],
    "lacking": ["lacks tokenizer.json, *.safetensors", "'demo'"],
    "damaged": ["cannot be loaded"],
    "other-model": ["'bert'", "sam3_lite_text"],
    "foreign-folder": ["not an earlier export", "--out"],
}


@pytest.mark.parametrize("case", EXPECTED)
def test_one_sentence_and_exit_code_1(runs: dict[str, Future[subprocess.CompletedProcess[str]]], case: str) -> None:
    run = runs[case].result()
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr and "Traceback" not in run.stdout
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, run.stderr
    for part in EXPECTED[case]:
        assert part in errors[0]
    assert "hf_x" not in run.stderr


def test_a_small_disk_is_seen_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"GB free and the export needs about"), replaced_folder(tmp_path / "out", 10**18):
        pass
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_the_earlier_export(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "spec.json").write_text("earlier")
    with pytest.raises(OutputError, match=r"is full.*nothing was changed"), replaced_folder(out, 1) as folder:
        (folder / "spec.json").write_text("new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [file.name for file in tmp_path.iterdir()] == ["out"] and (out / "spec.json").read_text() == "earlier"


def test_a_finished_export_takes_the_earlier_ones_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "spec.json").write_text("earlier")
    with replaced_folder(out, 1) as folder:
        (folder / "spec.json").write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["out"] and (out / "spec.json").read_text() == "new"


def test_a_real_full_disk(tmp_path: Path) -> None:
    """/dev/full is the kernel's own full disk."""
    with pytest.raises(OutputError, match="is full"), replaced_folder(tmp_path / "out", 1), Path("/dev/full").open("wb") as full:
        full.write(b"x" * 100_000)
