"""The embedded server as commands start it: which graphs, which build folder. For development; production sets TRITON_URL."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import platformdirs

from orchestrator.errors import PipelineUnavailable
from orchestrator.settings import Settings
from respray.launch.chosen_model import find_graphs
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from respray.triton.watchdog import ServerWatchdog


@contextlib.asynccontextmanager
async def local_server(settings: Settings) -> AsyncIterator[str]:
    """The embedded server over the demo model (or MODEL_NAME), for as long as a worker lives. Yields its gRPC address `host:port`."""
    server = await asyncio.to_thread(start_embedded, settings)
    watchdog = ServerWatchdog(server)
    try:
        yield server.grpc_url
    finally:
        await asyncio.to_thread(watchdog.stop)


def start_embedded(settings: Settings, options: ServerOptions | None = None) -> EmbeddedServer:
    """Build the model repository where needed, start the server and wait until it is ready. Stop it with `.stop()`.

    Raises SettingsError (no such model), PipelineUnavailable (it does not start; the message has the server's own words).
    """
    graphs = find_graphs(settings)
    try:
        chosen = target("embedded", pipeline_instances=settings.batch_concurrency)
        folder = (
            Path(platformdirs.user_cache_dir("respray"))
            / "repositories"
            / f"{graphs.parent.name}-{os.getuid()}-{settings.batch_concurrency}"
        )
        return EmbeddedServer(build(graphs, chosen, folder), options).start()
    except ServingError as error:
        raise PipelineUnavailable(str(error)) from None
