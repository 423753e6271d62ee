"""`respray bench ...`: the benchmarks of the repository, each a command of its own. They are not installed: a checkout has them."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from orchestrator.errors import ResprayError

BENCHMARKS = ("stage1", "stage2", "pipeline", "overhead", "flow", "looks", "segments", "soak", "studio", "sweep", "report")


def register(app: typer.Typer) -> None:
    """Add the group. A benchmark is a module of `benchmarks` with a `main` whose options typer reads."""
    group = typer.Typer(help="Measure: segmentation, the whole pipeline, Triton's overhead, memory, settings; and one report of it all.")
    checkout = Path.cwd()
    if (checkout / "benchmarks" / "work.py").is_file():
        sys.path.insert(0, str(checkout))
        for name in BENCHMARKS:
            group.command(name)(_told(importlib.import_module(f"benchmarks.{name}").main))
    else:
        group.callback(invoke_without_command=True)(_nowhere)
    app.add_typer(group, name="bench")


def _nowhere() -> None:
    raise ResprayError(f"there are no benchmarks in {Path.cwd()}: they are part of the repository; run this in a checkout of it")


def _told(main: Callable[..., None]) -> Callable[..., None]:
    """Benchmarks' own errors as the command line's."""

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        work = importlib.import_module("benchmarks.work")
        try:
            main(*args, **kwargs)
        except work.BenchmarkError as error:
            raise ResprayError(str(error)) from None

    return run
