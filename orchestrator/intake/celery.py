"""Celery on Redis: messages as tasks named `respray.process` whose argument is the job.

The job is the only positional argument, or the keyword argument `job`, or its fields are the keyword arguments.

Late acknowledgement, prefetch 1, and a short visibility timeout that is renewed while this worker holds a message, be it in work or
waiting for its next attempt: what a dead worker held is delivered again after it, however long jobs take.
Celery runs in threads and Respray's worker on its event loop; a task waits for its job there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import celery
import redis
from celery.exceptions import Reject, WorkerShutdown
from celery.worker import WorkController, state
from celery.worker.consumer.consumer import Consumer

from orchestrator.errors import IntakeError
from orchestrator.intake.base import Intake, backoff
from orchestrator.intake.celery_compression import bound_decoders
from orchestrator.intake.celery_consumer import UNREADABLE, RefusingConsumer
from orchestrator.intake.celery_transport import Channel
from orchestrator.intake.redis_server import ANSWER_SECONDS, ask, check_redis, no_answer, refusal
from orchestrator.intake.repeated_lines import OncePerWhile
from orchestrator.jobs.raw_message import RawMessage
from orchestrator.settings import Settings
from orchestrator.waiting import until
from orchestrator.worker.handle import HandedBack, JobFailed, JobResult
from orchestrator.worker.worker import Worker

log = logging.getLogger(__name__)

TASK = "respray.process"
PRIORITIES = range(10)
"""As Celery has them (docs.celeryq.dev/en/stable/userguide/routing.html#redis-message-priorities)."""
_COUNT_KEPT = 7 * 86400
CLOSE_SECONDS = 6.0
"""How long Celery may take to give back what it holds, after the jobs under way have ended."""


@dataclass(frozen=True)
class Naming:
    """What the senders' applications call things in Redis.

    Attributes:
        prefix: `global_keyprefix` of their broker's transport options, before each key of their queue.
        separator: `sep` of the same, between the queue's name and a priority.
        results: where they look for results (redis:// or rediss://); None: where their queue is.
        results_prefix: `global_keyprefix` of their result backend's transport options.
    """

    prefix: str = ""
    separator: str = Channel.sep
    results: str | None = None
    results_prefix: str = ""


DEFAULT_NAMING = Naming()


def make_app(url: str, queue: str, visibility: float, naming: Naming = DEFAULT_NAMING) -> celery.Celery:
    """The Celery application, for the worker and for producers in Python: `app.send_task("respray.process", [job])`.

    All ten priorities are read, whichever of them a sender's `priority_steps` tells apart.
    """
    url, results = with_certificates_checked(url), with_certificates_checked(naming.results or url)
    app = celery.Celery("respray", broker=url, backend=results, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={
            "visibility_timeout": visibility,
            "global_keyprefix": naming.prefix,
            "sep": naming.separator,
            "priority_steps": list(PRIORITIES),
            # Of our own: the short timeout must not return what other applications on this Redis are working on.
            "unacked_key": f"respray:{queue}:unacked",
            "unacked_index_key": unacked_index(queue),
            "unacked_mutex_key": f"respray:{queue}:unacked_mutex",
            "unacked_mutex_expire": max(5, round(visibility)),
            "unacked_restore_interval": max(1.0, visibility / 4),
            "unacked_restore_throttle": 1,
        },
        result_backend_transport_options={"visibility_timeout": visibility, "global_keyprefix": naming.results_prefix},
        broker_transport="orchestrator.intake.celery_transport:Transport",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis that fails over, is out of memory or wants another password answers with an error on a line that stays whole: it is asked
        # again like one that is away (docs.celeryq.dev/en/stable/userguide/configuration.html#broker-channel-error-retry).
        broker_channel_error_retry=True,
        task_serializer="json",
        accept_content=["json"],
        result_expires=86400,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
    )
    return app


def with_certificates_checked(url: str) -> str:
    """The address of a Redis with TLS, whose certificate is checked unless it says otherwise.

    Without `ssl_cert_reqs`, Kombu checks none, and Celery's results end in an error.
    """
    checked = not url.startswith("rediss:") or "ssl_cert_reqs" in parse_qs(urlsplit(url).query)
    return url if checked else f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def unacked_index(queue: str) -> str:
    """Redis' key of the messages that workers hold, by the time when they got them."""
    return f"respray:{queue}:unacked_index"


class CeleryIntake(Intake):
    """Jobs from Celery's Redis broker."""

    def __init__(self, url: str, queue: str, jobs: int, visibility: float, naming: Naming = DEFAULT_NAMING) -> None:
        """Nothing is connected before `run`.

        Args:
            url: redis:// or rediss://.
            queue: The queue's name.
            jobs: Jobs that may be under way at the same time.
            visibility: Seconds that a message stays a dead worker's; a living one renews it four times as often.
            naming: What the senders call things in Redis.
        """
        self._url, self._jobs = url, jobs
        self._queue, self._visibility, self._naming = queue, visibility, naming
        self._check_key = f"respray:{queue}:check"
        own = f"{naming.prefix}{queue}"
        self._lists = [f"{own}{naming.separator}{priority}" if priority else own for priority in PRIORITIES]
        self.app = make_app(url, queue, visibility, naming)
        self._counter: Any = redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)

    @classmethod
    def from_settings(cls, settings: Settings) -> CeleryIntake:
        """From REDIS_URL, QUEUE_NAME and the settings that begin with CELERY."""
        results = settings.celery_result_url
        assert settings.redis_url is not None and settings.queue_name is not None  # `require` has checked them
        return cls(
            settings.redis_url.get_secret_value(),
            settings.queue_name,
            settings.job_concurrency,
            2 * settings.lock_seconds,
            Naming(
                settings.celery_key_prefix,
                settings.celery_separator or Channel.sep,
                None if results is None else results.get_secret_value(),
                settings.celery_result_key_prefix,
            ),
        )

    async def reach(self, stop: asyncio.Event) -> None:
        keys = (f"_kombu.binding.{self._queue}", unacked_index(self._queue))
        await check_redis(self._url, [self._check_key, *self._lists, *(f"{self._naming.prefix}{key}" for key in keys)])
        if self._naming.results:
            await check_redis(self._naming.results, [self._check_key], "CELERY_RESULT_URL")

    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        bound_decoders()
        logging.getLogger(Consumer.__module__).addFilter(OncePerWhile())

        def process(task: Any, /, *arguments: Any, **named: Any) -> dict[str, Any]:
            return self.deliver(task, job_of(arguments, named), worker, stop, loop)

        def refuse(task: Any, /, *arguments: Any, **named: Any) -> dict[str, Any]:
            text, reason = arguments if len(arguments) == 2 else ("", "the message is no job")
            return self.deliver(task, RawMessage(str(text), None, str(reason)), worker, stop, loop)

        self.app.set_default()  # Celery's threads look for "the" application to store a result
        self.app.task(name=TASK, bind=True, max_retries=None, shared=False)(process)  # of this application, and of no later one
        self.app.task(name=UNREADABLE, bind=True, max_retries=None, shared=False)(refuse)
        controller = WorkController(
            app=self.app,
            pool="threads",
            consumer_cls=RefusingConsumer,
            concurrency=self._jobs,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        ended, failure = asyncio.Event(), list[BaseException]()

        def work() -> None:
            try:
                _start(controller)
            except BaseException as error:
                failure.append(error)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop has not waited for it
                    loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=work, daemon=True, name="celery").start()
        renewing = asyncio.create_task(self._keep(controller, worker))
        await until(stop, ended.wait())
        # Celery notices this in its own loop, waits for its threads, and gives back what it had fetched and not begun.
        state.should_stop = 0
        # A Redis that hangs ends none of this.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), worker.grace + CLOSE_SECONDS)
        state.should_stop = None
        renewing.cancel()
        if not stop.is_set():
            raise IntakeError(f"Celery's consumer has ended by itself ({failure[0] if failure else 'see the log'})")

    async def _keep(self, controller: Any, worker: Worker) -> None:
        """Renew what this worker holds for as long as it lives, and count what waits."""
        while True:
            try:
                worker.queue_lag(*await asyncio.to_thread(self._look))
                await asyncio.to_thread(self._renew, controller)
            except (redis.RedisError, OSError) as error:
                worker.queue_away(no_answer(error))
                log.warning("held messages could not be renewed; another worker may take them: %s", error)
            await asyncio.sleep(self._visibility / 4)

    def _look(self) -> tuple[int, str | None]:
        """Messages in the queue, which has one list for each priority; and why Redis takes no writes."""
        with self._counter.pipeline(transaction=False) as pipe:
            ask(pipe, self._check_key)
            for name in self._lists:
                pipe.llen(name)
            answers = pipe.execute(raise_on_error=False)
        return sum(answer for answer in answers[2:] if isinstance(answer, int)), refusal(answers)

    def _renew(self, controller: Any) -> None:
        consumer = getattr(getattr(controller, "consumer", None), "task_consumer", None)
        if consumer is None:
            return  # between two connections: what was held is given back by then
        # Kombu's record of what was delivered on this channel. Only members that are still in the index are touched.
        tags = list(consumer.channel.qos._delivered)
        if tags:
            self._counter.zadd(f"{self._naming.prefix}{unacked_index(self._queue)}", dict.fromkeys(tags, time.time()), xx=True)

    def deliver(self, task: Any, message: Any, worker: Worker, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
        """Work on one delivery, in one of Celery's threads.

        Args:
            task: Celery's task, which knows the delivery's id and can send the next attempt.
            message: The job as its sender gave it.
            worker: Does the job, on `loop`.
            stop: The order to stop, on `loop`.
            loop: The event loop of the worker.

        Raises:
            Retry: Celery's own, where a further attempt has been sent.
            Reject: Where the message goes back to its queue.
        """
        attempt = self._count(task.request.id)

        async def work() -> JobResult:
            return await worker.within_grace(worker.start(message, attempt, message_id=f"celery:{task.request.id}"), stop)

        try:
            result = asyncio.run_coroutine_threadsafe(work(), loop).result()
        except JobFailed as error:
            try:
                raise task.retry(exc=error, countdown=backoff(attempt), max_retries=None) from error
            except Reject as unsent:
                # Redis did not take the next attempt, and Celery would throw this delivery away, the only one there is.
                raise Reject(f"{error}; no further attempt could be sent: {unsent.reason}", requeue=True) from error
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


def job_of(arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """The job that a sender gave, in any of the accepted ways; what is none of them is no job, and is refused as such."""
    if len(arguments) == 1 and not named:
        return arguments[0]
    if arguments:
        given = f"{len(arguments)} positional and {len(named)} keyword arguments" if named else f"{len(arguments)} arguments"
        text = json.dumps({"args": list(arguments), "kwargs": dict(named)}, default=repr)
        return RawMessage(text, None, f"the task was given {given}; accepted is the job alone (a chain adds the result before: use .si)")
    return named["job"] if named.keys() == {"job"} else dict(named)


def _count_key(task_id: str) -> str:
    return f"respray:deliveries:{task_id}"


def _start(controller: Any) -> None:
    with contextlib.suppress(WorkerShutdown, SystemExit):
        controller.start()
