"""Not a command: job and item ids in logs, and OpenTelemetry traces where they are asked for, for the commands that work on photos.

OpenTelemetry's variables are its own standard and read by its library; this module only looks whether the one that matters is set.
"""

from __future__ import annotations

import atexit
import os

import typer

from orchestrator.errors import SettingsError
from respray.observe import log_context

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def set_up_tracing(context: typer.Context) -> None:
    """Put ids into log lines until the command ends; send traces where OTEL_EXPORTER_OTLP_ENDPOINT says. Raises SettingsError."""
    context.call_on_close(log_context.install())
    if not os.environ.get(_ENDPOINT):
        return
    try:
        from respray.observe.tracing import Tracing
    except ImportError as error:
        raise SettingsError(f"{_ENDPOINT} is set and {error.name} is missing: pip install 'respray[tracing]', or unset it") from None
    atexit.register(Tracing().stop)
