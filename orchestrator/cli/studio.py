"""`respray studio`: the studio in the browser, on this machine's own photos and models."""

from __future__ import annotations

import sys
import tempfile
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli._setup import PaletteOption, TritonOption, command_context, start_local_server
from orchestrator.cli.api import run
from orchestrator.service.open_worker import WorkerOptions
from orchestrator.settings import is_bucket, require
from respray.launch.chosen_model import check_model

LISTEN = "127.0.0.1:8088"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def studio(
        listen: Annotated[
            str, typer.Option(help="HOST:PORT; beyond this machine it needs keys, as `respray api`. Port 0: any free one.")
        ] = LISTEN,
        store: Annotated[
            str | None,
            typer.Option(
                "--store",
                help="Folder or s3://BUCKET for photos and sessions; default: a folder that goes with the command.",
            ),
        ] = None,
        triton_url: TritonOption = None,
        palette: PaletteOption = None,
        browser: Annotated[bool, typer.Option(help="Open the browser; the address is printed either way.")] = True,
    ) -> None:
        """Open the studio in the browser and serve it until Ctrl-C. The address goes to stderr, events to stdout."""
        with tempfile.TemporaryDirectory(prefix="respray-studio-") as folder:
            if store is not None and not is_bucket(store):
                Path(store).mkdir(parents=True, exist_ok=True)
            serve(WorkerOptions(store or folder, triton_url, palette, start_server=start_local_server), listen, browser)


def serve(options: WorkerOptions, listen: str, browser: bool) -> None:
    """The command."""
    # Health is asked for at /ping; a port of its own would only be in another worker's way.
    with command_context(adapter="http", api_listen=listen, health_port=0) as c:
        require(c.settings, storage=is_bucket(options.store), adapter=True)
        check_model(c.settings)
        run(c, options, lambda url: tell(url, browser))


def tell(url: str, browser: bool) -> None:
    """Say where the studio is, and open it where there is a browser; in a thread, for a browser takes its time."""
    threading.Thread(target=_tell, args=(f"{url}/studio", browser), daemon=True).start()


def _tell(address: str, browser: bool) -> None:
    opened = browser and _open(address)
    print(f"The studio is at {address}" + ("" if opened else "; open it in a browser"), file=sys.stderr, flush=True)


def _open(address: str) -> bool:
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    # A plain GenericBrowser is one for terminals (w3m, lynx): it would take this one over.
    return type(found) is not webbrowser.GenericBrowser and found.open(address)
