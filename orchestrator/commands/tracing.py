"""Not a command: switches OpenTelemetry traces on for whichever command runs, where OTEL_EXPORTER_OTLP_ENDPOINT says where to send them.

OpenTelemetry's variables are its own standard and read by its library; this module only looks whether the one that matters is set.
"""

from __future__ import annotations

import atexit
import os

import typer

from orchestrator.errors import SettingsError

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def register(app: typer.Typer) -> None:
    """Run before every command."""

    @app.callback()
    def start() -> None:
        """Edit photos by concept: SAM3 on Triton, with queues, storage and callbacks around it."""
        if not os.environ.get(_ENDPOINT):
            return
        try:
            from operations.tracing import Tracing
        except ImportError as error:
            raise SettingsError(f"{_ENDPOINT} is set and {error.name} is missing: pip install 'respray[tracing]', or unset it") from None
        atexit.register(Tracing().stop)
