"""Runpod Serverless through the official SDK, which owns the process: its event loop, its signals, its job queue.

The handler is a coroutine, so that jobs run beside each other; a worker is made on the SDK's loop with the first job, which also proves
that Runpod was reached. Results are also in the bucket: the SDK tries three times to post one and then only logs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.errors import IntakeError, ResprayError, SettingsError
from orchestrator.intake.answers import with_files, with_links
from orchestrator.intake.base import Throttle
from orchestrator.jobs import keys
from orchestrator.jobs.one_photo import in_short_words, is_one_photo, whole_message
from orchestrator.records.markers import OWED_PREFIX
from orchestrator.records.records import FAILED_PREFIX
from orchestrator.service.health import Health, serve_health
from orchestrator.service.open_worker import WorkerOptions, open_worker, sweeping
from orchestrator.settings import Settings
from orchestrator.worker.handle import JobResult
from orchestrator.worker.worker import Worker
from respray.installation import install_command
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor

log = logging.getLogger(__name__)

PROGRESS_EVERY = 2.0
"""Seconds between progress reports: each costs the SDK a thread and a session."""


_NO_BUCKET = (
    "this worker has no bucket and knows photos inside messages only (`photo`, without items); "
    "set STORAGE_S3_ENDPOINT and its keys for others"
)


class RunpodIntake:
    """Runs the SDK until it ends."""

    def __init__(self, settings: Settings, options: WorkerOptions, events: Events, metrics: Metrics, *, redactor: Redactor) -> None:
        self._inline_only = options.store is None and settings.names_no_storage
        if self._inline_only:
            log.warning("no bucket is set: only photos inside messages are worked on, and results travel in the answers")
        self._settings, self._options, self._events = settings, options, events
        self._metrics, self._redactor = metrics, redactor
        self._worker: asyncio.Future[Worker] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._error = ""
        self._health = Health()
        self._signals = 0
        self._runpod: Any = None

    def run(self) -> None:
        """Blocks. The SDK reads its own arguments from the command line (`--rp_serve_api`, `--test_input`).

        Raises SettingsError where the SDK would have nothing to take jobs from, is not installed, or refuses its arguments.
        """
        check_source(sys.argv[1:])
        # Imported late: it reads its environment and prints while it is imported.
        try:
            import runpod
        except ModuleNotFoundError as error:
            raise SettingsError(f"ADAPTER=runpod needs the package {error.name}: {install_command('intake')}") from None
        self._runpod = runpod
        # Its default, DEBUG, logs every answer: links that are credentials, and photos as base64.
        logger = runpod.RunPodLogger()
        if logger.level == "DEBUG":
            logger.set_level("INFO")
        self._events.connection("connected")
        self._events.worker("initializing", "intake runpod")
        runpod.serverless.register_fitness_check(self.check_fitness)
        try:
            runpod.serverless.start({"handler": self.handle, "concurrency_modifier": self.concurrency})
        except SystemExit as end:  # its way out after --test_input
            if end.code:
                if self._health.worker is not None:
                    self._events.connection("disconnected")
                self._events.failed(self._error or "Runpod's SDK ended the process; its log says why")
                raise
        except ResprayError:
            raise
        except Exception as error:  # the SDK's own checks of what it was given are no sentences
            raise IntakeError(f"Runpod's SDK did not start: {type(error).__name__}: {error}") from error
        self._events.connection("disconnected")
        self._events.emit("finish", status="completed", message="the session has ended")

    async def check_fitness(self) -> None:
        """Ready to work: the store answers and Triton has its models. The SDK says so and ends the process when this raises."""
        try:
            with self._with_store() as options:
                async with open_worker(self._settings, options, self._events, self._metrics, self._redactor):
                    pass
        except Exception as error:
            self._events.failed(error)
            self._events.drain()
            raise

    def concurrency(self, current: int) -> int:
        """Jobs at the same time. Called on the SDK's loop before each fetch, so this is also where its signals are watched."""
        self._watch_signals()
        return self._settings.job_concurrency

    async def handle(self, job: dict[str, Any]) -> dict[str, Any]:
        """One job. An `error` in the answer makes it FAILED at Runpod; cancellation stops the work and is passed on."""
        try:
            worker = await self._opened()
        except ResprayError as error:
            self._error = str(error)
            return {"status": "failed", "error": self._error}
        progress = Throttle(PROGRESS_EVERY, lambda done, total: self._progress(job, done, total))
        message, short = _message(job), is_one_photo(_message(job))
        if short:
            message = whole_message(message, _name(job))
        # Runpod does not deliver a job again that a handler has answered, so this attempt is the last.
        handle = worker.start(message, attempt=1, final=True, on_progress=progress, message_id=_name(job))
        try:
            # Callbacks are waited for: after the answer, Runpod may stop the machine.
            result = await handle.finished()
            answer = await self._answer(worker, result, short)
        except asyncio.CancelledError:
            handle.cancel()
            raise
        except ResprayError as error:
            answer = {"status": "failed", "error": error.for_callers}
        finally:
            if self._inline_only:
                await _forget(worker, message)
        if said := answer.get("error"):
            self._error = said
            hint = "" if short or not self._inline_only else f"; {_NO_BUCKET}"
            answer["error"] = in_short_words(said) if short else said + hint
        return answer

    async def _answer(self, worker: Worker, result: JobResult, short: bool) -> dict[str, Any]:
        """What Runpod is told. A result inside it needs no link; links of other jobs are made behind all that is logged."""
        if short and not any(record.links for record in result.records):
            return await with_files(result, worker.storage, keys_last=not self._inline_only)
        return await with_links(result, worker.records)

    @contextlib.contextmanager
    def _with_store(self) -> Iterator[WorkerOptions]:
        """The options of a worker; without a bucket, with a folder that is there as long as the worker."""
        if not self._inline_only:
            yield self._options
            return
        with tempfile.TemporaryDirectory(prefix="respray-") as folder:
            yield replace(self._options, store=folder)

    def _progress(self, job: dict[str, Any], done: int, total: int) -> None:
        try:
            self._runpod.serverless.progress_update(job, {"done": done, "total": total})
        except Exception as error:  # progress is a courtesy
            log.debug("progress could not be reported: %s", error)

    async def _opened(self) -> Worker:
        """The worker, made once, on the loop that uses it."""
        # An opening that failed, because the store had a bad minute, must not fail every job from then on.
        if self._worker is None or (self._worker.done() and (self._worker.cancelled() or self._worker.exception() is not None)):
            self._worker = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(self._worker))
        return await asyncio.shield(self._worker)

    async def _keep(self, opened: asyncio.Future[Worker]) -> None:
        """Hold a worker from its opening to its end in one task: the end of the SDK's loop cancels it, and it closes all in order."""
        settings = self._settings
        try:
            with self._with_store() as options:
                async with (
                    serve_health(settings.health_host, settings.health_port, self._health, self._metrics),
                    open_worker(settings, options, self._events, self._metrics, self._redactor) as worker,
                    sweeping(worker, settings.owed_interval),
                ):
                    self._health.worker = worker
                    self._events.worker("ready", "taking jobs from Runpod")
                    opened.set_result(worker)
                    await asyncio.get_running_loop().create_future()
        except Exception as error:
            if opened.done():
                log.warning("the worker could not be closed in order: %s", error)
            else:
                opened.set_exception(error)
        finally:
            opened.cancel()  # of no effect where it has its answer

    def _watch_signals(self) -> None:
        """Around the SDK's handler for SIGTERM: say that we are leaving, and end at once when it comes a second time."""
        before = signal.getsignal(signal.SIGTERM)
        if getattr(before, "__self__", None) is self:
            return

        self._before = before
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(1)
        self._health.stop()
        self._events.worker("cleaning_up", "no more jobs are taken")
        if callable(self._before):
            self._before(number, frame)


