"""`respray run JOB.json`: one job, then exit code 0 or 1."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from orchestrator.cli._setup import Context, DeviceOption, PaletteOption, StoreOption, TritonOption, command_context, start_local_server
from orchestrator.errors import SettingsError, Stopped
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.jobs.raw_message import decode_message
from orchestrator.service.open_worker import WorkerOptions, open_worker
from orchestrator.service.session import MAX_CLOSING_SECONDS, end_within
from orchestrator.settings import is_bucket, require
from orchestrator.worker.handle import JobResult


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        job: Annotated[
            Path, typer.Argument(metavar="JOB.json", help="Job message of either format; '-' reads it from stdin.", allow_dash=True)
        ],
        store: StoreOption = None,
        triton_url: TritonOption = None,
        device: DeviceOption = None,
        palette: PaletteOption = None,
        concurrency: Annotated[
            int | None, typer.Option(min=1, max=64, help="Photos in the pipeline at the same time (BATCH_CONCURRENCY).")
        ] = None,
    ) -> None:
        """Do one job and exit with 0 (all items completed) or 1. Events go to stdout, logs to stderr."""
        # ADAPTER speaks of queues; a job given by hand is local work, also where the machine is set up for a queue.
        with command_context(adapter="local", batch_concurrency=concurrency, device=device) as context:
            message = sys.stdin.buffer.read() if str(job) == "-" else _read(job)
            options = WorkerOptions(store, triton_url, palette, attempts=1, start_server=start_local_server)
            result = asyncio.run(_until_stopped(_run(context, message, options)))
        raise typer.Exit(0 if result.ok else 1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"the job file {path} cannot be read: {error.strerror}") from None


async def _until_stopped(work: Coroutine[Any, Any, JobResult]) -> JobResult:
    """The result of the work. Raises Stopped where SIGTERM came first; a second one ends the process at once."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        end_within(MAX_CLOSING_SECONDS, 1)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise Stopped("the order to stop came before the job was done; what is stored stays, and running it again does the rest") from None


async def _run(context: Context, message: bytes, options: WorkerOptions) -> JobResult:
    events = context.events
    require(context.settings, storage=is_bucket(options.store), adapter=False)
    # A job that is no job is said at once, not after a server has started.
    raw = decode_message(message)
    job = parse_job(raw, load_catalog(options.palette), context.settings.workers_api_url)
    events.connection("connected")
    events.worker("initializing", "reading settings")
    async with open_worker(context.settings, options, events, context.metrics, context.redactor) as worker:
        events.worker("ready", "working on one job")
        result = await worker.start(raw, attempt=1, final=True, job=job, message_id=f"run:{uuid4()}").finished()
        events.worker("cleaning_up", "the job is done")
        return result
