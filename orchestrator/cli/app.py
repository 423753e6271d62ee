"""The `respray` command. Every module in `orchestrator.cli` with a `register(app)` is a command: adding one is adding one file."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer

from orchestrator import cli as commands
from orchestrator.errors import ResprayError
from orchestrator.settings import load_settings
from respray.observe.redaction import Redactor


def build_app() -> typer.Typer:
    """The command line with all commands, in the order of their names."""
    app = typer.Typer(
        name="respray",
        help="Edit photos by concept: SAM3 on Triton, with queues, storage and callbacks around it.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for module in sorted(pkgutil.iter_modules(commands.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{commands.__name__}.{module.name}").register(app)
    return app


def main() -> None:
    """Run the command line; our own errors are one line on stderr and exit code 1, never a traceback."""
    try:
        build_app()()
    except ResprayError as error:
        print(f"respray: {_redactor().text(str(error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _redactor() -> Redactor:
    try:
        return Redactor(load_settings().secrets())
    except ResprayError:
        return Redactor()


if __name__ == "__main__":
    main()
