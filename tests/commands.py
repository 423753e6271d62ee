"""Runs `respray` without the second of processor time that Python takes to import it, for tests that start it dozens of times.

Each command is a process of its own with its own arguments, environment, folder, streams and exit code. It is forked from one that has
imported the command line (the standard library's fork server), where a shell would start an interpreter. What such a start promises by
itself (closed streams, signals, the installed script) is proved with real ones: `test_commands`, `test_odd_ends`, `test_first_start`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([f"orchestrator.cli.{name}" for name in ("app", "callbacks", "edit", "run", "serve", "work")])


def respray(
    *arguments: str, cwd: Path, environment: Mapping[str, str], stdin: str = "", timeout: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        arguments: What a shell would be given behind `respray`.
        cwd: The folder to run it in.
        environment: All of its environment.
        stdin: What it can read.
        timeout: Seconds; a command that takes longer is killed and fails the test.
    """
    with tempfile.TemporaryDirectory(prefix="respray-command-") as folder:
        streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        for stream in streams:
            stream.write_text(stdin if stream.name == "stdin" else "", encoding="utf-8")
        process = _FORKS.Process(target=_command, args=(arguments, cwd, dict(environment), streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
        code = process.exitcode
        process.close()
        said, complained = (stream.read_text(encoding="utf-8") for stream in streams[1:])
    assert code is not None and code >= 0, f"respray {' '.join(arguments)} was ended by signal {code} or after {timeout:g} s: {complained}"
    return subprocess.CompletedProcess(list(arguments), code, said, complained)


def _command(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: list[Path]) -> None:
    """In the forked process: be what a shell would have started."""
    from orchestrator.cli.app import main

    for number, (stream, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(stream, flags | (os.O_APPEND if flags else 0))
        os.dup2(opened, number)
        os.close(opened)
    # As an interpreter opens them for files.
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8", closefd=False), os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["respray", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends a process without them, an interpreter with
