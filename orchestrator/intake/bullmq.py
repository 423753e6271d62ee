"""BullMQ on Redis: the Python worker, compatible with Node's queues.

The lock of a job is renewed on this event loop, which image work never blocks (it happens in Triton). A job that can be tried again is
delayed here, whatever number of attempts its producer gave; one that cannot is failed for good, which is BullMQ's dead-letter set.

What BullMQ itself cannot read (data nested too deeply, options that are no JSON) reaches the worker as text, and is refused there
like anything else that is no job.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import bullmq
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from orchestrator.errors import IntakeError
from orchestrator.intake.base import Intake, Throttle, backoff
from orchestrator.intake.redis_server import ask, check_redis, no_answer, refusal
from orchestrator.intake.repeated_lines import OncePerWhile
from orchestrator.settings import Settings
from orchestrator.waiting import pause, until
from orchestrator.worker.handle import HandedBack, JobFailed
from orchestrator.worker.worker import Worker

log = logging.getLogger(__name__)
repeated = log.getChild("library")
repeated.addFilter(OncePerWhile())

LAG_EVERY = 10.0
LAG_RETRIES = 3
IDLE_BLOCK_SECONDS = 2.0
"""How long an idle worker waits in Redis before it looks itself: for jobs whose delay is over, and for a signal that was lost."""
SOCKET_TIMEOUT_SECONDS = 20.0
"""Longer than BullMQ ever waits in one command (10 s). With redis-py's own 5 s, no wait would come to its end."""
WAITS = ExponentialBackoff(cap=1.0, base=0.1)
"""Seconds between two attempts of a command, in place of BullMQ's, which grow to 20: a Redis that is back is noticed at once."""
MAX_RETRIES = 300
_TEMPLATE = "return redis.call('zscore', KEYS[1], ARGV[1]) and redis.call('hsetnx', KEYS[2], 'data', ARGV[2])"
"""Unless the repetition has been removed meanwhile."""
CLOSE_SECONDS = 3.0
"""How long closing the connections may take, after the jobs under way have ended."""


class BullmqIntake(Intake):
    """Jobs from a BullMQ queue."""

    def __init__(self, url: str, queue: str, jobs: int, *, prefix: str = "bull", lock: float = 30.0, stalled_every: float = 15.0) -> None:
        """Nothing is connected before `run`.

        Args:
            url: redis:// or rediss:// (TLS; `?ssl_ca_certs=FILE` for a private authority).
            queue: The queue's name.
            jobs: Jobs that may be under way at the same time.
            prefix: What the queue's keys begin with (`prefix` of Node's queues).
            lock: Seconds that a job stays a dead worker's.
            stalled_every: Seconds between two looks for jobs of dead workers.
        """
        self._url, self._queue, self._jobs, self._prefix = with_timeouts(url), queue, jobs, prefix
        self._lock, self._stalled_every = lock, stalled_every
        self._check_key = f"{prefix}:{queue}:respray-check"
        self._active: set[asyncio.Task[dict[str, Any]]] = set()

    @classmethod
    def from_settings(cls, settings: Settings) -> BullmqIntake:
        """From REDIS_URL, QUEUE_NAME and BULLMQ_PREFIX."""
        assert settings.redis_url is not None and settings.queue_name is not None  # `require` has checked them
        return cls(
            settings.redis_url.get_secret_value(),
            settings.queue_name,
            settings.job_concurrency,
            prefix=settings.bullmq_prefix,
            lock=settings.lock_seconds,
        )

    async def reach(self, stop: asyncio.Event) -> None:
        await check_redis(self._url, [self._check_key, *(f"{self._prefix}:{self._queue}:{name}" for name in ("meta", "wait", "active"))])

    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        options: Any = {
            "connection": self._url,
            "prefix": self._prefix,
            "drainDelay": IDLE_BLOCK_SECONDS,
            "concurrency": self._jobs,
            "lockDuration": round(self._lock * 1000),
            "stalledInterval": round(min(self._stalled_every, self._lock) * 1000),
            # A job whose worker died counts as stalled. BullMQ gives up after one; here the worker counts attempts itself.
            "maxStalledCount": 1_000_000,
            "runRetryDelay": 1000,
            "removeOnComplete": {"count": 1000},
            "autorun": False,
        }

        async def process(job: bullmq.Job, token: str) -> dict[str, Any]:
            task = asyncio.ensure_future(self._process(worker, stop, job, token))
            self._active.add(task)
            task.add_done_callback(self._active.discard)
            return await task

        taker = _Taker(self._queue, process, options)
        for client in (taker.client, taker.bclient):
            client.set_retry(Retry(WAITS, MAX_RETRIES))
        taker.on("error", lambda error, *_: repeated.warning("BullMQ: %s", error))
        taker.on(
            "lockRenewalFailed", lambda jobs, *_: log.warning("BullMQ could not renew the lock of %s; another worker may take it", jobs)
        )
        over = asyncio.Event()
        lag = asyncio.create_task(self._watch_lag(worker, over))
        taking = asyncio.create_task(taker.run())
        try:
            await until(stop, asyncio.wait([taking]))
            if not stop.is_set():
                raise IntakeError(f"BullMQ's worker has ended by itself ({(taking.done() and taking.exception()) or 'see the log'})")
        finally:
            # Fetch nothing more (a closing worker would take what it has just handed back), then let those under way end, which the
            # grace period bounds, and only then close the connections that they need for it. A Redis that hangs ends no wait here.
            await taker.pause(do_not_wait_active=True)
            if self._active:
                await asyncio.wait(self._active, timeout=worker.grace + CLOSE_SECONDS)
            await asyncio.wait([asyncio.ensure_future(taker.close())], timeout=CLOSE_SECONDS)
            taking.cancel()
            # Both: between two steps of a connection the library may take the one for its own timeout.
            over.set()
            lag.cancel()

    async def _process(self, worker: Worker, stop: asyncio.Event, job: bullmq.Job, token: str) -> dict[str, Any]:
        """One delivery. `attemptsStarted` counts deliveries, those that ended with a dead worker included."""
        attempt = max(1, job.attemptsStarted)
        loop = asyncio.get_running_loop()
        reports: set[asyncio.Task[Any]] = set()

        def progress(done: int, total: int) -> None:
            task = loop.create_task(_ignore(job.updateProgress({"done": done, "total": total})))
            reports.add(task)
            task.add_done_callback(reports.discard)

        handle = worker.start(
            # The time as well: an id may be used again once its job is gone.
            job.data,
            attempt,
            on_progress=Throttle(1.0, progress),
            message_id=f"bullmq:{job.id}:{job.timestamp}",
        )
        try:
            result = await worker.within_grace(handle, stop)
        except (JobFailed, HandedBack) as error:
            wait = 0.0 if isinstance(error, HandedBack) else backoff(attempt)
            log.warning("%s; delivered again in %.0f s", error, wait)
            try:
                if wait:
                    await job.moveToDelayed(round((time.time() + wait) * 1000), token)
                else:
                    # Over by any clock. BullMQ counts by this machine's, and after one that is ahead the job would wait for the others'.
                    await job.backend.moveToDelayed(job.id, 0, 0, token, {"skipAttempt": True})
            except (RedisError, OSError) as unsent:
                # Any other error would fail the job for good; as it is, it comes back when its lock has run out.
                log.warning("job %s could not be delayed, and comes back as a dead worker's: %s", job.id, unsent)
            raise DelayedError() from error
        finally:
            if reports:
                await asyncio.wait(reports, timeout=5.0)
        if result.dead:
            raise UnrecoverableError(result.error or "the job was given up")
        return result.fields()

    async def _watch_lag(self, worker: Worker, over: asyncio.Event) -> None:
        queue = bullmq.Queue(self._queue, {"connection": self._url, "prefix": self._prefix})
        queue.client.set_retry(Retry(WAITS, LAG_RETRIES))  # with BullMQ's own, a Redis that is away is a matter of minutes
        try:
            while not over.is_set():
                try:
                    counts = await queue.getJobCounts("waiting", "delayed", "prioritized")
                    async with queue.client.pipeline(transaction=False) as pipe:
                        worker.queue_lag(sum(counts.values()), refusal(await ask(pipe, self._check_key).execute(raise_on_error=False)))
                except (RedisError, OSError) as error:
                    worker.queue_away(no_answer(error))
                await pause(over, LAG_EVERY)
        finally:
            await queue.close()


