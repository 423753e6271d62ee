"""The files of the project's habits are what their readers (GitHub, pre-commit) accept, and each refuses what it is there to refuse."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
BIN = Path(sys.executable).parent
GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]


def _run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def _schema(builtin: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return _run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", builtin, *files)


@pytest.mark.parametrize(
    ("builtin", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.github-issue-forms", [GITHUB / "ISSUE_TEMPLATE" / "bug.yml", GITHUB / "ISSUE_TEMPLATE" / "idea.yml"]),
    ],
)
def test_github_s_files_follow_their_schemas(builtin: str, files: list[Path]) -> None:
    done = _schema(builtin, *files)
    assert done.returncode == 0, done.stdout


def test_a_dependabot_file_that_is_wrong_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "dependabot.yml"
    wrong.write_text((GITHUB / "dependabot.yml").read_text().replace("interval: weekly", "interval: sometimes"))
    assert _schema("vendor.dependabot", wrong).returncode != 0


def test_dependabot_watches_every_folder_with_something_to_update() -> None:
    watched: dict[str, set[str]] = {}
    for update in yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]:
        watched.setdefault(update["package-ecosystem"], set()).update(update.get("directories", [update.get("directory")]))
    tracked = [Path("/", name) for name in _run("git", "ls-files").stdout.splitlines()]
    manifests = {"Dockerfile": "docker", "package.json": "npm", "pyproject.toml": "pip", "compose.yaml": "docker-compose"}
    for name, ecosystem in manifests.items():
        assert {str(path.parent) for path in tracked if path.name == name} == watched[ecosystem], ecosystem
    assert "github-actions" in watched


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits_with_their_version_beside_them(path: Path) -> None:
    for line in path.read_text().splitlines():
        if (used := re.search(r"uses: (\S+)(.*)", line)) and not used[1].startswith("./"):
            assert re.search(r"@[0-9a-f]{40}$", used[1]) and re.fullmatch(r" # v\d+\.\d+\.\d+", used[2]), line


def test_one_action_has_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for action, rest in re.findall(r"uses: ([\w/-]+)@(.*)", "".join(path.read_text() for path in WORKFLOWS)):
        pins.setdefault(action, set()).add(rest)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_workflows_run_scripts_and_workflows_that_exist() -> None:
    text = "".join(path.read_text() for path in WORKFLOWS)
    for script in re.findall(r"run: (\.?\w+/\S+)", text):
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not there or cannot be run"
    for workflow in re.findall(r"uses: \./(\S+)", text):
        assert (ROOT / workflow).is_file()


@pytest.mark.parametrize(
    ("tag", "version", "passes"),
    [("v1.2.3", "1.2.3", True), ("v1.2.4", "1.2.3", False), ("1.2.3", "1.2.3", False), ("v1.2.3.dev0", "1.2.3.dev0", False)],
)
def test_only_the_tag_of_pyproject_s_version_is_released(tmp_path: Path, tag: str, version: str, passes: bool) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "version").write_text((ROOT / ".ci" / "version").read_text())
    text = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(re.sub(r'^version = ".*"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE))
    done = _run("bash", ".ci/version", tag, cwd=tmp_path)
    assert (done.returncode == 0) == passes, done.stderr
    assert passes or version in done.stderr


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small git repository with one commit: a text, and weights from before there was a limit."""
    _run("git", "init", "--quiet", "--initial-branch=main", cwd=tmp_path)
    (tmp_path / "notes.txt").write_text("small\n")
    (tmp_path / "model.bin").write_bytes(bytes(600 * 1024))
    _commit(tmp_path)
    return tmp_path


def _commit(clone: Path) -> None:
    _run(*GIT, "add", "--all", cwd=clone)
    done = _run(*GIT, "commit", "--quiet", "--no-verify", "--message", "a step", cwd=clone)
    assert done.returncode == 0, done.stderr


def test_ci_refuses_a_large_file_also_one_that_replaces_an_older_or_is_taken_back(clone: Path) -> None:
    (clone / "notes.txt").write_text("still small\n")
    _commit(clone)
    assert _run(ROOT / ".ci" / "sizes", "HEAD~1", cwd=clone).returncode == 0
    (clone / "model.bin").write_bytes(b"1" * 600 * 1024)
    _commit(clone)
    _run("git", "rm", "--quiet", "model.bin", cwd=clone)
    _commit(clone)
    done = _run(ROOT / ".ci" / "sizes", "HEAD~3", cwd=clone)
    assert done.returncode != 0 and "model.bin has 600 kB" in done.stderr


def test_pre_commit_runs_and_refuses_a_large_file(clone: Path) -> None:
    """The real pre-commit with the real configuration, in a repository where only the limit has something to look at."""
    (clone / ".pre-commit-config.yaml").write_text((ROOT / ".pre-commit-config.yaml").read_text())
    (clone / ".venv").mkdir()
    (clone / ".venv" / "bin").symlink_to(BIN)
    (clone / ".gitignore").write_text(".venv\n")
    (clone / "notes.txt").write_text("still small\n")
    _run(*GIT, "add", "--all", cwd=clone)
    done = _run(BIN / "pre-commit", "run", "check-added-large-files", cwd=clone)
    assert done.returncode == 0 and "Passed" in done.stdout, done.stdout + done.stderr
    (clone / "model.bin").write_bytes(b"1" * 600 * 1024)
    _run(*GIT, "add", "--all", cwd=clone)
    done = _run(BIN / "pre-commit", "run", "check-added-large-files", cwd=clone)
    assert done.returncode != 0 and "model.bin (600 KB) exceeds 500 KB" in done.stdout, done.stdout + done.stderr


def test_pre_commit_has_the_linters_of_make_and_the_limit_of_ci() -> None:
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]}
    recipes = re.findall(r"^(?:lint|types|imports):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    programs = set(re.findall(r"\$\(BIN\)/([\w-]+)", "".join(recipes)))
    assert {"ruff", "mypy"} <= programs <= {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks.values()}
    (limit,) = re.findall(r"max_kb=(\d+)", (ROOT / ".ci" / "sizes").read_text())
    assert f"--maxkb={limit} --enforce-all" in hooks["check-added-large-files"]["entry"]


def test_shell_scripts_pass_shellcheck() -> None:
    scripts = [ROOT / name for name in _run("git", "ls-files", "*.sh", ".ci/*").stdout.splitlines()]
    done = _run(BIN / "shellcheck", *scripts)
    assert len(scripts) > 10 and done.returncode == 0, done.stdout
