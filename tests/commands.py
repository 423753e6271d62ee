"""Runs programs without the second of processor time that Python takes to import them, for tests that start them by the dozen.

Each is a process of its own with its own arguments, environment, folder, streams and exit code. It is forked from one that has imported
the command line and what workers need (the standard library's fork server), where a shell would start an interpreter. What such a start
promises by itself (closed streams, signals while it starts, the installed script) is proved with real ones: `test_commands`,
`test_odd_ends`, `test_stopped_while_starting`, `test_first_start`.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

RESPRAY = "orchestrator.cli.app"
_COMMANDS = [f"orchestrator.cli.{name}" for name in ("app", "api", "callbacks", "edit", "run", "serve", "work")]
_INTAKES = [f"orchestrator.intake.{name}" for name in ("bullmq", "celery", "local", "queue_pull")]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*_COMMANDS, *_INTAKES, "moto.server", "tests.orchestrator.support"])
Streams = tuple[Path, Path, Path]


class Forked:
    """A program under way, as `subprocess.Popen` would have it."""

    def __init__(self, module: str, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], streams: Streams) -> None:
        """Start `python -m MODULE ARGUMENTS`.

        Args:
            module: What has a `main()`.
            arguments: What follows it.
            cwd: The folder to run it in.
            environment: All of its environment.
            streams: The files that are its stdin, stdout and stderr; to the latter two is appended.
        """
        # One that a test leaves is ended with the tests, and waited for by nobody.
        self._process = _FORKS.Process(target=_run, args=(module, tuple(arguments), cwd, dict(environment), streams), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.args, self.pid = [module, *arguments], self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def respray(
    *arguments: str, cwd: Path, environment: Mapping[str, str], stdin: str = "", timeout: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Run a command of `respray` to its end.

    Args:
        arguments: What a shell would be given behind `respray`.
        cwd: The folder to run it in.
        environment: All of its environment.
        stdin: What it can read.
        timeout: Seconds; a command that takes longer is killed and fails the test.
    """
    with tempfile.TemporaryDirectory(prefix="respray-command-") as folder:
        given, said, complained = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin, encoding="utf-8")
        process = Forked(RESPRAY, arguments, cwd=cwd, environment=environment, streams=(given, said, complained))
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        texts = [stream.read_text(encoding="utf-8") for stream in (said, complained)]
    assert code >= 0, f"respray {' '.join(arguments)} was ended by signal {-code}, perhaps after {timeout:g} s: {texts[1]}"
    return subprocess.CompletedProcess(list(arguments), code, *texts)


def _run(module: str, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: Streams) -> None:
    """In the forked process: be what a shell would have started."""
    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(stream, flags | (os.O_APPEND | os.O_CREAT if flags else 0), 0o644)
        os.dup2(opened, number)
        os.close(opened)
    # As an interpreter opens them for files.
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8", closefd=False), os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["respray" if module == RESPRAY else module, *arguments]
    try:
        importlib.import_module(module).main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends a process without them, an interpreter with
