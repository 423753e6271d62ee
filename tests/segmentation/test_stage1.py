"""The stage 1 benchmark: its sums, its picture and its command line (without the baselines, which need minutes)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.baseline import median_seconds
from benchmarks.plot import grouped_bars
from benchmarks.stage1 import derive
from tests.segmentation.conftest import PROJECT


def test_ratios() -> None:
    baselines = {"reencode": {"1": 40.0, "8": 320.0}, "reuse": {"1": 40.0, "8": 68.0}}
    seconds = {**baselines, "graphs": {"1": 32.0, "8": 46.0}, "triton": {"1": 32.1, "8": 46.1}}
    derived = derive(seconds, 30.0)
    assert derived["speedup_reencode"] == {"1": 40 / 32, "8": 320 / 46}
    assert derived["marginal_seconds"] == {"graphs": 2.0, "reuse": 4.0}
    assert derived["marginal_share"]["graphs"] == pytest.approx(100 * 2 / 30)
    assert derived["triton_overhead_ms"]["8"] == pytest.approx(100)


def test_ways_take_turns() -> None:
    order: list[str] = []
    ways = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    assert set(median_seconds(ways, 2)) == {"a", "b"}
    assert order == ["a", "b"] * 3  # the first time to warm up


def test_picture(tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    grouped_bars(path, ("Title", "below it"), ["a", "b"], {"one": [0.5, None], "two": [0.0, 3.2]}, "s")
    with Image.open(path) as image:
        assert image.size == (1280, 720) and len(image.convert("RGB").getcolors(1 << 20) or []) > 4


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.stage1", "--checkpoint", "none", "--concepts", "1,2", "--repeat", "1"]
    files = ["--json", str(tmp_path / "figures.json"), "--png", str(tmp_path / "chart.png")]
    run = subprocess.run([*command, *files], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["seconds"]) == {"graphs"} and figures["seconds"]["graphs"]["2"] > 0 and "marginal_share" in figures
    wrong = subprocess.run([*command[:-4], "--concepts", "one"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and "--concepts 'one'" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.server
def test_the_same_graphs_in_triton(tmp_path: Path) -> None:
    """Through the embedded server, and what is said where no server answers."""
    command = [sys.executable, "-m", "benchmarks.stage1", "--checkpoint", "none", "--concepts", "1,3", "--repeat", "1"]
    files = ["--json", str(tmp_path / "figures.json"), "--png", str(tmp_path / "chart.png")]
    run = subprocess.run([*command, *files, "--embedded"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["seconds"]) == {"graphs", "triton"} and set(figures["triton_overhead_ms"]) == {"1", "3"}
    assert "Triton adds" in run.stdout
    away = subprocess.run([*command, "--triton-url", "127.0.0.1:9"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert away.returncode == 1 and "the Triton server at 127.0.0.1:9 does not answer" in away.stderr and "Traceback" not in away.stderr
