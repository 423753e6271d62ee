"""What the routes share: the worker once it is there, the queue, the streams, the keys."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from orchestrator.api.dispatcher import Dispatcher
from orchestrator.api.keys import LOCAL_USER, ApiKey, Caller
from orchestrator.api.problems import ApiProblem
from orchestrator.api.queue import JobQueue, Stored
from orchestrator.api.streams import Streams
from orchestrator.api.view import JobViews
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.name_catalog import Catalog, load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.jobs.raw_message import RawMessage
from orchestrator.photos.service import PhotoService
from orchestrator.settings import Settings
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.worker import Worker

LONG_MESSAGE = 64 << 10
QUIET_SECONDS = 5.0
"""How long the end waits for answers that are being written."""


@dataclass
class Running:
    """What there is once the worker is open."""

    worker: Worker
    storage: AsyncStorage
    queue: JobQueue
    views: JobViews
    dispatcher: Dispatcher
    photos: PhotoService


@dataclass
class ApiService:
    """One HTTP intake.

    Attributes:
        settings: The settings.
        keys: Who may call; none: everybody, as the user `local`.
        palette: A palette file of the user's own.
        streams: The events of jobs.
        running: What there is once the worker is open; None before, and after its end.
        stopping: The order to stop has come.
        under_way: When each request that is under way began, by key; of the loop's clock.
        waiting: Requests that wait for a job, by user and job.
        when_ready: Called once the worker is open.
    """

    settings: Settings
    keys: tuple[ApiKey, ...] = ()
    palette: Path | None = None
    streams: Streams = field(default_factory=Streams)
    running: Running | None = None
    stopping: bool = False
    under_way: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    when_ready: Callable[[], None] | None = None
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = load_catalog(self.palette)

    @property
    def open_to_all(self) -> bool:
        """Whether no key is needed."""
        return not self.keys

    @property
    def ready(self) -> Running:
        """What there is once the worker is open. Raises ApiProblem where it is not."""
        if self.running is None:
            raise ApiProblem(503, "the worker is shutting down" if self.stopping else "the worker is starting", "starting")
        return self.running

    async def take_jobs(self, worker: Worker, stop: asyncio.Event) -> None:
        """The intake's `run`: from the open worker to the order to stop."""
        records = worker.records
        queue = JobQueue(worker.storage, records.versions)
        dispatcher = Dispatcher(
            queue,
            records.versions,
            self.streams,
            worker=worker,
            jobs=self.settings.job_concurrency,
            lock_seconds=self.settings.lock_seconds,
        )
        photos = PhotoService(worker.storage, worker.backend, worker.catalog, worker.kept)
        self.running = Running(worker, worker.storage, queue, JobViews(worker.storage, records, queue), dispatcher, photos)
        if self.when_ready is not None:
            self.when_ready()
        watch = asyncio.create_task(self._watch(stop))
        try:
            await dispatcher.run(stop)
        finally:
            self.stopping = True
            watch.cancel()
            await self._quiet()
            self.running = None

    async def parse(self, raw: RawMessage) -> Job:
        """A message as a job; long ones in a thread. Raises JobError."""
        arguments = (raw, self.catalog, self.settings.workers_api_url)
        if len(str(raw.received)) > LONG_MESSAGE:
            return await asyncio.to_thread(parse_job, *arguments)
        return parse_job(*arguments)

    async def accept(self, job: Job, raw: RawMessage, *, replace: bool, urgent: bool = False) -> bool:
        """Take a job in: it is on the store when this returns. Returns whether it is news. Raises as `JobQueue.accept`."""
        if self.stopping:
            raise ApiProblem(503, "the worker is shutting down; send the job to another one, or again in a while", "stopping")
        stored = await self.ready.queue.accept(job, raw, replace=replace, urgent=urgent)
        if stored is None:
            return False
        entry = stored.entry
        self.streams.open(entry.user_id, entry.job_id, entry.message_id)
        self.ready.dispatcher.offer(stored)
        return True

    async def stop_job(self, user_id: str, job_id: str) -> None:
        """Stop what waits or is under way of a job."""
        running = self.ready
        for stored in await running.queue.entries(user_id, job_id):
            changed: Stored | None = await running.queue.change(stored, lambda entry: entry.model_copy(update={"cancelled": True}))
            running.dispatcher.stop(stored.entry.key)
            if changed is not None and not changed.entry.holder:
                running.dispatcher.offer(changed)

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.stopping = True

    async def _quiet(self) -> None:
        """Wait for answers that are being written; streams of events end by themselves."""
        deadline = asyncio.get_running_loop().time() + QUIET_SECONDS
        while any(self.under_way.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)


def service_of(request: Request) -> ApiService:
    """The service behind a request."""
    service = request.app.state.service
    assert isinstance(service, ApiService)
    return service


def caller_in(request: Request) -> Caller:
    """Who sent a request; the gate has seen to it that somebody did."""
    caller = request.scope.get("state", {}).get("caller")
    return caller if isinstance(caller, Caller) else Caller(LOCAL_USER, LOCAL_USER)
