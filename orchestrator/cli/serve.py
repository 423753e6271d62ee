"""`respray serve`: keep the embedded Triton server up, for several `respray run` and for development."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli._setup import DeviceOption, command_context
from orchestrator.errors import PipelineUnavailable
from respray.launch.local_server import start_embedded
from respray.triton.embedded.server import ServerOptions
from respray.triton.watchdog import POLL_SECONDS, ServerWatchdog


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC port on loopback; 0 takes any free one.")] = 8001,
        http_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port on loopback; 0 takes any free one.")] = 8000,
        metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Triton's own metrics; 0 takes any free one.")] = 8002,
        repository: Annotated[
            Path | None, typer.Option(help="A repository that `respray build --target embedded` has made, in place of the model's own.")
        ] = None,
        device: DeviceOption = None,
    ) -> None:
        """Run the embedded Triton server until Ctrl-C or SIGTERM. For development: it listens on loopback only."""
        with command_context(adapter="local", device=device) as context:
            # SIGTERM does what Ctrl-C does: it interrupts the start, the wait below, and the second one the orderly stop.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            context.events.worker("loading", "starting the embedded Triton server")
            options = ServerOptions(grpc_port=grpc_port, http_port=http_port, metrics_port=metrics_port)
            server = start_embedded(context.settings, options, repository)
            watchdog = ServerWatchdog(server)
            try:
                context.events.worker("ready", f"TRITON_URL={server.grpc_url}")
                print(f"Its graphs against PyTorch: {server.probed}", file=sys.stderr)
                print(f"Use it with: export TRITON_URL={server.grpc_url}", file=sys.stderr)
                while watchdog.is_alive():
                    time.sleep(POLL_SECONDS)
                raise PipelineUnavailable("the Triton server keeps ending, and was given up; the log says why")
            except KeyboardInterrupt:
                context.events.worker("cleaning_up", "stopping the server")
            finally:
                watchdog.stop()
