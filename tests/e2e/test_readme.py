"""The README's own commands work as they stand there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


QUICK_START = (PROJECT / "docs" / "quick-start.md").read_text(encoding="utf-8")


def run(commands: str, folder: Path, triton_url: str) -> None:
    """Run commands as they stand, in a folder that looks like a checkout."""
    (folder / "respray").symlink_to(PROJECT / "respray")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=os.environ | {"TRITON_URL": triton_url, "ADAPTER": "local", "HEALTH_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_job_by_hand_runs_as_written(tmp_path: Path, triton_url: str) -> None:
    section = README.split("## A job by hand")[1].split("## ")[0]
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run(f"{commands.replace('8080', str(port))}\nkill %1\nwait %1", tmp_path, triton_url)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"


def test_the_job_from_a_file_runs_as_written(tmp_path: Path, triton_url: str) -> None:
    section = QUICK_START.split("### A job from a file")[1].split("## ")[0]
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    run(commands, tmp_path, triton_url)
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
