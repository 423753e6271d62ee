"""Checks 5 to 7 of the doctor in both directions, with environments that are really broken; the report and the shell script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from respray.doctor import FAIL, PASS, WARN, Finding, Situation, examine, model_files, packages, python_environment
from respray.doctor.report import as_json, as_text, exit_code
from respray.doctor.situation import with_dotenv
from respray.weights.manifest import describe
from respray.weights.model_presets import PRESETS_FILE

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "check_runpod_environment.sh"


@pytest.fixture(scope="session")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment in which nothing is installed, not even pip."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def _doctor(python: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(REPOSITORY), **environment}
    command = [str(python), "-m", "respray.doctor", *arguments]
    return subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, check=False)


def test_python_of_this_environment_passes() -> None:
    assert [finding.status for finding in python_environment.run(Situation({}))] == [PASS, PASS]


def test_python_that_is_too_old_fails_and_does_not_end_in_a_traceback() -> None:
    old = [Path(found) for found in map(shutil.which, ("python3.8", "python3.9", "python3.10")) if found]
    versions = Path.home() / ".pyenv" / "versions"
    old += [folder / "bin" / "python" for folder in sorted(versions.glob("3.[89].*")) + sorted(versions.glob("3.10.*"))]
    usable = [python for python in old if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0]
    if not usable:
        pytest.skip("no Python 3.8 to 3.10 on this machine")
    done = _doctor(usable[0], "--json")
    assert done.returncode == 1 and done.stderr == ""
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["python"]["status"] == FAIL and "needs 3.11 to 3.13" in checks["python"]["findings"][0]["what"]
    assert "check broke" not in done.stdout


def test_virtual_environment_whose_python_is_gone_fails(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "upgraded-away")
    finding = python_environment.run(Situation({}, repository=tmp_path))[1]
    assert finding.status == FAIL and "does not exist" in finding.what and "rm -rf .venv" in finding.fix


def test_packages_of_this_environment_pass_with_their_versions() -> None:
    (finding, *_) = packages.run(Situation({}))
    assert finding.status == PASS and "boto3 " in finding.what and "pydantic " in finding.what


def test_nothing_installed_is_a_list_of_commands(empty_environment: Path) -> None:
    done = _doctor(empty_environment, "--only", "packages", "--json")
    (check,) = json.loads(done.stdout)["checks"]
    assert done.returncode == 1 and check["status"] == FAIL
    assert "packaging" in check["findings"][0]["what"] or "boto3 is not installed" in check["findings"][0]["what"]
    every = _doctor(empty_environment)
    assert every.returncode == 1 and every.stderr == "" and "check broke" not in every.stdout and "[8/8]" in every.stdout


def test_wrong_version_and_missing_intake_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "pydantic-1.10.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: pydantic\nVersion: 1.10.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    wrong = [finding for finding in packages.run(Situation({})) if finding.status == FAIL]
    assert [finding.what for finding in wrong] == ["pydantic 1.10.0 is installed, <3,>=2.11 is needed"]
    assert wrong[0].fix.endswith("-m pip install 'pydantic<3,>=2.11'")
    assert packages.wanted_extras(Situation({"ADAPTER": "BullMQ", "TRITON_URL": "triton:8001"})) == ["intake"]


def _sam3(root: Path, graphs: bool = True) -> Path:
    """A folder such as a download leaves it: from a private bucket with graphs, from the hub without."""
    folder = root / "sam3"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "model.safetensors").write_bytes(bytes(range(256)) * 64)
    (folder / "checkpoint" / "config.json").write_text("{}")
    if graphs:
        (folder / "graphs").mkdir()
        (folder / "graphs" / "spec.json").write_text("{}")
    describe(folder, "sam3", "test").write(folder)
    return folder


def _model(root: Path, **environment: str) -> list[Finding]:
    return model_files.run(Situation({"MODEL_NAME": "sam3", "MODEL_PATH": str(root), **environment}))


def test_complete_model_passes_and_is_named(tmp_path: Path) -> None:
    """And its graphs are asked their probe, unless it is to be quick: the demo's stand in for those of 848M parameters."""
    folder = _sam3(tmp_path, graphs=False)
    shutil.copytree(PRESETS_FILE.parent / "demo" / "graphs", folder / "graphs")
    describe(folder, "sam3", "test").write(folder)
    finding, probed = _model(tmp_path)
    assert finding.status == PASS and finding.what.startswith("sam3 (SAM3, 848M") and "8 files" in finding.what
    assert probed.status == PASS and "answer the probe as PyTorch did" in probed.what
    quick = Situation({"MODEL_NAME": "sam3", "MODEL_PATH": str(tmp_path)}, full_checksums=False)
    assert [finding.status for finding in model_files.run(quick)] == [PASS]


