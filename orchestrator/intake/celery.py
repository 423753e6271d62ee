"""Celery on Redis: messages as tasks named `respray.process` whose first argument is the job.

Late acknowledgement, prefetch 1, and a visibility timeout above the longest job: what a dead worker held is delivered again after it.
Celery runs in threads and Respray's worker on its event loop; a task waits for its job there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import CancelledError as FutureCancelled
from typing import Any

import celery
import redis
from celery.exceptions import Reject, WorkerShutdown
from celery.worker import WorkController, state

from orchestrator.handle import HandedBack, JobFailed, JobResult
from orchestrator.intake.base import Intake, backoff
from orchestrator.intake.bullmq import check_redis
from orchestrator.settings import Settings
from orchestrator.worker import Worker

log = logging.getLogger(__name__)

TASK = "respray.process"
_COUNT_KEPT = 7 * 86400


def make_app(url: str, queue: str, visibility: float) -> celery.Celery:
    """The Celery application, for the worker and for producers in Python: `app.send_task("respray.process", [job])`."""
    app = celery.Celery("respray", broker=url, backend=url, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"visibility_timeout": visibility},
        result_backend_transport_options={"visibility_timeout": visibility},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        accept_content=["json"],
        result_expires=86400,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
    )
    return app


class CeleryIntake(Intake):
    """`jobs` may be under way at the same time; `visibility` in seconds."""

    def __init__(self, url: str, queue: str, jobs: int, visibility: float) -> None:
        self._url, self._jobs = url, jobs
        self._queue = queue
        self._app = make_app(url, queue, visibility)
        self._counter: Any = redis.from_url(url)

    @classmethod
    def from_settings(cls, settings: Settings) -> CeleryIntake:
        """From REDIS_URL and QUEUE_NAME."""
        assert settings.redis_url is not None and settings.queue_name is not None  # `require` has checked them
        return cls(settings.redis_url.get_secret_value(), settings.queue_name, settings.job_concurrency, settings.longest_job + 60.0)

    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        await check_redis(self._url)
        loop = asyncio.get_running_loop()

        def process(task: Any, message: Any) -> dict[str, Any]:
            return self._process(task, message, worker, stop, loop)

        self._app.set_default()  # Celery's threads look for "the" application to store a result
        self._app.task(name=TASK, bind=True, max_retries=None)(process)
        controller = WorkController(
            app=self._app,
            pool="threads",
            concurrency=self._jobs,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        thread = threading.Thread(target=_start, args=(controller,), daemon=True, name="celery")
        thread.start()
        ended = asyncio.ensure_future(asyncio.to_thread(thread.join))
        await asyncio.wait({ended, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        # Celery notices this in its own loop, waits for its threads, and gives back what it had fetched and not begun.
        state.should_stop = 0
        await asyncio.wait({ended}, timeout=worker.grace + 15.0)
        state.should_stop = None

    def _process(self, task: Any, message: Any, worker: Worker, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        """One delivery, in one of Celery's threads."""
        attempt = self._count(task.request.id)

        async def work() -> JobResult:
            return await worker.within_grace(worker.start(message, attempt), stop)

        try:
            result = asyncio.run_coroutine_threadsafe(work(), loop).result()
        except JobFailed as error:
            raise task.retry(exc=error, countdown=backoff(attempt), max_retries=None) from error
        except (HandedBack, FutureCancelled) as error:
            log.warning("%s", error)
            raise Reject(str(error), requeue=True) from error
        with contextlib.suppress(redis.RedisError):
            self._counter.delete(_count_key(task.request.id))
        # A refused or given up job is acknowledged: its dead letter is the record below `failed/`, as Redis has no dead-letter queue.
        return result.fields()

    def _count(self, task_id: str) -> int:
        """How often this task was delivered, those times included that ended with a dead worker, which Celery does not count."""
        try:
            count = int(self._counter.incr(_count_key(task_id)))
            self._counter.expire(_count_key(task_id), _COUNT_KEPT)
        except redis.RedisError:
            return 1
        return count


def _count_key(task_id: str) -> str:
    return f"respray:deliveries:{task_id}"


def _start(controller: Any) -> None:
    with contextlib.suppress(WorkerShutdown, SystemExit):
        controller.start()
