"""`spec.json` describes a folder of graphs, and says what is wrong with one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from respray.segmentation.errors import SpecError
from respray.segmentation.spec import SPEC_FILE, load_spec, verify_files, write_spec
from tests.segmentation.conftest import GRAPHS, PROJECT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GRAPHS, tmp_path / "graphs"))


def change(folder: Path, **values: Any) -> None:
    path = folder / SPEC_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_written_and_read_back(copy: Path) -> None:
    spec = load_spec(copy)
    write_spec(spec, copy)
    before = (copy / SPEC_FILE).read_text()
    write_spec(load_spec(copy), copy)
    assert (copy / SPEC_FILE).read_text() == before and load_spec(copy) == spec
    assert {stored.file for stored in spec.files()} == {file.name for file in copy.iterdir()} - {SPEC_FILE}


def test_an_earlier_exports_threshold_is_passed_over(copy: Path) -> None:
    write_spec(load_spec(copy), copy)
    spec = load_spec(copy)
    change(copy, threshold=0.3)
    assert load_spec(copy) == spec


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"format": 2}, "format"),
        ({"grid": 7}, "grid"),
        ({"mask_size": 3}, "mask_size"),
        ({"pad_id": 10_000_000}, "vocabulary"),
        ({"graphs": {}}, "no files for"),
        ({"precision": "int4"}, "precision"),
        ({"surprise": 1}, "surprise"),
        ({"tokenizer": {"file": "../../etc/passwd", "sha256": "0" * 64, "bytes": 1}}, "tokenizer"),
    ],
)
def test_a_wrong_spec_is_named(copy: Path, values: dict[str, Any], what: str) -> None:
    change(copy, **values)
    with pytest.raises(SpecError, match=what):
        load_spec(copy)


def test_missing_short_and_changed_files_are_named(copy: Path) -> None:
    spec = load_spec(copy)
    verify_files(spec, copy)
    graph = copy / spec.graphs["sam3_text_encoder"].model.file
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    load_spec(copy)
    with pytest.raises(SpecError, match=r"sam3_text_encoder\.onnx.*SHA-256"):
        verify_files(spec, copy)
    graph.write_bytes(data[:-1])
    with pytest.raises(SpecError, match=r"sam3_text_encoder\.onnx has"):
        load_spec(copy)
    graph.unlink()
    with pytest.raises(SpecError, match=r"names sam3_text_encoder\.onnx, which is not"):
        load_spec(copy)


def test_folders_that_are_no_export(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"holds no spec\.json"):
        load_spec(tmp_path)
    (tmp_path / SPEC_FILE).write_text("no JSON")
    with pytest.raises(SpecError, match="not a valid model spec"):
        load_spec(tmp_path)


def test_nothing_of_the_runtime_imports_torch() -> None:
    modules = ["spec", "tokenizer", "prepare", "runner", "errors"]
    code = f"import sys\nfor name in {modules}: __import__('respray.segmentation.' + name)\n"
    code += "print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
