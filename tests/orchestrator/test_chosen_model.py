"""A MODEL_NAME that is not set means the same model to all that fetch, check and serve one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cli import weights
from orchestrator.errors import SettingsError
from orchestrator.settings import load_settings
from respray.doctor import FAIL, PASS, WARN, Situation, model_files
from respray.launch import preparation
from respray.launch.chosen_model import check_model, find_graphs
from respray.triton.repository.targets import target
from tests.faults.processes import PROJECT


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ({}, "sam3"),
        ({"ADAPTER": "bullmq"}, "sam3"),
        ({"ADAPTER": "local"}, "demo"),
        ({"ADAPTER": "local", "REQUIRE_REAL_MODEL": "true"}, "sam3"),
        ({"REQUIRE_REAL_MODEL": "false"}, "demo"),
    ],
)
def test_fetched_checked_and_served_are_one_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], model: str
) -> None:
    environment = given | {"MODEL_PATH": str(tmp_path)}
    for name in ("ADAPTER", "REQUIRE_REAL_MODEL", "MODEL_NAME", "MODEL_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preparation, "run_step", lambda *arguments, **extra: None)  # the download, and the export after it
    settings = load_settings(environment, env_file=None)
    assert weights._chosen(None)[1].name == model
    assert preparation.prepare_graphs(environment, target("onnxruntime"))[0].name == model
    check_model(settings)
    if model == "demo":
        assert find_graphs(settings) == PROJECT / "respray/weights/demo/graphs"
    else:
        with pytest.raises(SettingsError, match=re.escape(f"MODEL_NAME=sam3 in {tmp_path}/sam3/graphs")):
            find_graphs(settings)
    if given:
        found = model_files.run(Situation(environment))
        assert [f.what.split()[0].rstrip(":") for f in found if f.what.startswith(("demo", "sam3"))] == [model]
        assert found[0].status == (PASS if model == "demo" else FAIL)


def test_the_doctor_says_that_a_worker_without_an_intake_refuses_the_demo() -> None:
    """Nothing set up yet is no failure: `respray run` works."""
    for environment in ({}, {"MODEL_NAME": "demo"}):
        warning, demo, *_ = model_files.run(Situation(environment, full_checksums=False))
        assert (warning.status, demo.status) == (WARN, PASS) and "`respray work` means ADAPTER=runpod and refuses it" in warning.what
    assert "ADAPTER: input should be" in model_files.run(Situation({"ADAPTER": "sqs"}))[0].what
