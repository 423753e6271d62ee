"""`respray demo`: edit the demo photos through the real pipeline and say where to look."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orchestrator.cli._setup import command_context
from respray.observe.events import Events


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        out: Annotated[Path, typer.Option(help="Folder for photos, results and index.html; an earlier demo in it is replaced.")] = Path(
            "out/demo"
        ),
        triton_url: Annotated[str | None, typer.Option(help="host:port of a running Triton (gRPC); default: a server is started.")] = None,
    ) -> None:
        """Edit the demo photos and write a contact sheet. Progress bar on a terminal, JSON events on stdout otherwise."""
        from respray.demo.callback_receiver import CallbackReceiver
        from respray.demo.run import run_demo

        terminal = sys.stdout.isatty()
        began = time.monotonic()
        with CallbackReceiver() as receiver, command_context(show_events=not terminal, **receiver.settings()) as context:
            if terminal:
                logging.getLogger().setLevel(logging.WARNING)
                console = Console(stderr=True)
                with _progress(console) as progress:
                    events = Events(None, context.redactor, listener=_Display(progress))
                    result = asyncio.run(run_demo(out, context.settings, receiver, events, context.redactor, triton_url))
            else:
                console = Console(stderr=True, highlight=False)
                result = asyncio.run(run_demo(out, context.settings, receiver, context.events, context.redactor, triton_url))
        seconds = time.monotonic() - began
        console.print(
            f"{result.edited} of {result.photos} photos edited, {result.callbacks} signed callbacks received, {seconds:.1f} s. Look at:"
        )
        for label, path in (
            ("contact sheet", result.page),
            ("results", result.store / "outputs"),
            ("previews", result.store / "previews"),
            ("instance masks", result.store / "masks"),
            *(("manifest", path) for path in result.manifests),
        ):
            console.print(f"  {label:<15}{path}", soft_wrap=True)
        # As it was started, also where the virtual environment is not active.
        program = sys.argv[0] if Path(sys.argv[0]).name == "respray" else "respray"
        console.print(f"Try your own colours on these photos: {program} studio", soft_wrap=True)
        raise typer.Exit(0 if result.ok else 1)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


class _Display:
    """Turns events into one progress bar per job and a line for the server's state."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._server = progress.add_task("server", total=None)
        self._jobs: dict[str, Any] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "worker":
            self._progress.update(self._server, description=event["message"] or event["status"])
        elif event["event"] == "progress":
            job = event["job_id"]
            if job not in self._jobs:
                self._jobs[job] = self._progress.add_task(f"job {job}", total=event["total"])
            self._progress.update(self._jobs[job], completed=event["done"])
