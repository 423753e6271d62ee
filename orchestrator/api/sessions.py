"""`/v1/sessions`: what somebody was doing with a photo, kept so that a link opens it again.

A session is named by its content and never changes, so two tabs cannot overwrite each other's, and a link shows what was sent.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from orchestrator.api.media_types import check_media_type
from orchestrator.api.messages import read_message, text_of
from orchestrator.api.problems import ApiProblem, answers
from orchestrator.api.service import caller_in, service_of
from orchestrator.errors import NotFound, megabytes

router = APIRouter(tags=["sessions"])
MAX_BYTES = 8 << 20
"""Of one session: a dozen mended masks are about a megabyte."""
_ID = re.compile(r"[0-9a-f]{32}")


class SessionStored(BaseModel):
    """Where a session is."""

    session: str
    session_url: str


class SessionView(BaseModel):
    """A session: the JSON object that its client sent, unread."""

    session: str
    document: dict[str, Any]


@router.post(
    "/v1/sessions",
    status_code=201,
    summary="Keep a session",
    response_model=SessionStored,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
    responses=answers(413, 415, 422),
)
async def post_session(request: Request) -> JSONResponse:
    """Keep a JSON object, whatever is in it. The same again is the same session."""
    check_media_type(request, "application/json")
    fields = read_message(await request.body())
    data = text_of(fields).encode("utf-8", "backslashreplace")
    if len(data) > MAX_BYTES:
        raise ApiProblem(413, f"the session has {megabytes(len(data))}; at most {megabytes(MAX_BYTES)} are accepted", "too_large")
    session = sha256(data).hexdigest()[:32]
    await service_of(request).ready.storage.write(_key(caller_in(request).user_id, session), data, "application/json")
    return JSONResponse({"session": session, "session_url": f"/v1/sessions/{session}"}, 201)


@router.get("/v1/sessions/{session}", summary="A session", response_model=SessionView, responses=answers(422))
async def get_session(request: Request, session: Annotated[str, Path(description="The session's id.")]) -> Response:
    """The object as it was sent."""
    missing = ApiProblem(404, f"there is no session {session[:80]!r} of this user", "not_found")
    if not _ID.fullmatch(session):
        raise missing
    try:
        data, _ = await service_of(request).ready.storage.read(_key(caller_in(request).user_id, session), MAX_BYTES)
    except NotFound:
        raise missing from None
    # As it is stored: half a surrogate pair has an escape in JSON, and is no text that could be written anew.
    return Response(b'{"session":"%b","document":%b}' % (session.encode(), data), media_type="application/json")


def _key(user: str, session: str) -> str:
    return f"sessions/{user}/{session}.json"
