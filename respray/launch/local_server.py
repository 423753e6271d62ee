"""The embedded server as commands start it: which graphs, which build folder. For development; production sets TRITON_URL."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import platformdirs

from orchestrator.errors import PipelineUnavailable, SettingsError
from orchestrator.settings import Settings
from respray.launch.chosen_model import check_model, chosen_model, find_graphs
from respray.launch.model_sync import sync_source
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from respray.triton.watchdog import ServerWatchdog
from respray.weights.ensure import ensure
from respray.weights.errors import OperationsError
from respray.weights.model_presets import choose_preset


@contextlib.asynccontextmanager
async def local_server(settings: Settings) -> AsyncIterator[str]:
    """The embedded server over the demo model (or MODEL_NAME), for as long as a worker lives. Yields its gRPC address `host:port`."""
    server = await asyncio.to_thread(start_embedded, settings)
    watchdog = ServerWatchdog(server)
    try:
        yield server.grpc_url
    finally:
        await asyncio.to_thread(watchdog.stop)


def start_embedded(settings: Settings, options: ServerOptions | None = None, repository: Path | None = None) -> EmbeddedServer:
    """Build the model repository where needed, start the server and wait until it is ready. Stop it with `.stop()`.

    Args:
        settings: They name the model.
        options: How the server runs.
        repository: A built one, in place of the model's.

    Raises:
        SettingsError: there is no such model.
        PipelineUnavailable: it does not start; the message has the server's own words.
    """
    try:
        if repository is not None:
            return EmbeddedServer(repository, options).start()
        _fetch(settings)
        graphs = find_graphs(settings)
        chosen = target("embedded", pipeline_instances=settings.batch_concurrency)
        folder = (
            Path(platformdirs.user_cache_dir("respray"))
            / "repositories"
            / f"{graphs.parent.name}-{os.getuid()}-{settings.batch_concurrency}"
        )
        return EmbeddedServer(build(graphs, chosen, folder), options).start()
    except ServingError as error:
        raise PipelineUnavailable(str(error)) from None


def _fetch(settings: Settings) -> None:
    """Bring the model from the bucket of MODEL_SYNC_*, where that is enabled. Raises SettingsError."""
    check_model(settings)
    source, preset = sync_source(settings), choose_preset(chosen_model(settings))
    if source is None or preset.weights.folder is not None:
        return
    try:
        ensure(preset, settings.model_path, sync=source)
    except OperationsError as error:
        raise SettingsError(str(error)) from None