class _Taker(bullmq.Worker):  # type: ignore[misc]  # the package is not typed
    """BullMQ's worker, which hands over also what it cannot read."""

    async def nextJobFromJobData(self, job_data: Any = None, job_id: Any = None, *arguments: Any, **named: Any) -> bullmq.Job | None:
        """The job; of one that the library cannot read, its data as text and none of its options."""
        if job_data and (key := job_data.get("rjk")):
            await self._keep_template(str(job_id), str(key), str(job_data.get("data", "{}")))
        try:
            return await super().nextJobFromJobData(job_data, job_id, *arguments, **named)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            if not job_data:
                raise
            log.warning("BullMQ cannot read job %s (%s: %s)", job_id, type(error).__name__, error)
            readable = {name: job_data[name] for name in ("timestamp", "ats", "atm") if str(job_data.get(name, "")).isdecimal()}
            job = await super().nextJobFromJobData({"name": str(job_data.get("name")), **readable}, job_id, *arguments, **named)
            job.data = job_data.get("data", "")
            return job

    async def _keep_template(self, job_id: str, key: str, data: str) -> None:
        """Have a repetition's next run carry the data of this one.

        Node's `queue.add` with `repeat` records when, and not what: its own workers copy the job, and this library makes it anew from
        what a job scheduler (`upsertJobScheduler`) records.
        """
        if not job_id.startswith(f"repeat:{key}:"):
            log.warning("the repetition %s is of a BullMQ before 5, and its next run will not come; use upsertJobScheduler", key)
            return
        try:
            await self.client.eval(_TEMPLATE, 2, self.backend.toKey("repeat"), self.backend.toKey(f"repeat:{key}"), key, data)
        except (RedisError, OSError) as error:
            log.warning("the data of the repetition %s could not be kept, and its next run may have none: %s", key, error)


def with_timeouts(url: str) -> str:
    """The address with a socket timeout that no wait of BullMQ's reaches, and a look at idle connections, unless it says otherwise."""
    parts = urlsplit(url)
    query = {"socket_timeout": f"{SOCKET_TIMEOUT_SECONDS:g}", "socket_connect_timeout": "5", "health_check_interval": "15"}
    return urlunsplit(parts._replace(query=urlencode(query | dict(parse_qsl(parts.query)))))


async def _ignore(work: Any) -> None:
    try:
        await work
    except Exception as error:  # progress is a courtesy
        log.debug("progress could not be reported: %s", error)
