"""Errors over HTTP: problem documents (RFC 9457) that name the fields, with the sentences that every intake gives.

Problem        what goes into an answer
ApiProblem     raise it anywhere in a request
problem_of     any error of the orchestrator as one
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from orchestrator.api.methods import methods_of
from orchestrator.api.queue import OtherContent, QueueFull
from orchestrator.errors import (
    JobError,
    NotFound,
    OutOfMemory,
    PhotoRefused,
    PipelineUnavailable,
    ResprayError,
    StorageError,
    TooLarge,
)
from orchestrator.jobs.validation_messages import sentences_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2
TITLES = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "This is not allowed",
    404: "There is nothing here",
    405: "This method is not accepted",
    408: "The request took too long",
    409: "Another job has this id",
    413: "The request is too large",
    415: "This media type is not accepted",
    422: "The request cannot be worked on",
    429: "Too much at once",
    500: "A fault of the server",
    503: "Not ready",
}


class FieldProblem(BaseModel):
    """What is wrong with one field: its place in the message, as `items[3].output_key`, and a sentence."""

    field: str
    message: str


class Problem(BaseModel):
    """A problem document.

    Attributes:
        type: Always `about:blank`: the status and `code` say which kind it is.
        title: The kind, in words.
        status: The HTTP status.
        detail: What was given and what is accepted.
        code: A stable name of the kind, as in events and manifests.
        errors: The fields that are wrong.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem]


class ApiProblem(Exception):
    """An answer that is a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        code: str = "request",
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))
        self.problem = Problem(title=title_of(status), status=status, detail=detail, code=code, errors=list(errors))

    def response(self) -> JSONResponse:
        """The answer."""
        content = self.problem.model_dump()
        return JSONResponse(content, self.problem.status, self.headers, media_type=MEDIA_TYPE)


def title_of(status: int) -> str:
    """The words for a status."""
    try:
        return TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def field_problems(sentences: Sequence[str]) -> list[FieldProblem]:
    """The parser's sentences, `field: what is wrong with it`, in their two parts."""
    found = []
    for sentence in sentences:
        place, colon, text = sentence.partition(": ")
        named = bool(colon) and " " not in place.split(".", 1)[0]
        found.append(FieldProblem(field=place if named else "", message=text if named else sentence))
    return found


def job_problem(error: JobError) -> ApiProblem:
    """A message that is no job: 400 where it is no JSON object, 422 where it says something that cannot be done."""
    unreadable = len(error.problems) == 1 and error.problems[0].startswith("the message is not ")
    return ApiProblem(400 if unreadable else 422, str(error), error.code, field_problems(error.problems))


def problem_of(error: ResprayError) -> ApiProblem:
    """An error of the orchestrator as a problem."""
    match error:
        case JobError():
            return job_problem(error)
        case OtherContent():
            return ApiProblem(409, error.for_callers, error.code)
        case QueueFull():
            return ApiProblem(429, error.for_callers, error.code)
        case PhotoRefused():
            return ApiProblem(422, error.for_callers, error.code, [FieldProblem(field="photo", message=error.for_callers)])
        case NotFound():
            return ApiProblem(404, error.for_callers, error.code)
        case TooLarge():
            return ApiProblem(413, error.for_callers, error.code)
        case PipelineUnavailable() | OutOfMemory() | StorageError():
            return ApiProblem(503, error.for_callers, error.code)
        case _:
            return ApiProblem(500, error.for_callers, error.code)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a call may answer with, for its description; those that every call may have come with them."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = (400, 401, 403, 404, 405, 408, 413, 429, 500, 503)
    return {status: {"description": title_of(status), "content": schema} for status in sorted({*every, *statuses})}


def install_handlers(app: FastAPI) -> None:
    """Every error leaves as a problem document, also what no route raised."""

    @app.exception_handler(ApiProblem)
    async def own(request: Request, error: ApiProblem) -> JSONResponse:
        return error.response()

    @app.exception_handler(ResprayError)
    async def orchestrators(request: Request, error: ResprayError) -> JSONResponse:
        answer = problem_of(error)
        if answer.problem.status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        return answer.response()

    @app.exception_handler(HTTPException)
    async def starlettes(request: Request, error: HTTPException) -> JSONResponse:
        headers, place = dict(error.headers or {}), request.url.path[:200]
        if error.status_code == 405:
            headers["Allow"] = ", ".join(methods_of(request))
        details = {
            404: f"there is no {place}; /docs lists what there is",
            405: f"{request.method[:40]} is not accepted for {place}; accepted is {headers.get('Allow')}",
        }
        detail = details.get(error.status_code, str(error.detail))
        return ApiProblem(error.status_code, detail, headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> JSONResponse:
        # Where it stood, as `query`, says nothing that its name does not.
        sentences = sentences_of([{**detail, "loc": detail["loc"][1:] or detail["loc"]} for detail in error.errors()])
        return ApiProblem(422, "; ".join(sentences), errors=field_problems(sentences)).response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # The log has the traceback; uvicorn writes it there.
        return ApiProblem(500, "an unexpected error in this server; its log says more", "internal").response()
