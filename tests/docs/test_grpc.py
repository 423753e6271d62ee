"""The client that docs/reference/grpc.md shows works as it stands there, and the page names the tensors that the server has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from respray.segmentation.spec import load_spec
from respray.triton.errors import PhotoError
from respray.triton.repository.configs import signatures

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "grpc.md").read_text(encoding="utf-8")
PHOTO = ROOT / "respray" / "demo" / "photos" / "room_1.jpg"


def _client(folder: Path, url: str, photo: Path) -> subprocess.CompletedProcess[str]:
    (script,) = re.findall(r'```python title="client.py"\n(.*?)```', PAGE, re.DOTALL)
    (folder / "client.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "client.py", url, str(photo), "edited.png"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_client_edits_a_photo(tmp_path: Path, triton_url: str) -> None:
    done = _client(tmp_path, triton_url, PHOTO)
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    (edit,) = output["edits"]
    assert output["name"] == "sage" and edit["requested"].lower() == "#7c9082" and edit["coverage"] > 0.05
    before, after = np.asarray(Image.open(PHOTO).convert("RGB")), np.asarray(Image.open(tmp_path / "edited.png"))
    assert after.shape == before.shape and (after != before).any()


def test_a_photo_that_is_none_is_refused_with_the_mark(tmp_path: Path, triton_url: str) -> None:
    (tmp_path / "not.jpg").write_bytes(b"no photo")
    done = _client(tmp_path, triton_url, tmp_path / "not.jpg")
    assert done.returncode != 0 and PhotoError.MARK in done.stderr and f"`{PhotoError.MARK.strip()}`" in PAGE


def test_the_page_has_every_tensor(demo_graphs: Path) -> None:
    signature = signatures(load_spec(demo_graphs))["pipeline_bls"]
    for tensor in (*signature.inputs, *signature.outputs):
        assert f"| `{tensor.name}` | {tensor.dtype} [" in PAGE
    assert PAGE.count("| UINT8 [") + PAGE.count("| INT64 [") == len(signature.inputs) + len(signature.outputs)
