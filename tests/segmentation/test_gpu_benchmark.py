"""The benchmark for GPUs without a server, on the CPU and the demo model: every way runs, and the modules answer as transformers does."""

import json
import subprocess
import sys
from pathlib import Path

from tests.segmentation.conftest import PROJECT

COMMAND = [sys.executable, "-m", "benchmarks.gpu", "--checkpoint", "demo"]


def test_every_way_is_measured_and_both_attentions_agree_with_transformers(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    some = ["--device", "cpu", "--concepts", "1,2", "--repeat", "1", "--json", str(file)]
    run = subprocess.run([*COMMAND, *some], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    report = json.loads(file.read_text())
    modules = {"modules, torch attention", "modules, explicit attention"}
    assert set(report["seconds"]) == {"reencode", "reuse", *modules}
    assert all(value > 0 for values in report["seconds"].values() for value in values.values())
    assert set(report["seconds"]["reuse"]) == {"0", "1", "2"}
    for like in report["cosine_to_fp32"].values():  # of the region's levels, some of which are rounded the other way
        assert all(value > (0.999 if name == "region" else 0.99999) for name, value in like.items())


def test_a_wrong_option_is_said_in_one_line() -> None:
    run = subprocess.run([*COMMAND, "--device", "tpu"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "'tpu' is neither cuda nor cpu" in run.stderr and "Traceback" not in run.stderr
