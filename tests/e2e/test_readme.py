"""The README's own commands work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_job_by_hand_runs_as_written(tmp_path: Path, triton_url: str) -> None:
    section = README.split("## A job by hand")[1].split("## ")[0]
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    (tmp_path / "respray").symlink_to(PROJECT / "respray")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env=os.environ | {"TRITON_URL": triton_url, "ADAPTER": "local"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "files/outputs/me/first/0_result.png").is_file()


def test_it_opens_with_the_two_commands() -> None:
    first = re.search(r"```bash\n(.*?)```", README, re.DOTALL)
    assert first is not None and README.index(first.group(0)) < 200
    assert [line.split("#")[0].strip() for line in first.group(1).splitlines()] == ["make demo", "make test"]


def test_it_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_every_folder_it_names_exists() -> None:
    section = README.split("## Where things are")[1]
    names = re.findall(r"`([\w./]+/[\w./]*)`", section)
    assert len(names) > 15 and [name for name in names if not (PROJECT / name).exists()] == []


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_every_make_target_it_names_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets
