"""`respray api`: jobs and photos over HTTP, until SIGTERM; `respray api key` makes a key."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from orchestrator.cli._setup import Context, PaletteOption, StoreOption, TritonOption, command_context, start_local_server
from orchestrator.errors import SettingsError
from orchestrator.service.open_worker import WorkerOptions
from orchestrator.settings import is_bucket, require
from respray.installation import install_command
from respray.launch.chosen_model import check_model


def register(app: typer.Typer) -> None:
    """Add the command and its own command `key`."""
    group = typer.Typer(invoke_without_command=True, help="Take jobs and photos over HTTP; `respray api key` makes a key for a caller.")
    app.add_typer(group, name="api")

    @group.callback()
    def api(
        context: typer.Context,
        listen: Annotated[
            str | None, typer.Option(help="HOST:PORT (API_LISTEN); beyond this machine it needs keys. Default: 127.0.0.1:8080, or PORT.")
        ] = None,
        store: StoreOption = None,
        triton_url: TritonOption = None,
        palette: PaletteOption = None,
    ) -> None:
        """Take jobs and photos over HTTP until SIGTERM. Events go to stdout, logs to stderr; /docs describes the interface."""
        if context.invoked_subcommand is not None:
            return
        serve(WorkerOptions(store, triton_url, palette, start_server=start_local_server), listen)

    @group.command()
    def key(
        name: Annotated[str, typer.Option(help="The key's name, for people.")],
        user: Annotated[str, typer.Option(help="The user id whose jobs and files it opens.")],
    ) -> None:
        """Make a key: it is shown once, and the line for API_KEYS holds its hash only."""
        from orchestrator.api.keys import make_key

        secret, kept = make_key(name, user)
        print(secret)
        print(f"The key is shown once; give it to whoever calls. For API_KEYS, or a line of API_KEYS_FILE:\n{kept.line}", file=sys.stderr)


def serve(options: WorkerOptions, listen: str | None = None) -> None:
    """The command."""
    with command_context(adapter="http", api_listen=listen) as c:
        require(c.settings, storage=is_bucket(options.store), adapter=True)
        check_model(c.settings)
        run(c, options)


def run(context: Context, options: WorkerOptions, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM; `ready` is called with the address once the worker takes work.

    Raises SettingsError where the packages of the extra are missing.
    """
    try:
        from orchestrator.api.serve import run_api
    except ModuleNotFoundError as error:
        raise SettingsError(f"the HTTP intake needs the package {error.name}: {install_command('api')}") from None
    asyncio.run(run_api(context.settings, options, context.events, context.metrics, redactor=context.redactor, ready=ready))
