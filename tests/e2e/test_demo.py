"""`respray demo`, the first thing that a newcomer runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.cli import Run, respray


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """One run that starts and stops its own server, as on a fresh clone, beside a .env that is filled in for another model and server."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".env").write_text("MODEL_NAME=sam3\nREQUIRE_REAL_MODEL=true\nTRITON_URL=127.0.0.1:1\n")
    return respray("demo", "--out", "shown", cwd=folder), folder / "shown"


def test_both_jobs_complete_and_every_callback_arrives(demo: tuple[Run, Path]) -> None:
    run, _ = demo
    assert run.code == 0, run.logs
    finishes = run.of("finish")
    assert [finish["status"] for finish in finishes] == ["completed", "completed"]
    assert [finish["callbacks"] for finish in finishes] == [{"delivered": 4, "undelivered": []}, {"delivered": 2, "undelivered": []}]


def test_it_ends_with_the_line_that_opens_the_studio(demo: tuple[Run, Path]) -> None:
    run, _ = demo
    assert run.logs.rstrip().splitlines()[-1].endswith("respray studio")


def test_the_demo_model_finds_and_recolours_surfaces(demo: tuple[Run, Path]) -> None:
    run, _ = demo
    edits = [edit for item in run.of("item") for output in item["report"]["outputs"] for edit in output["edits"]]
    hits = [edit for edit in edits if edit.get("delta_e") is not None]
    assert len(hits) >= 0.75 * len(edits), "most surfaces of our own photos are found"
    assert sorted(edit["delta_e"] for edit in hits)[len(hits) // 2] <= 5.0


def test_every_picture_of_the_contact_sheet_exists(demo: tuple[Run, Path]) -> None:
    _, shown = demo
    page = (shown / "index.html").read_text()
    links = re.findall(r'<img src="([^"]+)"', page)
    assert len(links) >= 6 * 3, "before, found, after for each photo"
    assert [link for link in links if not (shown / link).is_file()] == []
    assert "asked" in page and "measured" in page and "segment" in page and "demo (small" in page


def test_a_second_run_replaces_the_first(demo: tuple[Run, Path], triton_url: str) -> None:
    _, shown = demo
    before = (shown / "index.html").stat().st_mtime_ns
    again = respray("demo", "--out", "shown", "--triton-url", triton_url, cwd=shown.parent)
    assert again.code == 0, (again.logs, again.events)
    assert (shown / "index.html").stat().st_mtime_ns > before
    assert f"the one that {triton_url} serves" in (shown / "index.html").read_text()


def test_a_folder_with_other_peoples_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    run = respray("demo", "--out", tmp_path, cwd=tmp_path)
    assert run.code == 1
    assert "--out" in run.logs and "Traceback" not in run.logs
    assert (tmp_path / "thesis.txt").read_text() == "mine"
