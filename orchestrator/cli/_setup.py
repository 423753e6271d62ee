"""What every command that works on jobs does first: settings, redaction, logs, events."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.errors import JobError, ResprayError, SettingsError
from orchestrator.settings import DeviceChoice, Settings, load_settings
from respray.observe.events import Events, claim_stdout
from respray.observe.logs import set_up_logging
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from respray.observe.tracing import keep_out_of_spans

log = logging.getLogger(__name__)

# Options that several commands share.
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Folder whose paths are the job's keys, or s3://BUCKET; default: the settings' bucket.")
]
TritonOption = Annotated[
    str | None, typer.Option("--triton-url", help="host:port of a running Triton (gRPC); default: TRITON_URL, else a server is started.")
]
DeviceOption = Annotated[
    DeviceChoice | None,
    typer.Option("--device", help="Where a server that is started runs its graphs: auto, cuda, tensorrt-rtx or cpu (RESPRAY_DEVICE)."),
]
PaletteOption = Annotated[Path | None, typer.Option("--palette", help="Palette file of your own in place of the built-in one.")]


def start_local_server(settings: Settings) -> contextlib.AbstractAsyncContextManager[str]:
    """The embedded server, for workers that are given no TRITON_URL. Imported when it is needed: it is an extra of its own."""
    from respray.launch.local_server import local_server

    return local_server(settings)


@dataclass(frozen=True)
class Context:
    """A command's surroundings."""

    settings: Settings
    redactor: Redactor
    events: Events
    metrics: Metrics


@contextlib.contextmanager
def command_context(*, show_events: bool = True, **overrides: Any) -> Iterator[Context]:
    """Read the settings, take over stdout for events, send logs to stderr; an error that ends the command is an event, too.

    Args:
        show_events: False where stdout is a person's terminal.
        overrides: Settings by field name, which win over the environment.

    Raises:
        SettingsError: Settings are missing, contradict each other, or cannot be used.
    """
    writer = claim_stdout()
    shown = writer if show_events else None
    try:
        settings = load_settings(**overrides)
    except SettingsError as error:
        Events(shown).failed(error)
        raise
    redactor = Redactor(settings.secrets())
    set_up_logging(settings.log_level, redactor)
    keep_out_of_spans(settings.secrets())
    context = Context(settings, redactor, Events(shown, redactor), Metrics())
    try:
        yield context
    except JobError as error:
        context.events.emit("finish", status="failed", error=str(error))
        raise
    except ResprayError as error:
        context.events.failed(error)
        raise
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:
        # Nobody foresaw it: for people the traceback, through the log and so without secrets, and a sentence for whoever watches.
        log.exception("an unexpected error ends this command")
        context.events.failed(f"an unexpected error ends this command: {type(error).__name__}; the log says more")
        raise typer.Exit(1) from None
