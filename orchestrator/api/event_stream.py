"""A job's events as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Where this process works on the job, they are the same events as on stdout, kept for a while, so that `Last-Event-ID` takes up where a
connection broke off. Where it does not (another process does, or this one was started since), the records on the store tell each item and
the end; an item may then be told twice.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from orchestrator.api.service import ApiService
from orchestrator.api.streams import JobStream
from orchestrator.api.view import ItemView, JobView

POLL_SECONDS = 1.0
"""Between two looks at the records of a job that runs elsewhere."""
ALIVE_SECONDS = 15.0
"""After so long without an event a comment is sent: it keeps proxies from closing the connection, and finds clients that are gone."""
RETRY_MILLISECONDS = 2000
STORED = "stored"
"""The event id of what the records tell; it takes nothing up."""


def end_id(view: JobView) -> str:
    """The event id of the end of a job that is over, as the records tell it."""
    return f"{STORED}-{view.state}-{view.completed}-{view.failed}"


def has_seen_the_end(service: ApiService, view: JobView, last_event_id: str | None) -> bool:
    """Whether a client has all that there is to tell, and is to be told so: browsers connect again after every end."""
    if not view.over or not last_event_id:
        return False
    stream = service.streams.find(view.user_id, view.job_id)
    return last_event_id == end_id(view) or (stream is not None and stream.finished and stream.number_of(last_event_id) == stream.last)


async def event_stream(service: ApiService, view: JobView, last_event_id: str | None) -> AsyncIterator[str]:
    """The events of a job, until its end or that of this process."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    told: set[tuple[int, str]] = set()
    quiet = 0.0
    user_id, job_id = view.user_id, view.job_id
    while not service.stopping:
        stream = service.streams.find(user_id, job_id)
        if stream is not None and (stream.live or stream.finished):
            async for text in _live(service, stream, last_event_id, view):
                yield text
            if stream.finished or service.stopping:
                return
            last_event_id = None
        found = await service.ready.views.find(user_id, job_id)
        if found is None:
            return
        view = found
        news = [item for item in view.items if (item.idx, item.status) not in told]
        for item in news:
            told.add((item.idx, item.status))
            yield _item(view, item)
        if view.over:
            yield _event("finish", end_id(view), json.dumps(_end(view)))
            return
        quiet = 0.0 if news else quiet + POLL_SECONDS
        if quiet >= ALIVE_SECONDS:
            quiet = 0.0
            yield ": still there\n\n"
        stream = stream or service.streams.open(user_id, job_id, "")
        await stream.changed(POLL_SECONDS)


async def _live(service: ApiService, stream: JobStream, last_event_id: str | None, view: JobView) -> AsyncIterator[str]:
    """What this process tells, from where the client is, to the end of its work."""
    number = stream.number_of(last_event_id) or 0
    quiet = 0.0
    while True:
        events = stream.since(number)
        if events is None:
            # The beginning is forgotten: the records tell of the items instead, and the stream goes on from here.
            number = stream.last
            current = await service.ready.views.find(view.user_id, view.job_id)
            for item in current.items if current else ():
                yield _item(current or view, item)
            continue
        for event in events:
            number = event.number
            yield _event(event.name, stream.id_of(event), event.data)
        if stream.finished or not stream.live or service.stopping:
            return
        quiet = 0.0 if events else quiet + POLL_SECONDS
        if quiet >= ALIVE_SECONDS:
            quiet = 0.0
            yield ": still there\n\n"
        await stream.changed(POLL_SECONDS)


def _item(view: JobView, item: ItemView) -> str:
    report = item.report.model_dump(exclude_none=True) if item.report else None
    data = {
        "event": "item",
        "job_id": view.job_id,
        "idx": item.idx,
        "status": item.status,
        "output_key": item.output_key,
        "error": item.error,
        "timings": item.timings,
        "report": report,
    }
    return _event("item", STORED, json.dumps(data, separators=(",", ":")))


def _end(view: JobView) -> dict[str, object]:
    return {
        "event": "finish",
        "job_id": view.job_id,
        "status": "completed" if view.state == "completed" else "failed",
        "completed": view.completed,
        "failed": view.failed,
        "total": view.total,
        "error": view.error,
        "manifest": view.manifest,
    }


def _event(name: str, identity: str, data: str) -> str:
    return f"event: {name}\nid: {identity}\ndata: {data}\n\n"
