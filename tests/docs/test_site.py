"""The documentation builds without a warning, says what the code says, and names only what exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from orchestrator.cli.app import build_app
from orchestrator.errors import JobError
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.settings import Settings, load_settings, spellings
from tests.orchestrator.support import palette_job
from tools.docs import reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference")
HAND_WRITTEN = [*PAGES, *(path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.exists())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("material", reason="the docs extra is not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([ROOT / "tools" / "docs" / "build.sh", "--site-dir", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_builds_with_warnings_as_errors(site: Path) -> None:
    for page in ("index.html", "troubleshooting/index.html", "reference/jobs/index.html", "architecture/index.html"):
        assert (site / page).is_file()
    assert (site / "search" / "search_index.json").is_file()


def test_job_reference_has_every_field_and_rule(site: Path) -> None:
    from orchestrator.jobs import messages
    from orchestrator.jobs.rules import RULE_NAMES

    text = (ROOT / "docs" / "reference" / "jobs.md").read_text()
    for model in (messages.PaletteMessage, messages.PaletteItem, messages.RuleMessage, messages.RuleEntry, messages.JobOptions):
        for name, field in model.model_fields.items():
            assert f"| `{field.alias or name}` |" in text
    for rule in RULE_NAMES:
        assert f"\n### {rule}\n" in text
    for other in (messages.RuleFields, messages.RuleItem):
        assert f"\n{reference._doc(other)}" in text


def test_job_reference_names_what_a_message_takes_and_nothing_else() -> None:
    """A request has a texture's attachment by number; a message has its key."""
    text = (ROOT / "docs" / "reference" / "jobs.md").read_text().split("\n## Rules\n")[1]
    catalog = load_catalog()
    for section in text.split("\n### ")[1:]:
        rule = section.split("\n")[0]
        for name in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE):
            message = palette_job(count=1, concepts={"Wall": {"action": rule, "value": {name: None}}})
            try:
                parse_job(message, catalog)
            except JobError as error:
                assert "does not know" not in str(error), (rule, name)


def test_every_setting_is_in_the_reference_and_in_the_example(site: Path) -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for field in Settings.model_fields.values():
        first, *others = spellings(field)
        for name in (first, *others):
            assert f"`{name}`" in page and re.search(rf"\b{name}\b", example), name
    unknown = set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE)) - {
        name for field in Settings.model_fields.values() for name in spellings(field)
    }
    assert not unknown, f".env.example names {unknown}, which no setting reads"


def test_example_with_its_defaults_means_the_defaults(tmp_path: Path) -> None:
    """Uncommenting every line changes nothing."""
    lines = []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if match := re.match(r"#?([A-Z0-9_]+=[^#]*)", line):
            lines.append(match.group(1).strip())
    (tmp_path / ".env").write_text("\n".join(lines))
    assert load_settings({}, env_file=tmp_path / ".env") == load_settings({}, env_file=None)


def test_every_command_that_the_pages_show_exists() -> None:
    app = typer.main.get_command(build_app())
    for path in HAND_WRITTEN:
        for line in re.findall(r"^\s*(?:\.venv/bin/)?(respray [a-z].*)$", path.read_text(), re.MULTILINE):
            words = shlex.split(line.split("#")[0].split("|")[0].split(" 2>")[0])
            command = app
            for word in words[1:]:
                if not isinstance(command, TyperGroup) or word.startswith("-"):
                    break
                child = command.get_command(typer.Context(command), word)
                assert child is not None, f"{path.name}: {line}"
                command = child
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
            for word in words:
                if word.startswith("--"):
                    assert word in known, f"{path.name}: {line}: there is no {word}"


def test_every_file_that_the_pages_name_exists() -> None:
    folders = "benchmarks|deploy|docs|model_repository|models|orchestrator|respray|scripts|tests|tools|training"
    pattern = re.compile(rf"`((?:{folders}|\.github|\.runpod)/[\w./-]+)`")
    # A guide also names what it adds; the log may name what has gone.
    pages = [path for path in PAGES if path.parent.name not in {"guides", "log"}]
    pages += [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/reference/contract.md", ROOT / "docs/reference/grpc.md"]
    missing = [f"{path.name}: {name}" for path in pages for name in pattern.findall(path.read_text()) if not (ROOT / name).exists()]
    assert missing == []


def test_generator_describes_constraints_in_words() -> None:
    page = reference.settings()
    assert "| `BATCH_CONCURRENCY` |  | whole number, 1 to 64 | `4` |" in page
    assert "| `STORAGE_SECRET_KEY` | `R2_SECRET_ACCESS_KEY`, `MINIO_SECRET_KEY` | secret |  |" in page


def test_troubleshooting_has_what_users_look_for() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    for word in ("403", "Out of memory", "timeout on storage", "Callback failed", "every start", "cuDNN", "Redis", "codecs", "stdout"):
        assert any(word in title for title in titles), word


def test_planning_page_shows_what_was_measured() -> None:
    """The table and the picture come from one run of the simulation."""
    measured = json.loads((ROOT / "docs" / "scale.json").read_text())
    page = (ROOT / "docs" / "planning.md").read_text()
    picture = (ROOT / "docs" / "scale.svg").read_text()
    for run in measured["runs"]:
        assert f"| {run['workers']} | {run['per_second']:.1f} | {run['efficiency']:.0%} | {run['redis_commands_per_image']:.1f} |" in page
        assert f">{run['per_second']:g}<" in picture