def check_source(arguments: list[str]) -> None:
    """Raise SettingsError where the SDK would have nothing to take jobs from: on any machine but one of Runpod's serverless workers."""
    if not _has_source(arguments):
        raise SettingsError(
            "ADAPTER=runpod (the default) finds no jobs here: RUNPOD_WEBHOOK_GET_JOB, which Runpod sets in its workers, is missing. "
            "Elsewhere set ADAPTER to queue_pull, bullmq, celery, http or local; to try this intake, give it --rp_serve_api, "
            "--test_input JSON, or a file test_input.json"
        )


def _has_source(arguments: list[str]) -> bool:
    """Whether the SDK would find jobs; it ends the process with a line about test_input.json where it does not.

    The variables are Runpod's and read by its SDK, no settings of ours. Its arguments may be shortened, as argparse allows.
    """
    return (
        "RUNPOD_WEBHOOK_GET_JOB" in os.environ
        or os.environ.get("RUNPOD_REALTIME_PORT", "0") != "0"
        or any(argument.startswith(("--test", "--rp_s")) for argument in arguments)
        or Path("test_input.json").exists()
    )


async def _forget(worker: Worker, message: Any) -> None:
    """Remove what a job left in a store that nobody reads: the answer has it all."""
    fields = message if isinstance(message, dict) else {}
    user, job = fields.get("user_id"), fields.get("job_id")
    prefixes = [FAILED_PREFIX]
    if isinstance(user, str) and isinstance(job, str) and not keys.id_problem(user) and not keys.id_problem(job):
        prefixes += [
            keys.outputs_prefix(user, job),
            keys.previews_prefix(user, job),
            keys.masks_prefix(user, job),
            f"{OWED_PREFIX}{user}/{job}.",
        ]
    try:
        for prefix in prefixes:
            for key in await worker.storage.keys(prefix, 10_000):
                await worker.storage.delete(key)
    except ResprayError as error:
        log.warning("what a job left behind could not be removed: %s", error)


def _message(job: dict[str, Any]) -> Any:
    """The job message inside Runpod's envelope; some senders put it as text."""
    return job.get("input")


def _name(job: dict[str, Any]) -> str | None:
    """Runpod's id of the request."""
    name = job.get("id")
    return f"runpod:{name}" if isinstance(name, str) and name else None
