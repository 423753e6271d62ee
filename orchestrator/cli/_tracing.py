"""Not a command: what runs before every command - OpenTelemetry traces where they are asked for.

OpenTelemetry's variables are its own standard and read by its library; this module only looks whether the one that matters is set.
"""

from __future__ import annotations

import os
import sys

import typer

from orchestrator.errors import SettingsError

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# The commands that work on photos: the others start faster without importing what does.
_WORKING = ("work", "run", "demo")


def register(app: typer.Typer) -> None:
    """Run before every command."""

    @app.callback()
    def start(context: typer.Context) -> None:
        """Edit photos by concept: SAM3 on Triton, with queues, storage and callbacks around it."""
        if context.invoked_subcommand not in _WORKING or "--help" in sys.argv:
            return
        if not os.environ.get(_ENDPOINT):
            return
        try:
            from respray.observe.tracing import export_spans

            export_spans()
        except ImportError as error:
            raise SettingsError(f"{_ENDPOINT} is set and {error.name} is missing: pip install 'respray[tracing]', or unset it") from None
