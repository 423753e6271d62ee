"""The events of each job, kept for those who ask over HTTP: the same that go to stdout.

An event names its job and no user, so that two users' jobs of one name would be told apart by nothing. Whoever starts a job therefore
enters its stream first: a context variable, which asyncio hands on to the job's tasks, says to whom an event belongs.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

MAX_EVENTS = 4096
"""Events of one job that are kept: two for each photo of the largest job, and its end."""
MAX_BYTES = 8 << 20
"""Bytes of events of one job that are kept."""
MAX_QUIET_BYTES = 64 << 20
"""The same of all jobs together that this process does not work on; the oldest are forgotten, and their records tell what they told."""
MAX_QUIET = 512

_current: ContextVar[JobStream | None] = ContextVar("respray_job_stream", default=None)


@dataclass(frozen=True)
class StreamEvent:
    """One event. `number` counts from 1; `data` is its JSON."""

    number: int
    name: str
    data: str


class JobStream:
    """What was told of one message of a job, newest last. Used on one event loop."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.name = secrets.token_hex(4)
        self.live = False
        self.finished = False
        self.size = 0
        self.last = 0
        self._events: deque[StreamEvent] = deque()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def add(self, record: dict[str, Any]) -> None:
        """Take one event; safe to call from other threads."""
        name = str(record.get("event", "message"))
        data = json.dumps(record, separators=(",", ":"), default=str)
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._add(name, data)
        else:
            self._loop.call_soon_threadsafe(self._add, name, data)

    def start(self) -> None:
        """The job is worked on by this process from now on."""
        self.live, self.finished = True, False
        self._notify()

    def end(self) -> None:
        """Nothing more comes from this process."""
        self.live = False
        self._notify()

    def since(self, number: int) -> list[StreamEvent] | None:
        """The events behind this number; None where some of them are forgotten."""
        if self._events and self._events[0].number > number + 1:
            return None
        return [event for event in self._events if event.number > number]

    def number_of(self, event_id: str | None) -> int | None:
        """The number in an event id of this stream; None for any other text."""
        name, _, number = (event_id or "").partition("-")
        return int(number) if name == self.name and number.isascii() and number.isdigit() and len(number) < 10 else None

    def id_of(self, event: StreamEvent) -> str:
        """The event's id."""
        return f"{self.name}-{event.number}"

    async def changed(self, seconds: float) -> None:
        """Wait for news, but no longer than this."""
        changed = self._changed
        try:
            await asyncio.wait_for(changed.wait(), seconds)
        except TimeoutError:
            return

    def _add(self, name: str, data: str) -> None:
        self.last += 1
        self._events.append(StreamEvent(self.last, name, data))
        self.size += len(data)
        while len(self._events) > MAX_EVENTS or (self.size > MAX_BYTES and len(self._events) > 1):
            self.size -= len(self._events.popleft().data)
        self.finished = self.finished or name == "finish"
        self._notify()

    def _notify(self) -> None:
        # Everybody who waits wakes up; who comes later waits for the next one.
        self._changed.set()
        self._changed = asyncio.Event()


class Streams:
    """The streams of all jobs that this process knows of."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], JobStream] = OrderedDict()

    def open(self, user_id: str, job_id: str, message_id: str) -> JobStream:
        """The stream of this message; a new one takes the place of an older message's."""
        stream = self._streams.get((user_id, job_id))
        if stream is None or stream.message_id != message_id:
            stream = JobStream(message_id)
            self._streams[user_id, job_id] = stream
        self._streams.move_to_end((user_id, job_id))
        self._forget()
        return stream

    def find(self, user_id: str, job_id: str) -> JobStream | None:
        """The stream of the newest message of a job, if this process knows it."""
        return self._streams.get((user_id, job_id))

    def _forget(self) -> None:
        quiet = [key for key, stream in self._streams.items() if not stream.live]
        size = sum(self._streams[key].size for key in quiet)
        for position, key in enumerate(quiet):
            if size <= MAX_QUIET_BYTES and len(quiet) - position <= MAX_QUIET:
                return
            size -= self._streams.pop(key).size


@contextmanager
def telling(stream: JobStream) -> Iterator[None]:
    """Events of tasks that are made inside the block go to the stream."""
    token = _current.set(stream)
    try:
        yield
    finally:
        _current.reset(token)


def tell(record: dict[str, Any]) -> None:
    """The listener for `Events`: hands an event to the stream of the job that it was emitted in."""
    stream = _current.get()
    if stream is not None and record.get("event") in ("progress", "item", "finish"):
        stream.add(record)
