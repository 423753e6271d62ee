"""Textures: the materials that a job names by id."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from pydantic import Field, model_validator

from respray.catalog.data_file import ID_PATTERN, Data, load, refuse_repeats
from respray.contract.errors import UnknownNameError


class TextureEntry(Data):
    """A catalogue material. `size_m`: what one repeat covers (width, height) in metres; `gloss` 0..1: share of highlights kept on top."""

    id: str = Field(pattern=ID_PATTERN)
    name: str
    family: str
    file: str
    size_m: tuple[float, float]
    gloss: float = Field(default=0.5, ge=0.0, le=1.0)
    surfaces: tuple[str, ...] = ("floor",)

    def read(self) -> bytes:
        """The encoded, seamless image."""
        return (resources.files("respray.catalog") / "textures" / self.file).read_bytes()


class TextureCatalogue(Data):
    """All materials, unique by id."""

    name: str
    textures: tuple[TextureEntry, ...]

    @model_validator(mode="after")
    def _unique(self) -> TextureCatalogue:
        refuse_repeats("texture id", [texture.id for texture in self.textures])
        return self


@lru_cache(maxsize=1)
def textures() -> dict[str, TextureEntry]:
    """Texture id -> entry of the built-in catalogue."""
    file = resources.files("respray.catalog") / "textures" / "catalogue.yaml"
    return {entry.id: entry for entry in load(TextureCatalogue, file, str(file)).textures}


def find_texture(texture_id: str) -> TextureEntry:
    """The catalogue texture called `texture_id`; `UnknownNameError` lists what exists."""
    entries = textures()
    if texture_id not in entries:
        raise UnknownNameError("texture", texture_id, entries)
    return entries[texture_id]
