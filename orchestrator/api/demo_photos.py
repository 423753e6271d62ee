"""`/v1/demo-photos`: rooms to try things on, for whoever has no photo at hand."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from orchestrator.api.media_types import BINARY
from orchestrator.api.problems import ApiProblem, answers

router = APIRouter(tags=["catalogue"])


class DemoPhotoView(BaseModel):
    """A photo that comes with this server; `picture_url` is the file."""

    id: str
    name: str
    picture_url: str


@cache
def _photos() -> dict[str, bytes]:
    """Id -> JPEG. Read as data: the demo's own code is no part of this."""
    folder = resources.files("respray") / "demo" / "photos"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".jpg")), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".jpg"): entry.read_bytes() for entry in files}


@router.get("/v1/demo-photos", summary="Photos to try things on", response_model=list[DemoPhotoView], responses=answers())
async def get_demo_photos() -> list[DemoPhotoView]:
    """The demo's photos: rendered rooms."""
    return [DemoPhotoView(id=id, name=id.replace("_", " "), picture_url=f"/v1/demo-photos/{id}/picture") for id in _photos()]


@router.get(
    "/v1/demo-photos/{photo}/picture",
    summary="A demo photo's file",
    response_class=Response,
    responses={200: {"description": "The photo", "content": {"image/jpeg": BINARY}}, **answers(422)},
)
async def get_demo_photo(photo: Annotated[str, Path(description="The demo photo's id.")]) -> Response:
    """The JPEG, to be stored as any photo of one's own."""
    data = _photos().get(photo)
    if data is None:
        raise ApiProblem(404, f"there is no demo photo {photo[:80]!r}; there are: {', '.join(_photos())}", "not_found")
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"})
