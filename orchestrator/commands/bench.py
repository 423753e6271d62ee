"""`respray bench ...`: the benchmarks, each a command of its own."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import typer

from orchestrator.errors import ResprayError

BENCHMARKS = ("stage1", "pipeline", "overhead", "flow", "soak", "sweep", "report")


def register(app: typer.Typer) -> None:
    """Add the group. A benchmark is a module of `benchmarks` with a `main` whose options typer reads."""
    group = typer.Typer(help="Measure: segmentation, the whole pipeline, Triton's overhead, memory, settings; and one report of it all.")
    for name in BENCHMARKS:
        try:
            module = importlib.import_module(f"benchmarks.{name}")
        except ModuleNotFoundError as error:
            # The small orchestrator image has no graphs runtime; its other commands must work all the same.
            if error.name and error.name.split(".")[0] in {"onnxruntime", "benchmarks"}:
                continue
            raise
        group.command(name)(_told(module.main))
    app.add_typer(group, name="bench")


def _told(main: Callable[..., None]) -> Callable[..., None]:
    """Benchmarks' own errors as the command line's."""

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        from benchmarks.work import BenchmarkError

        try:
            main(*args, **kwargs)
        except BenchmarkError as error:
            raise ResprayError(str(error)) from None

    return run
