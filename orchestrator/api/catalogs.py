"""`/v1/palettes`, `/v1/presets`, `/v1/textures`: what a job may name."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from orchestrator.api.media_types import BINARY, media_type_of
from orchestrator.api.problems import ApiProblem, answers
from orchestrator.api.service import service_of
from respray.catalog.palette import Paint, load_palette
from respray.catalog.texture import textures

router = APIRouter(tags=["catalogue"])


class PaletteFamily(BaseModel):
    """Colours of one family, in the palette's order."""

    family: str
    colors: list[Paint]


class PaletteView(BaseModel):
    """The palette: every colour with its id, hex, CIE L*a*b* and light reflectance value."""

    name: str
    families: list[PaletteFamily]


class ConceptView(BaseModel):
    """A concept that a preset knows."""

    name: str
    synonyms: list[str]
    prompts: list[str]
    kind: Literal["surface", "object"]
    protect: bool
    plane: Literal["floor", "ceiling", "wall"] | None


class PresetView(BaseModel):
    """A preset; what it protects stays as it is unless it is edited itself."""

    name: str
    description: str
    concepts: list[ConceptView]


class TextureView(BaseModel):
    """A material: `size_m` is what one repeat covers (width, height) in metres, `picture_url` its seamless picture."""

    id: str
    name: str
    family: str
    size_m: tuple[float, float]
    surfaces: list[str]
    picture_url: str


@router.get("/v1/palettes", summary="Colours by family", response_model=list[PaletteView], responses=answers())
async def get_palettes(request: Request) -> list[PaletteView]:
    """The palettes of this server, one as a rule."""
    palette = load_palette(service_of(request).palette)
    families: dict[str, list[Paint]] = {}
    for paint in palette.colors:
        families.setdefault(paint.family, []).append(paint)
    return [PaletteView(name=palette.name, families=[PaletteFamily(family=name, colors=colors) for name, colors in families.items()])]


@router.get("/v1/presets", summary="Presets and their concepts", response_model=list[PresetView], responses=answers())
async def get_presets(request: Request) -> list[PresetView]:
    """The concepts that each preset knows by name; any other name is free text."""
    found = []
    for name, preset in sorted(service_of(request).catalog.presets.items()):
        concepts = [
            ConceptView(
                name=concept,
                synonyms=list(entry.synonyms),
                prompts=list(entry.prompts),
                kind=entry.kind,
                protect=entry.protect,
                plane=entry.plane,
            )
            for concept, entry in preset.concepts.items()
        ]
        found.append(PresetView(name=name, description=preset.description, concepts=concepts))
    return found


@router.get("/v1/textures", summary="Materials", response_model=list[TextureView], responses=answers())
async def get_textures() -> list[TextureView]:
    """The materials of the catalogue."""
    return [
        TextureView(
            id=entry.id,
            name=entry.name,
            family=entry.family,
            size_m=entry.size_m,
            surfaces=list(entry.surfaces),
            picture_url=f"/v1/textures/{entry.id}/picture",
        )
        for entry in textures().values()
    ]


@router.get(
    "/v1/textures/{texture}/picture",
    summary="A material's picture",
    response_class=Response,
    responses={
        200: {"description": "The picture", "content": {"image/*": BINARY}},
        **answers(422),
    },
)
async def get_texture_picture(texture: Annotated[str, Path(description="The texture's id.")]) -> Response:
    """The seamless picture that is laid."""
    entry = textures().get(texture)
    if entry is None:
        raise ApiProblem(404, f"there is no texture {texture[:80]!r}; there are: {', '.join(sorted(textures()))}", "not_found")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(entry.read(), media_type=media_type_of(entry.file), headers=headers)
