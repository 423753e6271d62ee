"""Processes that are started with closed streams, and that meet what nobody foresaw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import worker_environment

RUN = f"exec {sys.executable} -m orchestrator.cli.app run none.json --store ."


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"])
def test_a_command_whose_streams_are_closed_runs_as_it_would(tmp_path: Path, closed: str) -> None:
    ended = subprocess.run(
        f"{RUN} {closed}", shell=True, capture_output=True, text=True, cwd=tmp_path, env=worker_environment(), timeout=120, check=False
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    if "2>&-" not in closed:
        assert "the job file none.json cannot be read: No such file" in ended.stderr
    if "1>&-" not in closed:
        assert json.loads(ended.stdout.splitlines()[-1])["status"] == "failed"


def test_a_file_never_gets_the_number_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from respray.observe.output import open_standard_streams; open_standard_streams()\n"
        "file = open('kept', 'w'); print('out'); print('err', file=sys.stderr); sys.stdout.flush(); os.write(2, b'c library')\n"
        "sys.exit(0 if file.fileno() > 2 and sys.stdin.read() == '' else 1)"
    )
    command = f'exec {sys.executable} -c "$CODE" 0<&- 1>&- 2>&-'
    ended = subprocess.run(command, shell=True, cwd=tmp_path, env=worker_environment(CODE=code), timeout=120, check=False)
    assert ended.returncode == 0 and (tmp_path / "kept").read_text() == ""


def test_an_unforeseen_error_is_an_event_and_a_traceback_without_secrets(tmp_path: Path) -> None:
    code = (
        "from orchestrator.cli import _setup, app\n"
        "def register(holder):\n"
        "    @holder.command()\n"
        "    def run():\n"
        "        with _setup.command_context(adapter='local'):\n"
        "            raise RuntimeError('cannot log in with callback-secret-1 at redis://:p@ss@host')\n"
        "from orchestrator.cli import run as module; module.register = register; app.main()"
    )
    environment = worker_environment(GPU_CALLBACK_SECRET="callback-secret-1")
    ended = subprocess.run(
        [sys.executable, "-c", code, "run"], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120, check=False
    )
    finish = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 1 and finish["event"] == "finish" and finish["status"] == "failed"
    assert "RuntimeError" in finish["error"] and "in run" in ended.stderr and "callback-secret-1" not in ended.stderr + ended.stdout
    assert "p@ss" not in ended.stderr
