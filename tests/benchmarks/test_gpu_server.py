"""The GPU benchmark on a CPU with the demo model: every step runs, the graphs answer the probe, and a step that fails costs only itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmarks.gpu_server.__main__ as main
from benchmarks.gpu_server.plan import Plan
from benchmarks.gpu_server.steps import Running, Step

PROJECT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.gpu_server", "--device", "cpu"]


def measured(folder: Path, *options: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """The report of a run."""
    # One thread: several that wait for each other on a busy machine cost more than they bring.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RESPRAY_THREADS": "1"}
    command = [*COMMAND, "--out", str(folder), *options]
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    return json.loads((folder / "report.json").read_text()), run


@pytest.mark.slow
def test_graphs_and_server_are_measured_and_answer_as_pytorch_does(tmp_path: Path) -> None:
    report, run = measured(tmp_path, "--steps", "machine,runtime,served,kernels,recorded")
    steps = report["steps"]
    assert run.returncode == 0, run.stderr
    assert {entry["status"] for entry in steps.values()} == {"done"} and report["seconds"] > 0
    figures = {name: entry["figures"] for name, entry in steps.items()}
    assert figures["machine"]["packages"]["onnxruntime"]
    runtime = figures["runtime"]
    assert runtime["parity"]["problems"] == [] and runtime["parity"]["cosine"] > 0.999
    ways = {"image pass, 1 photos", "image pass, 2 photos", "1 photo, 1 concepts", "1 photo, 2 concepts", "2 photos, 2 concepts"}
    assert set(runtime["milliseconds"]) == ways and all(value > 0 for value in runtime["milliseconds"].values())
    assert runtime["placement"]["decoder"]["nodes"]["CPUExecutionProvider"] > 100
    assert {"image pass", "1 concepts, decoder", "2 concepts, decoder"} <= set(figures["recorded"])
    assert all(entry["relative_error"] == 0 for name, entry in figures["recorded"].items() if name != "cpu_seconds")
    assert figures["kernels"]["sam3_image_encoder"]["kernels"][0]["milliseconds"] > 0
    served = figures["served"]
    assert "mask iou 1.0000" in served["probe"] and served["job"]["seconds"] > 0
    level = served["levels"][0]
    assert level["photos_per_second"] > 0 and {"decode", "segment", "matte", "apply", "encode"} <= set(level["stages_ms"])
    assert "photos/s" in run.stdout


@pytest.mark.slow
def test_pytorch_is_measured_beside_it_and_both_attentions_agree_with_transformers(tmp_path: Path) -> None:
    report, run = measured(tmp_path, "--steps", "torch_modules,torch_fp8")
    assert run.returncode == 0, run.stderr
    figures = report["steps"]["torch_modules"]["figures"]
    modules = {"modules, torch attention", "modules, explicit attention"}
    assert set(figures["seconds"]) == {"reencode", "reuse", *modules}
    assert all(value > 0 for values in figures["seconds"].values() for value in values.values())
    assert set(figures["seconds"]["reuse"]) == {"0", "1", "2"}
    for like in figures["cosine_to_fp32"].values():  # of the region's levels, some of which are rounded the other way
        assert all(value > (0.999 if name == "region" else 0.99999) for name, value in like.items())
    fp8 = report["steps"]["torch_fp8"]["figures"]
    assert fp8["linear_layers"] == 40 and min(fp8["cosine"]) > 0.99 and fp8["milliseconds"]["fp8"] > 0


def test_a_step_that_fails_is_said_and_the_next_one_goes_on(tmp_path: Path) -> None:
    report, run = measured(tmp_path, "--graphs", str(tmp_path / "nothing"), "--steps", "machine,runtime")
    assert run.returncode == 1 and report["steps"]["machine"]["status"] == "done"
    failed = report["steps"]["runtime"]
    assert failed["status"] == "failed" and "spec.json" in failed["error"] and failed["log"]


def test_without_an_export_the_demos_graphs_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU whose PyTorch cannot export: the export's time is over at once."""
    monkeypatch.setattr(main, "EXPORT", Step("export", most=0.0, graphs=False))
    plan = Plan("cpu", "random", tmp_path / "graphs", tmp_path).small()
    report = main.Report(tmp_path / "report.json", plan, 600)
    main.run_all([Step("kernels", most=60)], plan, report, made=True)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["steps"]["export"]["status"] == "ended" and "the demo's graphs" in content["fallback"]
    assert content["steps"]["kernels"]["status"] == "done"


def test_what_no_longer_fits_the_budget_is_left_out(tmp_path: Path) -> None:
    report, run = measured(tmp_path, "--budget-s", "5", "--steps", "runtime,kernels")
    assert run.returncode == 0 and {entry["status"] for entry in report["steps"].values()} == {"skipped"}
    assert "of the budget were left" in report["steps"]["kernels"]["error"]


def test_a_step_that_hangs_is_ended_and_keeps_what_it_has(tmp_path: Path) -> None:
    running = Running(Step("machine", most=60), Plan("cpu", "demo", tmp_path, tmp_path))
    entry = running.finish(0.0)
    assert entry["status"] == "ended" and "not done after" in entry["error"] and running.process.poll() is not None


def test_a_wrong_option_is_said_in_one_line(tmp_path: Path) -> None:
    for options, words in ((["--device", "tpu"], "'tpu' is none of"), (["--steps", "runtime,dance"], "knows no dance; there is: machine")):
        run = subprocess.run([*COMMAND, "--out", str(tmp_path), *options], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert run.returncode == 1 and words in run.stderr and "Traceback" not in run.stderr
