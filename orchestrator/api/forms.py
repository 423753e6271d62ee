"""Forms with photos: read within limits, and what is wrong with one said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from orchestrator.api.media_types import check_media_type
from orchestrator.api.problems import ApiProblem
from orchestrator.jobs import limits

FORM = "multipart/form-data"


@asynccontextmanager
async def form_of(request: Request, parts: int, accepted: str) -> AsyncIterator[FormData]:
    """The form of a request; its files are gone behind the block.

    Args:
        request: The request.
        parts: Most files, and most other fields.
        accepted: What it should hold, for whoever sent something else.

    Raises:
        ApiProblem: It is no form, or cannot be read as one.
    """
    check_media_type(request, FORM)
    try:
        form = await request.form(max_files=parts, max_fields=parts, max_part_size=limits.MAX_MESSAGE_BYTES)
    except HTTPException as error:
        reason = str(error.detail).rstrip(".")
        raise ApiProblem(400, f"the form cannot be read ({reason}); accepted is {FORM} with {accepted}", "form") from None
    try:
        yield form
    finally:
        await form.close()


async def bytes_of(form: FormData, name: str) -> bytes | None:
    """What a part holds, whether it has a file's name or not; None where there is none."""
    part = form.get(name)
    if part is None or isinstance(part, UploadFile):
        return await part.read() if part is not None else None
    try:
        return part.encode("latin-1")  # which Starlette takes for what is not UTF-8, as no image is
    except UnicodeEncodeError:
        return part.encode()
