"""`respray bench ...`: the benchmarks of the repository, each a command of its own. They are not installed: a checkout has them."""

from __future__ import annotations

import functools
import importlib
import os
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
    if not (checkout / "benchmarks" / "work.py").is_file():
        raise ResprayError(f"there are no benchmarks in {checkout}: they are part of the repository; run this in a checkout of it")
    sys.path.insert(0, str(checkout))
    for name in BENCHMARKS:
        group.command(name)(_told(importlib.import_module(f"benchmarks.{name}").main))
    app.add_typer(group, name="bench")


def _told(main: Callable[..., None]) -> Callable[..., None]:
    """Benchmarks' own errors, and those of what they measure, as the command line's."""

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        work = importlib.import_module("benchmarks.work")
        from respray.segmentation.errors import SegmentationError
        from respray.triton.errors import ServingError

        _check_files(kwargs.get("json_file"), kwargs.get("png"))
        try:
            main(*args, **kwargs)
        except (work.BenchmarkError, SegmentationError, ServingError) as error:
            raise ResprayError(str(error)) from None

    return run


def _check_files(*files: Path | None) -> None:
    """Said before minutes are spent on figures that have no place."""
    for file in filter(None, files):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResprayError(f"{file} cannot be written: {error.strerror}") from None
        if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
            raise ResprayError(f"{file} cannot be written: it is a folder, or its folder cannot be written to")
