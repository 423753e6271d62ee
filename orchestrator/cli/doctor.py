"""`respray doctor`: is this machine ready, and what fixes it where it is not."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from orchestrator.errors import SettingsError
from respray.doctor import CHECKS, Situation, examine
from respray.doctor.report import as_json, as_text, exit_code, is_coloured
from respray.doctor.situation import checkout, with_dotenv


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
        gpu: Annotated[Literal["auto", "required", "optional"], typer.Option(help="Whether a missing GPU fails.")] = "auto",
        only: Annotated[list[str] | None, typer.Option(help=f"Run only this check: {', '.join(c.NAME for c in CHECKS)}.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Compare sizes of model files instead of reading them.")] = False,
    ) -> None:
        """Check this machine in eight steps and print what fixes each failure; exit code 1 where something fails."""
        situation = Situation(with_dotenv(os.environ, checkout() / ".env"), gpu=gpu, full_checksums=not quick)
        try:
            results = examine(situation, tuple(only or ()))
        except ValueError as error:
            raise SettingsError(str(error)) from None
        print(as_json(results) if json else as_text(results, colour=is_coloured()))
        raise typer.Exit(exit_code(results))
