"""Not a command: OpenTelemetry traces where they are asked for, for the commands that work on photos.

OpenTelemetry's variables are its own standard and read by its library; this module only looks whether the one that matters is set.
"""

from __future__ import annotations

import os

from orchestrator.errors import SettingsError
from respray.installation import install_command
from respray.observe.events import Events, claim_stdout

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def set_up_tracing(show_events: bool) -> None:
    """Send traces where OTEL_EXPORTER_OTLP_ENDPOINT says. Raises SettingsError, which is an event, too, where stdout shows events."""
    if not os.environ.get(_ENDPOINT):
        return
    try:
        from respray.observe.tracing import export_spans

        export_spans()
    except ImportError as error:
        missing = SettingsError(f"{_ENDPOINT} is set and {error.name} is missing: {install_command('tracing')}, or unset it")
        if show_events:
            Events(claim_stdout()).failed(missing)
        raise missing from None
