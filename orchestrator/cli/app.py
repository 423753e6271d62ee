"""The `respray` command. Every module beside this one with a `register(app)` is a command of its file's name.

A command's module is imported when that command runs. The list of commands takes their one line each from the modules' docstrings.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
import traceback
from functools import cache
from importlib import resources
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from respray.observe.output import open_standard_streams

PACKAGE = "orchestrator.cli"
# The commands that work on photos: only they have traces to send.
WORKING = ("work", "run", "edit", "api", "studio", "demo")
Command = TyperCommand | TyperGroup


class LazyGroup(TyperGroup):
    """A group that imports the module of a command when the command is asked for.

    Typer's contexts and formatters are of a click of its own without public names, hence the `Any`.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the command modules."""
        return list(command_names())

    def get_command(self, ctx: Any, cmd_name: str) -> Command | None:
        """The command of this name, or None."""
        return load_command(cmd_name) if cmd_name in command_names() else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first argument; one that there is not is answered with those that there are."""
        if args[0] not in command_names():
            from orchestrator.jobs.name_catalog import unknown_name_message

            ctx.fail(unknown_name_message("command", args[0], command_names()))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in `respray --help`, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in command_names()])


@cache
def command_names() -> tuple[str, ...]:
    """All commands, in the order of their names."""
    names = {module.name for module in pkgutil.iter_modules([str(resources.files(PACKAGE))])}
    return tuple(sorted(name for name in names - {"app"} if not name.startswith("_")))


@cache
def load_command(name: str) -> Command:
    """Import a command's module and build its command."""
    holder = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    importlib.import_module(f"{PACKAGE}.{name}").register(holder)
    command = typer.main.get_command(holder)
    if isinstance(command, TyperGroup) and name in command.commands:
        command = command.commands[name]
    assert isinstance(command, Command)  # what typer makes
    return command


def summary(name: str) -> str:
    """What a command does, in a line: its module's docstring behind the colon."""
    text = (resources.files(PACKAGE) / f"{name}.py").read_text(encoding="utf-8")
    line = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
    what = line.partition(": ")[2] or line
    return what[:1].upper() + what[1:]


def _tell_version(wanted: bool) -> None:
    if wanted:
        from respray.installation import installed_version

        print(f"respray {installed_version()}")
        raise typer.Exit


VersionOption = Annotated[bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version and exit.")]


def build_app() -> typer.Typer:
    """The command line with all commands."""
    app = typer.Typer(
        name="respray", cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )

    @app.callback()
    def start(context: typer.Context, version: VersionOption = False) -> None:
        """Edit photos by concept: SAM3 on Triton, with queues, storage and callbacks around it."""
        if context.invoked_subcommand in WORKING and "--help" not in sys.argv:
            from orchestrator.cli._tracing import set_up_tracing

            set_up_tracing(context.invoked_subcommand in ("work", "run"))

    return app


def main() -> None:
    """Run the command line; our own errors are one line on stderr and exit code 1, never a traceback, and no error shows a secret."""
    open_standard_streams()
    try:
        build_app()()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # In one piece, which `print` does not do unbuffered: the last event may be written at the same time, to the same terminal.
        sys.stderr.write(f"{_said(error)}\n")
        sys.exit(1)


def _said(error: Exception) -> str:
    """One sentence for an error of ours, the traceback of any other; without secrets."""
    from orchestrator.errors import ResprayError
    from orchestrator.settings import load_settings
    from respray.observe.escaping import lines, one_line
    from respray.observe.redaction import Redactor

    try:
        redactor = Redactor(load_settings().secrets())
    except ResprayError:
        redactor = Redactor()
    if isinstance(error, ResprayError):
        return f"respray: {one_line(redactor.text(str(error)))}"
    return lines(redactor.text("".join(traceback.format_exception(error)).rstrip()))


if __name__ == "__main__":
    main()
