"""Puts a worker together from the settings, and takes it apart again. Commands and intakes use this; tests build their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.addresses import AddressPolicy
from orchestrator.callbacks import CallbackClient
from orchestrator.catalog import load_catalog
from orchestrator.deliveries import Deliverer
from orchestrator.errors import ResprayError
from orchestrator.events import Events
from orchestrator.metrics import Metrics
from orchestrator.pipeline import PipelineGate, TritonPipeline
from orchestrator.records import Records
from orchestrator.redaction import Redactor
from orchestrator.settings import Settings
from orchestrator.storage import open_storage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What a command adds to the settings. `store`: a folder or s3://bucket in place of the settings' bucket."""

    store: str | None = None
    triton_url: str | None = None
    palette: Path | None = None
    attempts: int | None = None


def worker_name() -> str:
    """A name that no other worker has, also after a restart: leases are held under it."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32):08x}"


@contextlib.asynccontextmanager
async def open_callbacks(settings: Settings, records: Records, metrics: Metrics, name: str) -> AsyncIterator[Deliverer]:
    """The deliverer of callbacks; without GPU_CALLBACK_SECRET nothing is sent and all callbacks stay owed."""
    client = None
    if settings.callback_secret is not None:
        policy = AddressPolicy.parse(settings.callback_allow_hosts)
        retried = metrics.retries.labels("callback").inc
        client = CallbackClient(settings.callback_secret.get_secret_value(), settings.callback_timeout, policy, on_retry=retried)
    try:
        yield Deliverer(client, records, worker=name, metrics=metrics, timeout=settings.callback_timeout)
    finally:
        if client is not None:
            await client.close()


@contextlib.asynccontextmanager
async def open_worker(settings: Settings, options: Options, events: Events, metrics: Metrics, redactor: Redactor) -> AsyncIterator[Worker]:
    """A worker that is ready: its store answers and Triton has its models loaded.

    Raises SettingsError, StorageError, PipelineUnavailable.
    """
    catalog = load_catalog(options.palette)
    name = worker_name()
    retried = metrics.retries.labels("storage").inc
    storage = AsyncStorage(open_storage(settings, options.store, retried))
    records = Records(storage, redactor)
    url = options.triton_url or settings.triton_url
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(storage.close)
        await storage.wait_ready()
        if url is None:
            events.worker("loading", "starting the embedded Triton server")
            url = await stack.enter_async_context(_embedded(settings))
        pipeline = TritonPipeline(url, settings.pipeline_timeout)
        stack.push_async_callback(pipeline.close)
        gate = PipelineGate(pipeline, settings.batch_concurrency, metrics, events)
        events.worker("loading", f"waiting for Triton at {url}")
        await gate.wait_until_ready()
        deliverer = await stack.enter_async_context(open_callbacks(settings, records, metrics, name))
        yield Worker(
            catalog=catalog,
            storage=storage,
            records=records,
            gate=gate,
            deliverer=deliverer,
            events=events,
            metrics=metrics,
            name=name,
            workers_api_url=settings.workers_api_url,
            concurrency=settings.batch_concurrency,
            attempts=options.attempts or settings.job_attempts,
            grace=settings.grace_period,
        )


@contextlib.asynccontextmanager
async def sweeping(worker: Worker, interval: float) -> AsyncIterator[None]:
    """Deliver owed callbacks of any job, now and then: jobs that were acknowledged by a worker that died have nobody else."""

    async def sweep() -> None:
        while True:
            # Not all workers at once.
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))
            try:
                await worker.deliverer.sweep()
            except ResprayError as error:
                log.warning("owed callbacks could not be looked for: %s", error)

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def _embedded(settings: Settings) -> AsyncIterator[str]:
    """The embedded server over the demo model (or MODEL_NAME), for as long as the worker lives. Yields its gRPC address."""
    from orchestrator.embedded import start_embedded  # needs the embedded extra

    server = await asyncio.to_thread(start_embedded, settings)
    try:
        yield server.grpc_url
    finally:
        await asyncio.to_thread(server.stop)
