"""`respray serve`: keep the embedded Triton server up, for several `respray run` and for development."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from orchestrator.commands._setup import command_context
from orchestrator.embedded import start_embedded
from serving.embedded import ServerOptions
from serving.keeper import Keeper


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC port on loopback; 0 takes any free one.")] = 8001,
        http_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port on loopback; 0 takes any free one.")] = 8000,
        metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Triton's own metrics; 0 takes any free one.")] = 8002,
    ) -> None:
        """Run the embedded Triton server until Ctrl-C or SIGTERM. For development: it listens on loopback only."""
        with command_context(adapter="local") as context:
            context.events.worker("loading", "starting the embedded Triton server")
            # Blocked before the start, so that a signal in between is not lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            server = start_embedded(context.settings, ServerOptions(grpc_port=grpc_port, http_port=http_port, metrics_port=metrics_port))
            keeper = Keeper(server)
            try:
                context.events.worker("ready", f"TRITON_URL={server.grpc_url}")
                print(f"Use it with: export TRITON_URL={server.grpc_url}", file=sys.stderr)
                signal.sigwait({signal.SIGTERM, signal.SIGINT})
                context.events.worker("cleaning_up", "stopping the server")
            finally:
                keeper.stop()
