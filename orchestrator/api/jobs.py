"""`/v1/jobs`: messages in, state and events out, stop."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from orchestrator.api.event_stream import event_stream, has_seen_the_end
from orchestrator.api.media_types import check_media_type
from orchestrator.api.messages import as_raw, read_message, with_ids
from orchestrator.api.problems import ApiProblem, answers
from orchestrator.api.service import caller_in, service_of
from orchestrator.api.view import JobView, status_url

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(description="The job's id.", max_length=128)]
MESSAGE_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": "#/components/schemas/PaletteMessage"}, {"$ref": "#/components/schemas/RuleMessage"}]}
            }
        },
    }
}

EVENT_STREAM = "text/event-stream"
EVENT_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
EVENT_SCHEMA: dict[str, Any] = {
    "description": "One event; `data` is the line of the worker's stdout.",
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["progress", "item", "finish"]},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}


class Accepted(BaseModel):
    """A job that is on the store."""

    job_id: str
    user_id: str
    status_url: str
    events_url: str


def accepted(user_id: str, job_id: str) -> dict[str, str]:
    """The answer for a job that was taken in."""
    url = status_url(job_id)
    return Accepted(job_id=job_id, user_id=user_id, status_url=url, events_url=f"{url}/events").model_dump()


@router.post(
    "/v1/jobs",
    status_code=202,
    summary="Send a job of either format",
    response_model=Accepted,
    openapi_extra=MESSAGE_SCHEMA,
    responses={
        200: {"model": Accepted, "description": "The same job was accepted before"},
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "The job's status_url"}}},
        **answers(409, 415, 422),
    },
)
async def post_job(
    request: Request,
    replace: Annotated[bool, Query(description="Take the job also where one of its id was accepted before: the newer one wins.")] = False,
) -> JSONResponse:
    """Take a job in: a palette message or a rule message, as every queue takes them. It is on the store before the answer leaves.

    `user_id` may be left out: it is the key's. `job_id` may be left out: it then follows from the content.
    """
    service, caller = service_of(request), caller_in(request)
    check_media_type(request, "application/json")
    raw = as_raw(with_ids(read_message(await request.body()), caller))
    job = await service.parse(raw)
    new = await service.accept(job, raw, replace=replace)
    url = status_url(job.job_id)
    return JSONResponse(accepted(job.user_id, job.job_id), 202 if new else 200, {"Location": url})


@router.get("/v1/jobs/{job}", summary="A job's state and what is done of it", response_model=JobView, responses=answers(422))
async def get_job(request: Request, job: JobId) -> JobView:
    """State, counts, and the items that are done with: keys, addresses, reports."""
    return await _find(request, job)


@router.get(
    "/v1/jobs/{job}/events",
    summary="A job's events as they come",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-Sent Events: progress, item, finish",
            "content": {EVENT_STREAM: {"schema": EVENT_SCHEMA}},
        },
        204: {"description": "Last-Event-ID was the end; there is nothing more to come"},
        **answers(422),
    },
)
async def get_events(
    request: Request,
    job: JobId,
    last_event_id: Annotated[str | None, Header(description="Where to take up; browsers send it by themselves.")] = None,
) -> Response:
    """The same events as on the worker's stdout, of this job."""
    view = await _find(request, job)
    service = service_of(request)
    if has_seen_the_end(service, view, last_event_id):
        return Response(status_code=204)
    return StreamingResponse(event_stream(service, view, last_event_id), media_type=EVENT_STREAM, headers=EVENT_HEADERS)


@router.head("/v1/jobs/{job}/events", include_in_schema=False)
async def head_events(request: Request, job: JobId) -> Response:
    """Whether there are events: an answer that does not last as long as the job."""
    await _find(request, job)
    return Response(media_type=EVENT_STREAM, headers=EVENT_HEADERS)


@router.delete(
    "/v1/jobs/{job}",
    summary="Stop a job",
    status_code=202,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "The job was over already"}, **answers(422)},
)
async def delete_job(request: Request, job: JobId) -> JSONResponse:
    """Stop a job after the items in hand. What is done stays."""
    view = await _find(request, job)
    if not view.over:
        await service_of(request).stop_job(view.user_id, view.job_id)
        view = await _find(request, job)
    return JSONResponse(view.model_dump(mode="json"), 200 if view.over else 202)


async def _find(request: Request, job: str) -> JobView:
    view = await service_of(request).ready.views.find(caller_in(request).user_id, job)
    if view is None:
        raise ApiProblem(404, f"there is no job {job[:128]!r} of this user", "not_found")
    return view
