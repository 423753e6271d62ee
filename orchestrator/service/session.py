"""Session mode: a worker that takes jobs from an intake until SIGTERM, and the orderly way down.

The first SIGTERM (or Ctrl-C, or the end of its terminal) stops taking jobs and gives those under way the grace period; what is not done by
then is handed back. The second one ends the process at once: everything stored is recorded, so nothing is lost by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

from orchestrator.service.health import Health, serve_health
from orchestrator.service.open_worker import WorkerOptions, open_worker, sweeping
from orchestrator.settings import Settings
from orchestrator.waiting import until
from orchestrator.worker.backend import LEASE_SHARE, OUTAGE_PATIENCE
from orchestrator.worker.worker import Worker
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.output import exit_at_once
from respray.observe.redaction import Redactor

TakeJobs = Callable[[Worker, asyncio.Event], Awaitable[None]]
Reach = Callable[[asyncio.Event], Awaitable[None]]
log = logging.getLogger(__name__)

MAX_CLOSING_SECONDS = 20.0
"""How much longer than the grace period the way down may take. Orchestrators wait some 45 to 60 s before they kill."""
END_SECONDS = 3.0
"""How long the process may live on after its last event."""


async def run_session(
    settings: Settings,
    options: WorkerOptions,
    take_jobs: TakeJobs,
    events: Events,
    metrics: Metrics,
    *,
    redactor: Redactor,
    reach: Reach | None = None,
) -> None:
    """Work until the intake ends or a signal comes. `take_jobs` is the `run` of an intake, and `reach` its `reach`."""
    events.connection("connected")
    events.worker("initializing", f"intake {settings.adapter}")
    stop, health = asyncio.Event(), Health()
    options = replace(options, patience=outage_patience(settings))
    with stopping_on_signals(stop, events, health, settings.grace_period + MAX_CLOSING_SECONDS):
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(serve_health(settings.health_host, settings.health_port, health, metrics))
            # Stores, Triton and queues that hang are not waited for once there is the order to stop.
            worker = await until(stop, stack.enter_async_context(open_worker(settings, options, events, metrics, redactor)))
            if worker is not None and reach is not None:
                await until(stop, reach(stop))
            if worker is None or stop.is_set():
                events.worker("cleaning_up", "stopped before it was ready")
                events.connection("disconnected")
            else:
                await stack.enter_async_context(sweeping(worker, settings.owed_interval))
                health.worker = worker
                events.worker("ready", f"taking jobs; probes on port {port}")
                await _take(take_jobs, worker, stop, health, events, settings.grace_period)
    events.emit("finish", status="completed", message="the session has ended")
    if stop.is_set():
        end_within(END_SECONDS, 0)  # what still waits for a service that hangs has nothing more to say


async def _take(take_jobs: TakeJobs, worker: Worker, stop: asyncio.Event, health: Health, events: Events, grace: float) -> None:
    """Work, and bring what is under way to its end."""
    try:
        await take_jobs(worker, stop)
    finally:
        health.stop()
        events.worker("cleaning_up", f"{worker.busy} job(s) under way")
        returned = await worker.drain(health.grace_left(grace))
        if returned:
            log.warning("%d job(s) were not done within the grace period and will be delivered again", returned)
        events.connection("disconnected")


def outage_patience(settings: Settings) -> float:
    """Seconds that photos wait for a Triton that is away: as long as the intake can hold their job."""
    return settings.longest_job * LEASE_SHARE if settings.adapter == "queue_pull" else OUTAGE_PATIENCE


def end_within(seconds: float, code: int) -> None:
    """End the process after so many seconds with this exit code, if it has not ended by itself. Everything stored is recorded by then."""

    def end() -> None:
        if code:
            log.warning("something hangs: ending at once")
        exit_at_once(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def stopping_on_signals(stop: asyncio.Event, events: Events, health: Health, seconds: float) -> Iterator[None]:
    """Set `stop` at the first SIGTERM, SIGINT or SIGHUP; end the process at the second, and so many seconds after the first in any case."""
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # `nohup` has it ignored
        numbers.append(signal.SIGHUP)
    loop = asyncio.get_running_loop()

    def react() -> None:
        if stop.is_set():
            log.warning("second signal: ending at once")
            exit_at_once(1)
        log.info("stopping: no more jobs are taken")
        end_within(seconds, 1)
        health.stop()
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, react)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
