"""`respray top`: a worker, live in the terminal, or once as text."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.errors import SettingsError
from orchestrator.settings import Settings
from respray.installation import install_command
from respray.schemes import scheme_of
from respray.top.plain import look

_WORKER = f"http://127.0.0.1:{Settings.model_fields['health_port'].default}"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def top(
        worker: Annotated[str, typer.Argument(help="Address of a worker's health port.")] = _WORKER,
        triton: Annotated[str | None, typer.Option(help="Address of Triton's metrics, such as http://127.0.0.1:8002.")] = None,
        events: Annotated[Path | None, typer.Option(help="A worker's events (respray work > FILE), for the list of jobs.")] = None,
        every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    ) -> None:
        """Show a worker live: jobs, stages, throughput, and Triton's models with their queues. Without a terminal, once and as text."""
        for address in (worker, triton):
            if address is not None and scheme_of(address) not in ("http", "https"):
                raise SettingsError(f"{address!r} is no address; accepted is http://HOST:PORT")
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
            text, problems = asyncio.run(look(worker, triton, events, every))
            if text:
                print(text)
            if problems:
                raise SettingsError("; ".join(problems))
            return
        try:
            from respray.top.app import Top
        except ImportError as error:
            raise SettingsError(f"respray top needs the package {error.name}: {install_command('top')}") from None
        Top(worker, triton, events, every).run()
