"""`/v1/photos`: a photo to work on repeatedly. It is sent once and named by its digest; every further look at it is quick.

A client that gives up on an answer (a slider that has moved on) closes its request, and the work on it is cancelled.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from orchestrator.api.forms import FORM, bytes_of, form_of
from orchestrator.api.media_types import BINARY, check_media_type, sent_media_type
from orchestrator.api.messages import read_message, text_of
from orchestrator.api.problems import ApiProblem, FieldProblem, answers
from orchestrator.api.reports import REPORT_HEADERS, report_headers, report_text
from orchestrator.api.service import caller_in, service_of
from orchestrator.errors import JobError
from orchestrator.jobs.validation_messages import validation_messages
from orchestrator.photos.types import Preview, PreviewQuery, SegmentsQuery, StoredPhoto
from respray.contract.report import ConceptReport

router = APIRouter(tags=["photos"])
T = TypeVar("T")
Q = TypeVar("Q", SegmentsQuery, PreviewQuery)
Digest = Annotated[str, Path(description="The photo's digest, as POST /v1/photos answers it.", max_length=128)]


class MaskView(BaseModel):
    """One instance of a concept: its matte as a grey PNG, as a data URL; instances count from 1."""

    concept: str
    instance: int
    picture: str


class SegmentsView(BaseModel):
    """What was found; `reused` are the prompts that were found before, `warnings` say what became of boxes."""

    concepts: list[ConceptReport]
    masks: list[MaskView]
    reused: list[str]
    warnings: list[str]


def _query(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(
    "/v1/photos",
    status_code=201,
    summary="Store a photo",
    response_model=StoredPhoto,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                FORM: {"schema": {"type": "object", "required": ["photo"], "properties": {"photo": BINARY["schema"]}}},
                "image/*": BINARY,
            },
        }
    },
    responses=answers(415, 422),
)
async def post_photo(request: Request) -> JSONResponse:
    """Take a photo in, as the part `photo` of a form or as the body itself. The same photo again is the same."""
    kind = sent_media_type(request)
    if kind.startswith("image/") or kind == "application/octet-stream":
        data = await request.body()
    else:
        check_media_type(request, FORM, "image/*")
        async with form_of(request, 1, "one file in the part photo: curl -F photo=@room.jpg") as form:
            photo = await bytes_of(form, "photo")
            if photo is None or len(form.multi_items()) > 1:
                problem = FieldProblem(field="photo", message="accepted is one file in the part photo, with curl: -F photo=@room.jpg")
                raise ApiProblem(422, f"photo: {problem.message}", errors=[problem])
            data = photo
    stored = await service_of(request).ready.photos.store(caller_in(request).user_id, data)
    return JSONResponse(stored.model_dump(), 201)


@router.get(
    "/v1/photos/{photo}/original",
    summary="The photo as it was sent",
    response_class=Response,
    responses={
        200: {"description": "The photo's own bytes", "content": {"image/*": BINARY, "application/octet-stream": BINARY}},
        **answers(422),
    },
)
async def get_original(request: Request, photo: Digest) -> Response:
    """The very bytes whose digest names the photo."""
    data = await service_of(request).ready.photos.original(caller_in(request).user_id, photo)
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.post(
    "/v1/photos/{photo}/segments",
    summary="Find concepts in a photo",
    response_model=SegmentsView,
    openapi_extra=_query("SegmentsQuery"),
    responses=answers(415, 422),
)
async def post_segments(request: Request, photo: Digest) -> SegmentsView:
    """What was found of each concept, with mask pictures and scores. It is kept: asking again asks nothing of the model."""
    query = await _read(request, SegmentsQuery)
    found = await unless_gone(request, service_of(request).ready.photos.segments(caller_in(request).user_id, photo, query))
    masks = [MaskView(concept=m.concept, instance=m.instance, picture=_data_url(m.png)) for m in found.masks]
    return SegmentsView(concepts=found.concepts, masks=masks, reused=found.reused, warnings=found.warnings)


@router.post(
    "/v1/photos/{photo}/preview",
    summary="See a photo with edits",
    response_class=Response,
    openapi_extra=_query("PreviewQuery"),
    responses={
        200: {
            "description": "The picture",
            "headers": REPORT_HEADERS,
            "content": dict.fromkeys(("image/jpeg", "image/webp", "image/png"), BINARY)
            | {
                FORM: {
                    "schema": {
                        "type": "object",
                        "properties": {"report": {"type": "string"}, "picture": BINARY["schema"]},
                    }
                }
            },
        },
        **answers(415, 422),
    },
)
async def post_preview(
    request: Request,
    photo: Digest,
    accept: Annotated[str | None, Header(description=f"{FORM}: report and picture as a form, however long the report is")] = None,
) -> Response:
    """One picture with these edits, and its report in a header. Up to 1200 pixels on the long side it takes a fraction of a second."""
    query = await _read(request, PreviewQuery)
    preview = await unless_gone(request, service_of(request).ready.photos.preview(caller_in(request).user_id, photo, query))
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
    if FORM in (accept or "").lower():
        boundary = secrets.token_hex(16)
        return Response(_form(boundary, preview), media_type=f"{FORM}; boundary={boundary}", headers=headers)
    return Response(preview.picture, media_type=preview.media_type, headers=headers | report_headers(preview.report))


def _form(boundary: str, preview: Preview) -> bytes:
    """Report and picture as browsers' `Response.formData` reads them (RFC 7578)."""
    return b"\r\n".join(
        [
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="report"',
            b"",
            report_text(preview.report).encode(),
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="picture"; filename="picture"',
            f"Content-Type: {preview.media_type}".encode(),
            b"",
            preview.picture,
            f"--{boundary}--".encode(),
            b"",
        ]
    )


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away. The request's body was read before."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiProblem(408, "the client went away, and the work was cancelled", "gone")
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.wait({task, gone})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request, model: type[Q]) -> Q:
    """The body as a query, with the parser's sentences. Raises ApiProblem, JobError."""
    check_media_type(request, "application/json")
    fields = read_message(await request.body())
    try:
        return model.model_validate_json(text_of(fields).encode("utf-8", "backslashreplace"))
    except ValidationError as error:
        raise JobError(validation_messages(error, model)) from None


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
