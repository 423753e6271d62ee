"""The media type of a request's body, and the refusal of another one."""

from __future__ import annotations

from fastapi import Request

from orchestrator.api.problems import ApiProblem


def media_type_of(request: Request) -> str:
    """What Content-Type says, in small letters and without parameters; "" where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(request: Request, accepted_type: str) -> None:
    """Raise ApiProblem for a body of another media type."""
    given = media_type_of(request)
    if given != accepted_type:
        hint = "; with curl: --json @job.json" if accepted_type == "application/json" else "; with curl: -F photo=@photo.jpg"
        raise ApiProblem(415, f"Content-Type {given[:80]!r} is not accepted here; accepted is {accepted_type}{hint}", "media_type")
