"""`POST /v1/edits`: one photo at once. It is a job like any other: its id follows from photo and message, so that the same edit sent
again is the same job, and what was not waited for to its end can be asked for later.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import FormData

from orchestrator.api.files import disposition
from orchestrator.api.forms import FORM, bytes_of, form_of
from orchestrator.api.jobs import Accepted, accepted
from orchestrator.api.keys import Caller
from orchestrator.api.media_types import BINARY, media_type_of
from orchestrator.api.messages import as_raw, is_rule_message, read_message, with_ids
from orchestrator.api.problems import ApiProblem, FieldProblem, answers
from orchestrator.api.reports import REPORT_HEADERS, report_headers, report_text
from orchestrator.api.service import ApiService, caller_in, service_of
from orchestrator.api.view import ItemView, JobView, file_url, status_url
from orchestrator.errors import JobError
from orchestrator.jobs import keys as job_keys
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.raw_message import RawMessage
from respray.contract.errors import ImageError
from respray.contract.photo_file import inspect

router = APIRouter(tags=["edits"])

LOOK_SECONDS = 0.5
"""Between two looks whether the client is still there."""
ELSEWHERE_SECONDS = 2.0
"""Between two looks at the store, for a job that another process works on."""
MAX_RESULT_BYTES = 1 << 30
"""More than a picture of 200 megapixels takes in any format."""
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "HEIF": "heic", "AVIF": "avif"}
OWN_FIELDS = ("job_id", "jobId", "items", "imageCount", "callback_url")
FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["photo", "job"],
                    "properties": {
                        "photo": {"type": "string", "format": "binary", "description": "The encoded photo."},
                        "job": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "A message of either format without ids and items; mask_keys as in an item.",
                        },
                    },
                },
                "encoding": {"job": {"contentType": "application/json, text/plain"}},
            }
        },
    }
}
_RESULT_HEADERS = {
    name: {"schema": {"type": "string"}, "description": text}
    for name, text in {
        "Respray-Job": "The job's id",
        "Link": "The job (rel=describedby)",
    }.items()
} | REPORT_HEADERS


@dataclass(frozen=True)
class Preference:
    """What Prefer says (RFC 7240): how long to wait in seconds, or not at all."""

    wait: float | None = None
    asynchronous: bool = False


@router.post(
    "/v1/edits",
    summary="Edit one photo",
    openapi_extra=FORM_SCHEMA,
    response_class=Response,
    responses={
        200: {
            "description": "The picture, or all files of the job where there are several",
            "headers": _RESULT_HEADERS,
            "content": dict.fromkeys(("image/png", "image/jpeg", "image/webp", "multipart/mixed"), BINARY),
        },
        202: {
            "model": Accepted,
            "description": "Not done yet: the job goes on",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The job's status_url"}},
        },
        **answers(409, 415, 422),
    },
)
async def post_edit(
    request: Request,
    prefer: Annotated[str | None, Header(description="wait=SECONDS, respond-async")] = None,
) -> Response:
    """A photo and a message in, the edited picture out; several outputs and masks as multipart/mixed.

    It is waited for as long as `Prefer: wait=SECONDS` says. A client that goes away while it waits stops its job.
    """
    service, caller = service_of(request), caller_in(request)
    preference = parse_prefer(prefer)
    async with form_of(request, 2, "the parts photo and job, once each: curl -F photo=@room.jpg -F 'job={...}'") as form:
        photo, fields = await _parts(form)
    job, raw = await _message(service, caller, photo, fields)
    key = job.items[0].photo.label  # the message names a key: `_message` has put it there
    await service.ready.storage.write(key, photo, media_type_of(key))
    del photo
    await _accept(service, job, raw)
    view = None
    if not preference.asynchronous:
        view = await _finished(service, request, job, min(preference.wait or service.settings.api_timeout, service.settings.api_timeout))
    if view is None:
        applied = {"Preference-Applied": "respond-async"} if preference.asynchronous else {}
        return JSONResponse(accepted(job.user_id, job.job_id), 202, {"Location": status_url(job.job_id), **applied})
    return await _result(service, view)


def parse_prefer(header: str | None) -> Preference:
    """Prefer as RFC 7240 has it; what cannot be understood is left aside, as it asks."""
    wait, asynchronous = None, False
    for part in re.split(r"[,;]", header or ""):
        name, _, value = part.strip().partition("=")
        number = value.strip().strip('"')
        if name.strip().lower() == "respond-async":
            asynchronous = True
        elif name.strip().lower() == "wait" and number.isascii() and number.isdigit() and 0 < len(number) < 7:
            wait = float(number)
    return Preference(wait, asynchronous or wait == 0)


async def _parts(form: FormData) -> tuple[bytes, dict[str, Any]]:
    """The photo and the message. Raises ApiProblem, JobError."""
    problems = []
    unknown = sorted(set(form) - {"photo", "job"})
    for name in unknown:
        problems.append(FieldProblem(field=name[:80], message="is not known; accepted are the parts photo and job"))
    photo, job = await bytes_of(form, "photo"), await bytes_of(form, "job")
    if photo is None:
        problems.append(FieldProblem(field="photo", message="is missing; accepted is a file, with curl: -F photo=@room.jpg"))
    if job is None:
        problems.append(FieldProblem(field="job", message="is missing; accepted is a message without ids and items, as JSON"))
    if any(len(form.getlist(name)) > 1 for name in ("photo", "job")):
        problems.append(
            FieldProblem(field="photo", message="photo and job are accepted once each; several photos are several requests, or a job")
        )
    if photo is None or job is None or problems:
        raise ApiProblem(422, "; ".join(f"{problem.field}: {problem.message}" for problem in problems), errors=problems)
    return photo, read_message(job)


async def _message(service: ApiService, caller: Caller, photo: bytes, fields: dict[str, Any]) -> tuple[Job, RawMessage]:
    """The job of an edit. Raises ApiProblem and JobError before anything is stored."""
    own = [name for name in OWN_FIELDS if name in fields and (name, fields[name]) != ("imageCount", 1)]
    if own:
        raise JobError([f"{name}: is not accepted with a photo; a job that has it is sent to /v1/jobs" for name in own])
    try:
        info = await asyncio.to_thread(inspect, photo)
    except ImageError as error:
        raise ApiProblem(422, f"photo: {error}", "photo", [FieldProblem(field="photo", message=str(error))]) from None
    digest = sha256(photo)
    digest.update(json.dumps(fields, ensure_ascii=True).encode())
    job_id = f"edit-{digest.hexdigest()[:32]}"
    whole = with_ids(fields, caller, job_id)
    if is_rule_message(whole):
        whole["imageCount"] = 1
    else:
        whole["items"] = [_item(whole, caller.user_id, job_id, EXTENSIONS.get(info.format, "bin"))]
    raw = as_raw(whole)
    try:
        return await service.parse(raw), raw
    except JobError as error:
        raise JobError([_as_sent(problem) for problem in error.problems]) from None


def _as_sent(problem: str) -> str:
    """A sentence about a field of the only item, which the sender wrote without one."""
    return problem.removeprefix("items[0].")


def _item(fields: dict[str, Any], user_id: str, job_id: str, extension: str) -> dict[str, Any]:
    options = fields.get("options")
    wanted = options.get("format") if isinstance(options, dict) else None
    suffix = {"jpeg": "jpg", "jpg": "jpg", "webp": "webp"}.get(wanted if isinstance(wanted, str) else "", "png")
    item: dict[str, Any] = {"idx": 0, "input_key": f"{job_keys.inputs_prefix(user_id, job_id)}0.{extension}"}
    if "mask_keys" in fields:
        item["mask_keys"] = fields.pop("mask_keys")
    if "looks" in fields:
        return item  # their keys follow from their names
    return item | {"output_key": f"{job_keys.outputs_prefix(user_id, job_id)}0_result.{suffix}"}


async def _accept(service: ApiService, job: Job, raw: RawMessage) -> None:
    """Take the job in; one that was done before and came to nothing is done again."""
    if await service.accept(job, raw, replace=False, urgent=True):
        return
    view = await service.ready.views.find(job.user_id, job.job_id)
    if view is None or view.state in ("failed", "stopped"):
        await service.accept(job, raw, replace=True, urgent=True)


async def _finished(service: ApiService, request: Request, job: Job, seconds: float) -> JobView | None:
    """The job when it is over; None where it is not by then. Stops it where its client goes away and nobody else waits for it."""
    clock = asyncio.get_running_loop().time
    deadline, look_at_store = clock() + seconds, 0.0
    place = (job.user_id, job.job_id)
    service.waiting[place] += 1
    try:
        while True:
            stream = service.streams.find(*place)
            here = stream is not None and stream.live
            if not here and (clock() >= look_at_store or (stream is not None and stream.finished)):
                look_at_store = clock() + ELSEWHERE_SECONDS
                view = await service.ready.views.find(*place)
                if view is None or view.over:
                    return view
            left = deadline - clock()
            if left <= 0:
                return None
            if stream is None:
                await asyncio.sleep(min(LOOK_SECONDS, left))
            else:
                await stream.changed(min(LOOK_SECONDS, left))
            if await request.is_disconnected():
                if service.waiting[place] == 1:
                    await service.stop_job(*place)
                return None
    finally:
        service.waiting[place] -= 1
        if not service.waiting[place]:
            del service.waiting[place]


async def _result(service: ApiService, view: JobView) -> Response:
    """The picture, or all files. Raises ApiProblem where there is none."""
    item = view.items[0] if view.items else None
    if item is None or item.status != "completed":
        reason = (item.error if item else None) or view.error or "the photo was not edited"
        code = (item.error_code if item else None) or view.state
        status = {"photo": 422, "pipeline_unavailable": 503, "out_of_memory": 503, "storage": 503, "stopped": 409}.get(code, 500)
        said = _as_sent(reason)
        place, colon, text = said.partition(": ")
        of_a_field = bool(colon) and said != reason
        fields = [FieldProblem(field=place if of_a_field else "photo", message=text if of_a_field else reason)] if status == 422 else []
        raise ApiProblem(status, said, code, fields, {"Link": _link(view)})
    headers = {"Respray-Job": view.job_id, "Link": _link(view), "Cache-Control": "private, no-cache", **report_headers(item.report)}
    keys = _keys(item)
    if len(keys) == 1:
        headers |= {"Content-Disposition": disposition(keys[0], False), "Content-Location": file_url(keys[0])}
        return Response(await _file(service, keys[0]), headers=headers, media_type=media_type_of(keys[0]))
    boundary = secrets.token_hex(16)
    body = _multipart(service, keys, boundary, report_text(item.report))
    return StreamingResponse(body, headers=headers, media_type=f"multipart/mixed; boundary={boundary}")


def _keys(item: ItemView) -> list[str]:
    """Keys of an item's files: outputs, then masks."""
    outputs = list(item.outputs.values()) or ([item.output_key] if item.output_key else [])
    return [*outputs, *(key for keys in item.masks.values() for key in keys)]


def _link(view: JobView) -> str:
    return f'<{view.status_url}>; rel="describedby"'


async def _file(service: ApiService, key: str) -> bytes:
    return (await service.ready.storage.read(key, MAX_RESULT_BYTES))[0]


async def _multipart(service: ApiService, keys: list[str], boundary: str, report: str) -> AsyncIterator[bytes]:
    """The report, then the files one after the other (RFC 2046, 5.1.3)."""
    head = 'Content-Type: application/json\r\nContent-Disposition: inline; filename="report.json"\r\n'
    yield f"--{boundary}\r\n{head}\r\n{report}\r\n".encode()
    for key in keys:
        fields = {"Content-Type": media_type_of(key), "Content-Disposition": disposition(key, False), "Content-Location": file_url(key)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        yield f"--{boundary}\r\n{lines}\r\n".encode()
        yield await _file(service, key)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
