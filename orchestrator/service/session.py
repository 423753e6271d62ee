"""Session mode: a worker that takes jobs from an intake until SIGTERM, and the orderly way down.

The first SIGTERM (or Ctrl-C) stops taking jobs and gives those under way the grace period; what is not done by then is handed back.
The second one ends the process at once: everything stored is recorded, so nothing is lost by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from orchestrator.service.health import Health, serve_health
from orchestrator.service.open_worker import WorkerOptions, open_worker, sweeping
from orchestrator.settings import Settings
from orchestrator.worker.backend import OUTAGE_PATIENCE
from orchestrator.worker.worker import Worker
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor

TakeJobs = Callable[[Worker, asyncio.Event], Awaitable[None]]
log = logging.getLogger(__name__)


async def run_session(
    settings: Settings, options: WorkerOptions, take_jobs: TakeJobs, events: Events, metrics: Metrics, *, redactor: Redactor
) -> None:
    """Work until the intake ends or a signal comes. `take_jobs` is the `run` of an intake."""
    events.connection("connected")
    events.worker("initializing", f"intake {settings.adapter}")
    stop, health = asyncio.Event(), Health()
    options = replace(options, patience=OUTAGE_PATIENCE)
    with stopping_on_signals(stop, events, health):
        async with (
            serve_health(settings.health_host, settings.health_port, health, metrics) as port,
            open_worker(settings, options, events, metrics, redactor) as worker,
            sweeping(worker, settings.owed_interval),
        ):
            health.worker = worker
            events.worker("ready", f"taking jobs; probes on port {port}")
            try:
                await take_jobs(worker, stop)
            finally:
                health.stop()
                events.worker("cleaning_up", f"{worker.busy} job(s) under way")
                returned = await worker.drain(health.grace_left(settings.grace_period))
                if returned:
                    log.warning("%d job(s) were not done within the grace period and will be delivered again", returned)
    events.connection("disconnected")
    events.emit("finish", status="completed", message="the session has ended")


@contextlib.contextmanager
def stopping_on_signals(stop: asyncio.Event, events: Events, health: Health) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT; end the process at the second."""
    loop = asyncio.get_running_loop()

    def react() -> None:
        if stop.is_set():
            log.warning("second signal: ending at once")
            os._exit(1)
        log.info("stopping: no more jobs are taken")
        health.stop()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, react)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