def test_weights_that_were_never_exported_are_not_ready(tmp_path: Path) -> None:
    """What the hub has is whole and cannot be served. Where Triton is another machine's, it is a warning."""
    folder = _sam3(tmp_path, graphs=False)
    whole, missing = _model(tmp_path)
    assert (whole.status, missing.status) == (PASS, FAIL) and "never exported" in missing.what
    options = f"--checkpoint {folder}/checkpoint --precision fp16 --attention ort --out {folder}/graphs"
    assert f"python -m respray.segmentation.export {options}" in missing.fix
    assert [finding.status for finding in _model(tmp_path, TRITON_URL="127.0.0.1:8001")] == [PASS, WARN]


def test_one_flipped_byte_a_short_file_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    weights = _sam3(tmp_path) / "checkpoint" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    assert "wrong SHA-256: it is damaged" in _model(tmp_path)[0].what
    weights.write_bytes(content[:-1])
    assert f"has {len(content) - 1} bytes, {len(content)} are right" in _model(tmp_path)[0].what
    weights.unlink()
    (finding, *_) = _model(tmp_path)
    assert finding.status == FAIL and "model.safetensors is missing" in finding.what and "respray weights fetch" in finding.fix


def test_interrupted_download_other_model_and_no_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "_ROOM_GB", 0)  # however full this machine's disk is
    (tmp_path / "sam3").mkdir()
    assert "never completed" in _model(tmp_path)[0].what
    shutil.rmtree(tmp_path / "sam3")
    _sam3(tmp_path)
    (tmp_path / "sam3").rename(tmp_path / "sam3-litetext")
    assert "describes 'sam3'" in model_files.run(Situation({"MODEL_NAME": "sam3-litetext", "MODEL_PATH": str(tmp_path)}))[0].what
    unmounted = _model(tmp_path / "nowhere")
    assert unmounted[0].status == FAIL and any("no volume is mounted" in finding.what for finding in unmounted)
    assert "it has demo, sam3, sam3-litetext" in model_files.run(Situation({"MODEL_NAME": "sam4"}))[0].what
    monkeypatch.setattr(model_files, "_ROOM_GB", 10**9)
    assert any("needs 1000000000 GB" in finding.what and finding.status == FAIL for finding in _model(tmp_path / "nowhere"))


def test_demo_is_refused_where_the_real_model_is_required() -> None:
    def findings(environment: dict[str, str]) -> list[Finding]:
        return model_files.run(Situation({"MODEL_NAME": "demo", **environment}, full_checksums=False))

    for environment in ({"ADAPTER": "bullmq"}, {"REQUIRE_REAL_MODEL": "true"}):
        finding = findings(environment)[0]
        assert finding.status == FAIL and "https://huggingface.co/facebook/sam3" in finding.what
    for environment in ({}, {"ADAPTER": "local"}, {"ADAPTER": "bullmq", "REQUIRE_REAL_MODEL": "false"}):
        assert not any("is a small demo" in finding.what for finding in findings(environment))


def test_report_has_eight_checks_in_both_forms_and_an_exit_code() -> None:
    results = examine(Situation({}))
    assert [result.number for result in results] == list(range(1, 9))
    document = json.loads(as_json(results))
    assert [check["title"] in as_text(results) for check in document["checks"]] == [True] * 8
    assert exit_code(results) == int(document["status"] == FAIL)
    with pytest.raises(ValueError, match=r"there is no check disk; the checks are gpu, cuda, cudnn"):
        examine(Situation({}), ("disk",))


def test_check_that_breaks_is_reported_and_the_others_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "run", lambda situation: 1 / 0)
    results = examine(Situation({}), ("packages", "python"))
    assert [result.status for result in results] == [PASS, FAIL] and "ZeroDivisionError" in results[1].findings[0].what


def test_failure_without_a_fix_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="fails without a fix"):
        Finding(FAIL, "broken")
    assert Finding(WARN, "odd").fix == ""


def test_dotenv_completes_the_environment_and_does_not_override_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# comment\nexport ADAPTER='celery'\nREDIS_URL=redis://from-file\n")
    merged = with_dotenv({"REDIS_URL": "redis://from-environment"}, tmp_path / ".env")
    assert merged == {"ADAPTER": "celery", "REDIS_URL": "redis://from-environment"}


def test_script_runs_before_anything_is_installed(tmp_path: Path, empty_environment: Path) -> None:
    """A copy of the repository without its environment, on a PATH whose only Python has no packages."""
    for package in ("respray",):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    script = [str(tools / "bash"), str(tmp_path / "scripts" / SCRIPT.name)]

    def run(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*script, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False)

    done = run(path=f"{empty_environment.parent}:{tools}")
    assert done.returncode == 1 and done.stdout.count("/8]") == 8 and done.stderr == ""
    bare = run(path=str(tools))
    assert bare.returncode == 1 and "apt-get install -y python3" in bare.stdout
    assert json.loads(run("--json", path=str(tools)).stdout)["status"] == FAIL


def test_script_passes_its_flags_on() -> None:
    done = subprocess.run([SCRIPT, "--json", "--only", "python"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["checks"][0]["name"] == "python"
    assert subprocess.run([sys.executable, "-m", "respray.doctor", "--gpu", "maybe"], capture_output=True, check=False).returncode == 2
