"""The wheel alone: built from the tree, installed in an empty environment in another folder, with no checkout beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
IN_TREE = ("orchestrator", "respray", "model_repository", "pyproject.toml", "README.md", "LICENSE")
Respray = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree: setuptools would leave a build folder beside the sources."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in IN_TREE:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", out, tree], check=True)
    return next(out.glob("respray-*.whl"))


@pytest.fixture(scope="module")
def respray(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Respray:
    """Runs the installed command in a folder of its own. Dependencies come from this environment, the package does not."""
    home = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    python = home / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, wheel], check=True)
    site = next((home / "venv" / "lib").glob("python*/site-packages"))
    # A path in a .pth file brings packages along, but no .pth files of its own: the editable install there stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "RESPRAY"))}
    _take_over_compiled_loops(site)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(home / "venv" / "bin" / "respray"), *arguments]
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=240)

    run.home = home  # type: ignore[attr-defined]
    return run


def _take_over_compiled_loops(site: Path) -> None:
    """Bring what Numba has compiled of the same sources here, which takes half a minute. Its cache knows a file by time and size."""
    for compiled in (PROJECT / "respray").rglob("__pycache__/*.nb[ci]"):
        target = site / compiled.relative_to(PROJECT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(compiled, target)
    for source in (PROJECT / "respray" / "editing").rglob("*.py"):
        changed = source.stat().st_mtime_ns
        os.utime(site / source.relative_to(PROJECT), ns=(changed, changed))


def test_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"orchestrator", "respray"}
    for needed in ("model_repository/pipeline_bls/1/model.py", "weights/demo/graphs/spec.json", "catalog/presets/interior.yaml"):
        assert f"respray/{needed}" in names


def test_installed_package_runs_jobs_with_the_embedded_server(respray: Respray) -> None:
    demo = respray("demo", "--out", "demo")
    assert demo.returncode == 0, demo.stderr
    assert "6 of 6 photos edited, 6 signed callbacks received" in demo.stderr


def test_installed_package_builds_a_repository(respray: Respray) -> None:
    built = respray("build", "--target", "onnxruntime", "--out", "repository")
    assert built.returncode == 0, built.stderr
    home: Path = respray.home  # type: ignore[attr-defined]
    assert (home / "repository" / "pipeline_bls" / "1" / "model.py").is_file()
    assert (home / "repository" / "sam3_image_encoder" / "1" / "sam3_image_encoder.onnx").is_file()


def test_installed_package_examines_its_machine(respray: Respray) -> None:
    checked = respray("doctor", "--json", "--only", "packages", "--only", "model")
    answer = json.loads(checked.stdout)
    assert [check["status"] for check in answer["checks"]] != [], checked.stderr
    packages = next(check for check in answer["checks"] if check["name"] == "packages")
    assert packages["status"] == "PASS", packages


def test_benchmarks_are_the_checkouts(respray: Respray) -> None:
    bench = respray("bench")
    assert bench.returncode == 1 and "checkout" in bench.stderr
