"""The command line as a user meets it: help, exit codes, one sentence per mistake, events only on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.app import load_command
from orchestrator.errors import SettingsError
from orchestrator.intake.arguments import OPTIONS, refuse_unread
from orchestrator.settings import load_settings
from respray.launch.container import check_settings
from tests import commands
from tests.orchestrator.support import palette_job, put_photos

RESPRAY = str(Path(sys.executable).parent / "respray")
CLEAN = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")}


def respray(
    *arguments: str, folder: Path, environment: dict[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RESPRAY, *arguments],
        cwd=folder,
        env=CLEAN | (environment or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "command", [(), ("run",), ("work",), ("serve",), ("palette",), ("presets",), ("callbacks",), ("callbacks", "retry")]
)
def test_help_everywhere(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = commands.respray(*command, "--help", cwd=tmp_path, environment=CLEAN)
    assert done.returncode == 0 and "Usage: respray" in done.stdout


def test_a_command_that_there_is_not_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    done = commands.respray("edti", "x.jpg", cwd=tmp_path, environment=CLEAN)
    assert done.returncode == 2 and "unknown command 'edti' (did you mean 'edit'?); there are: api, bench, build, " in done.stderr
    done = commands.respray("--version", cwd=tmp_path, environment=CLEAN)
    assert done.returncode == 0 and done.stdout.startswith("respray 0.")


def test_top_looks_where_a_worker_answers() -> None:
    top = load_command("top")
    (worker,) = (parameter for parameter in top.params if parameter.name == "worker")
    assert worker.default == f"http://127.0.0.1:{load_settings({}, None).health_port}"


def test_palette_and_presets_list_what_jobs_can_name(tmp_path: Path) -> None:
    assert "oak_a" in commands.respray("palette", cwd=tmp_path, environment=CLEAN).stdout
    shown = commands.respray("presets", cwd=tmp_path, environment=CLEAN).stdout
    assert re.search(r"^Wall +walls, accent wall, feature wall, wall paint +wall +surface", shown, re.M), "a pipe gets whole rows"
    assert "interior" in shown and "seller" in shown and "couch" in shown


@pytest.mark.server
def test_one_job_with_a_good_and_a_bad_photo(tmp_path: Path, triton_url: str) -> None:
    put_photos(tmp_path / "store", "job_1", 2)
    (tmp_path / "store/inputs/u_abc/job_1/1.jpg").write_bytes(b"no photo")
    message = json.dumps(palette_job(count=2))
    done = respray("run", "-", "--store", "store", "--triton-url", triton_url, folder=tmp_path, stdin=message)
    assert done.returncode == 1, done.stderr
    assert [e["status"] for e in events(done) if e["event"] == "item"] in (["completed", "failed"], ["failed", "completed"])
    put_photos(tmp_path / "store", "job_1", 2)
    again = respray("run", "-", "--store", "store", "--triton-url", triton_url, folder=tmp_path, stdin=message)
    assert again.returncode == 0, again.stdout
    assert events(again)[0] == {"event": "connection", "status": "connected"}
    assert next(e for e in events(again) if e["event"] == "finish")["completed"] == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (("run", "none.json", "--store", "."), {}, "the job file none.json cannot be read"),
        (("run", "-", "--store", "nowhere"), {}, "does not exist; create it"),
        (("run", "-", "--store", "taken"), {}, "taken is no folder; give one, or s3://BUCKET"),
        (("demo", "--out", "taken"), {}, "the demo cannot be written to taken: Not a directory; give an empty or new folder with --out"),
        (("demo", "--out", "taken/x"), {}, "the demo cannot be written to taken/x: Not a directory"),
        (("build", "--target", "embedded", "--out", "taken"), {}, "could not be written to taken: Not a directory; give a folder"),
        (("bench", "flow", "--help"), {}, "they are part of the repository; run this in a checkout of it"),
        (("run", "-", "--store", "ftp://x"), {}, "is no store; accepted is a folder, or s3://BUCKET"),
        (
            ("run", "-"),
            {},
            "missing settings for ADAPTER=local: STORAGE_S3_ENDPOINT (or R2_ACCOUNT_ID, or MINIO_ENDPOINT), STORAGE_ACCESS_KEY",
        ),
        (
            ("run", "-"),
            {},
            "set them in the environment or in .env, or name a folder in place of a bucket: --store FOLDER",
        ),
        (
            ("run", "-", "--store", "."),
            {"STORAGE_BUCKET": "a", "MINIO_BUCKET": "b"},
            "STORAGE_BUCKET and MINIO_BUCKET are the same setting",
        ),
        (("run", "-", "--store", "."), {"LOG_LEVEL": "loud"}, "LOG_LEVEL: "),
        (("work",), {"STORAGE_BUCKET": "a"}, "missing settings for ADAPTER=runpod: STORAGE_S3_ENDPOINT"),
        (("work", "--adapter", "sqs"), {}, "ADAPTER: input should be 'runpod'"),
        (("work", "--adaptor", "local"), {}, "unknown option '--adaptor' (did you mean '--adapter'?)"),
        (("work", "--adapter", "bullmq", "--store", "."), {}, "REDIS_URL, QUEUE_NAME, GPU_CALLBACK_SECRET"),
        (
            ("work", "--adapter", "bullmq", "--store", "."),
            {"REDIS_URL": "redis://h", "QUEUE_NAME": "q", "GPU_CALLBACK_SECRET": "not-so-secret", "MODEL_NAME": "demo"},
            "demo model and REQUIRE_REAL_MODEL is on",
        ),
        (("run", "-", "--store", "."), {"GPU_DEVICE": "0"}, "GPU_DEVICE='0' chooses a GPU, and the embedded server works on the CPU here"),
        *(
            (
                ("work", "--adapter", adapter, "--store", "."),
                {"REDIS_URL": url, "QUEUE_NAME": "q", "GPU_CALLBACK_SECRET": "s"},
                "REDIS_URL ",
            )
            for adapter, url in (("celery", "http://h:1"), ("celery", "redis://[::1"), ("bullmq", "redis://h:port"), ("bullmq", "redis://"))
        ),
        (("callbacks", "retry", "--store", "."), {}, "GPU_CALLBACK_SECRET"),
        (("callbacks", "retry", "--store", "nowhere"), {"GPU_CALLBACK_SECRET": "not-so-secret"}, "does not exist; create it"),
        (("serve",), {"MODEL_NAME": "sam4"}, "sam4"),
        (("serve",), {"GPU_DEVICE": "1"}, "GPU_DEVICE='1' chooses a GPU"),
        (
            ("weights", "fetch", "sam3"),
            {"HF_ENDPOINT": "http://127.0.0.1:9", "MODEL_PATH": "models"},
            "facebook/sam3 could not be downloaded",
        ),
    ],
)
def test_every_mistake_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], sentence: str) -> None:
    (tmp_path / "taken").touch()
    done = commands.respray(*arguments, cwd=tmp_path, environment=CLEAN | environment, stdin=json.dumps(palette_job(count=1)))
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] in ("run", "work", "callbacks", "serve"):
        assert [(event["event"], event["status"]) for event in events(done)][-2:] == [("connection", "failed"), ("finish", "failed")]
        assert sentence in events(done)[-1]["error"]


@pytest.mark.parametrize(
    ("adapter", "arguments", "refused"),
    [
        ("bullmq", ["--stroe=s3://b"], r"'--stroe' \(did you mean '--store'\?\)"),
        ("local", ["job.json"], "respray run job.json"),
        ("local", ["--rp_serve_api"], "unknown option"),
        ("runpod", ["--test_input", "{}", "--adaptor", "local"], "'--adaptor'"),
        ("runpod", ["--test_input", "{}", "--rp_api_port=9"], None),
    ],
)
def test_work_refuses_what_its_intake_would_not_read(adapter: str, arguments: list[str], refused: str | None) -> None:
    with pytest.raises(SettingsError, match=refused) if refused else contextlib.nullcontext():
        refuse_unread(arguments, adapter)


def test_the_image_knows_all_options_of_work_and_refuses_others_before_weights_are_fetched() -> None:
    assert [name for option in load_command("work").params for name in option.opts if name != "--help"] == list(OPTIONS)
    with pytest.raises(SettingsError, match="unknown option '--stroe'"):
        check_settings({"REQUIRE_REAL_MODEL": "false"}, ["--path", "-", "--adapter=local", "--stroe", "."])
    with pytest.raises(SettingsError, match="missing settings for ADAPTER=bullmq: REDIS_URL"):
        check_settings({}, ["--store", ".", "--adapter", "bullmq"])


def test_a_wrong_setting_is_an_event_and_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.cli.app", "work"]
    environment = {**os.environ, "BATCH_CONCURRENCY": "many", "ADAPTER": "local"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and "BATCH_CONCURRENCY" in done.stderr and "Traceback" not in done.stderr
    assert [event["event"] for event in events] == ["connection", "finish"] and "BATCH_CONCURRENCY" in events[-1]["error"]


def test_a_studio_that_cannot_start_ends_once(tmp_path: Path) -> None:
    done = respray("studio", "--no-browser", "--listen", "nowhere", folder=tmp_path)
    assert done.returncode != 0
    assert [event["event"] for event in events(done)].count("finish") == 1
