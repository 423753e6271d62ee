"""The orchestrator needs none of the libraries that Triton's Python models work with: they are blocked here, and it works all the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.cli.app import command_names

BLOCKED = ("cv2", "numba", "onnxruntime", "tokenizers", "jinja2", "torch")
# A module that is None in sys.modules cannot be imported.
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
from orchestrator.cli.app import main
sys.argv = ["respray", *sys.argv[1:]]
main()
"""
# Each command of its arguments, asked for help.
HELP = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
from orchestrator.cli.app import main
for name in sys.argv[1:]:
    sys.argv = ["respray", name, "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, name
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def test_every_command_can_be_asked_for_help(tmp_path: Path) -> None:
    """In one process: what is blocked stays so for each of them."""
    names = [name for name in command_names() if name != "bench"]
    done = subprocess.run([sys.executable, "-c", HELP, *names], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"Usage: respray (\w+)", done.stdout) == names


@pytest.mark.parametrize(
    "arguments",
    [("palette",), ("presets",), ("weights", "list"), ("plan", "--images-per-day", "9"), ("build", "--target", "tensorrt", "--out", "r")],
)
def test_commands_about_data_work(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_job_is_done_against_a_triton_server(triton_url: str, tmp_path: Path) -> None:
    photo = tmp_path / "store" / "inputs" / "u" / "thin" / "0.jpg"
    photo.parent.mkdir(parents=True)
    Image.new("RGB", (64, 48), (180, 170, 160)).save(photo)
    item = {"idx": 0, "input_key": "inputs/u/thin/0.jpg", "output_key": "outputs/u/thin/0.png"}
    job = {"job_id": "thin", "user_id": "u", "concepts": {"wall": {"action": "recolor", "value": "oak_a"}}, "items": [item]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = run("run", "job.json", "--store", "store", "--triton-url", triton_url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store/outputs/u/thin/0.png").is_file()


def test_importing_every_module_needs_no_array_library_but_the_clients(tmp_path: Path) -> None:
    """Of our own and of the contract; NumPy comes with tritonclient only."""
    code = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({(*BLOCKED, "numpy")!r}))
import orchestrator.jobs, respray.contract, respray.catalog
for package in (orchestrator.jobs, respray.contract, respray.catalog):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.ispkg:
            importlib.import_module(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
