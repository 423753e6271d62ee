"""Opens a worker for commands and intakes: the store, Triton (the embedded one where none is given), and back again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ResprayError, SettingsError
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.service.assembly import Parts, callback_client, link_client, make_worker
from orchestrator.service.model_guard import refuse_served_demo
from orchestrator.settings import Settings
from orchestrator.settings.problems import triton_address
from orchestrator.storage import open_storage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import PATIENCE, TritonBackend
from orchestrator.worker.worker import Worker
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor

log = logging.getLogger(__name__)

ServerStarter = Callable[[Settings], contextlib.AbstractAsyncContextManager[str]]


@dataclass(frozen=True)
class WorkerOptions:
    """What a command adds to the settings.

    Attributes:
        store: A folder or s3://bucket in place of the settings' bucket.
        triton_url: host:port of a running Triton (gRPC), in place of TRITON_URL.
        palette: A palette file of the user's own.
        attempts: In place of JOB_ATTEMPTS.
        patience: Seconds that a photo waits for Triton to come back.
        start_server: Starts a Triton server where no address is given, and yields its address.
    """

    store: str | None = None
    triton_url: str | None = None
    palette: Path | None = None
    attempts: int | None = None
    patience: float = PATIENCE
    start_server: ServerStarter | None = None


@contextlib.asynccontextmanager
async def open_worker(
    settings: Settings, options: WorkerOptions, events: Events, metrics: Metrics, redactor: Redactor
) -> AsyncIterator[Worker]:
    """A worker that is ready: its store answers and Triton has its models loaded.

    Raises SettingsError (also where a real model is required and the server has the demo), StorageError, PipelineUnavailable.
    """
    catalog = load_catalog(options.palette)
    url = triton_address(options.triton_url) if options.triton_url else settings.triton_url
    async with contextlib.AsyncExitStack() as stack:
        callbacks = callback_client(settings, metrics)
        if callbacks is not None:
            stack.push_async_callback(callbacks.close)
        links = link_client(settings, metrics)
        stack.push_async_callback(links.close)
        retried = metrics.retries.labels("storage").inc
        storage = await stack.enter_async_context(AsyncStorage(open_storage(settings, options.store, retried)))
        await storage.wait_ready()
        if url is None:
            if options.start_server is None:
                raise SettingsError("missing setting: TRITON_URL; this worker starts no Triton server of its own")
            events.worker("loading", "starting the embedded Triton server")
            url = await stack.enter_async_context(options.start_server(settings))
        pipeline = TritonBackend(url, settings.pipeline_timeout)
        stack.push_async_callback(pipeline.close)
        parts = Parts(
            storage=storage,
            pipeline=pipeline,
            links=links,
            callbacks=callbacks,
            events=events,
            metrics=metrics,
            redactor=redactor,
            catalog=catalog,
            attempts=options.attempts,
            patience=options.patience,
        )
        worker = make_worker(settings, parts)
        stack.push_async_callback(worker.backend.canary.close)
        stack.push_async_callback(worker.kept.close)
        # First of all on the way back, however it is entered: a job that met a closed store would take that for its own fault.
        stack.push_async_callback(worker.drain, 0.0)
        events.worker("loading", f"waiting for Triton at {url}")
        await worker.backend.wait_until_ready(f"asked at {url}, which is to be its gRPC port", PATIENCE)
        if settings.require_real_model:
            await refuse_served_demo(url)
        yield worker


@contextlib.asynccontextmanager
async def sweeping(worker: Worker, interval: float) -> AsyncIterator[None]:
    """Deliver owed callbacks of any job, now and then: jobs that were acknowledged by a worker that died have nobody else."""

    async def sweep() -> None:
        while True:
            # Not all workers at once.
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))
            try:
                await worker.sweeper.sweep()
            except ResprayError as error:
                log.warning("owed callbacks could not be looked for: %s", error)
            except Exception:  # the next look may go well, and nobody else would notice that there is none
                log.exception("owed callbacks could not be looked for")

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
