"""Data that users refer to by name: presets, palettes and textures. Each is a data file; adding a preset is adding one file.

A palette file (YAML or JSON) is `{name, colors: [{id, hex, name?, kind?, family?, lab?, lrv?}]}`; what is missing is computed from `hex`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from respray.contract.request import ConceptQuery
from respray.editing.core.color import LUMINANCE, delta_e_2000, hex_to_lab, hex_to_linear
from respray.editing.errors import EditError, UnknownNameError

# A palette's own Lab and LRV must describe its hex to within rounding.
LAB_TOLERANCE = 0.5
LRV_TOLERANCE = 0.6
T = TypeVar("T", bound=BaseModel)
HEX_PATTERN = r"^#[0-9A-Fa-f]{6}$"
GROUND_WORDS = ("floor", "floors", "flooring", "floorboards", "parquet", "carpet", "ground")
# What a surface is made of, behind the word that says how it lies: "floor tiles", "wall paint".
MATERIAL_WORDS = ("tile", "tiles", "tiling", "paint", "covering", "boards", "planks")
ID_PATTERN = r"^[a-z0-9][a-z0-9_\-.]*$"


class Data(BaseModel):
    """Base of the data files' types: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paint(Data):
    """One palette colour: `hex` sRGB, `lab` CIE L*a*b* (D65), `lrv` light reflectance value (luminance x 100)."""

    id: str = Field(pattern=ID_PATTERN)
    hex: str = Field(pattern=HEX_PATTERN)
    name: str = ""
    kind: Literal["paint", "wood", "stone", "metal", "other"] = "paint"
    family: str = "other"
    lab: tuple[float, float, float]
    lrv: float

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("hex"), str) and len(values["hex"]) == 7:
            values = dict(values)
            try:
                lab, lrv = hex_to_lab(values["hex"]), float(hex_to_linear(values["hex"]) @ LUMINANCE) * 100.0
            except ValueError:
                return values
            values.setdefault("lab", tuple(round(float(v), 2) for v in lab))
            values.setdefault("lrv", round(lrv, 1))
            values.setdefault("name", str(values.get("id", "")))
        return values

    @model_validator(mode="after")
    def _agrees(self) -> Paint:
        away = float(delta_e_2000(hex_to_lab(self.hex), np.array(self.lab)))
        if away > LAB_TOLERANCE:
            raise ValueError(
                f"lab {list(self.lab)} of '{self.id}' is not {self.hex} (CIEDE2000 {away:.1f}); leave lab out to have it computed"
            )
        lrv = float(hex_to_linear(self.hex) @ LUMINANCE) * 100.0
        if abs(lrv - self.lrv) > LRV_TOLERANCE:
            raise ValueError(f"lrv {self.lrv} of '{self.id}' is not that of {self.hex} ({lrv:.1f}); leave lrv out to have it computed")
        return self


class Palette(Data):
    """A named list of colours with unique ids."""

    name: str
    colors: tuple[Paint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Palette:
        _no_repeats("palette id", [paint.id for paint in self.colors])
        return self

    @property
    def hexes(self) -> dict[str, str]:
        """Id -> '#rrggbb'."""
        return {paint.id: paint.hex for paint in self.colors}

    def find(self, color_id: str) -> Paint:
        """The colour called `color_id`; `UnknownNameError` lists what exists."""
        for paint in self.colors:
            if paint.id == color_id:
                return paint
        raise UnknownNameError("palette colour", color_id, [paint.id for paint in self.colors])


class PresetConcept(Data):
    """How one concept of a preset is segmented; see the preset files.

    `plane` is how it lies, for textures (None: it may lie in any way); `height_m` how far above the floor its top usually is.
    """

    prompts: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    kind: Literal["surface", "object"] = "surface"
    priority: int = 0
    protect: bool = False
    complement_of: tuple[str, ...] = ()
    plane: Literal["floor", "ceiling", "wall"] | None = None
    height_m: float = Field(default=0.0, ge=0.0, le=2.0)

    @model_validator(mode="after")
    def _has_source(self) -> PresetConcept:
        if not self.prompts and not self.complement_of:
            raise ValueError("a concept needs prompts or complement_of")
        if self.height_m and self.plane != "floor":
            raise ValueError("height_m is a top's, which needs plane: floor")
        return self


class Preset(Data):
    """A preset: concepts by the names that its users write."""

    name: str = Field(pattern=ID_PATTERN)
    description: str = ""
    concepts: dict[str, PresetConcept] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Preset:
        names = [n for key, item in self.concepts.items() for n in dict.fromkeys(map(normalise, (key, *item.synonyms)))]
        _no_repeats(f"concept name or synonym of preset '{self.name}'", names)
        for key, item in self.concepts.items():
            for other in item.complement_of:
                if other not in self.concepts:
                    raise ValueError(f"'{key}' is everything but '{other}', which the preset does not have")
        return self

    @property
    def protect(self) -> tuple[str, ...]:
        """Concepts that stay as they are unless they are edited themselves."""
        return tuple(name for name, item in self.concepts.items() if item.protect)

    def lookup(self, name: str) -> str | None:
        """The preset's concept that a user's name or synonym means; None for free text."""
        wanted = normalise(name)
        for key, item in self.concepts.items():
            if wanted == normalise(key) or wanted in map(normalise, item.synonyms):
                return key
        return None

    def queries(self) -> dict[str, ConceptQuery]:
        """Every concept by normalised name and by every normalised synonym."""
        return {n: self.query(key) for key, item in self.concepts.items() for n in map(normalise, (key, *item.synonyms))}

    def query(self, name: str) -> ConceptQuery:
        """What to segment for a user's concept name; free text is its own prompt. The result keeps the user's spelling of the name."""
        key = self.lookup(name)
        if key is None:
            return free_text(name)
        item = self.concepts[key]
        prompts = list(item.prompts) or [normalise(name)]
        return ConceptQuery(name=name, prompts=prompts, kind=item.kind, priority=item.priority, complement_of=list(item.complement_of))

    def queries_for(self, names: Iterable[str]) -> list[ConceptQuery]:
        """Queries for a job's concept names (edited and protected), in order, each once, and for what their complements refer to.

        A complement refers to concepts by the name that the user gave them, or by the preset's where the user did not name them.
        """
        queries = {name: self.query(name) for name in names}
        written = {self.lookup(name): name for name in reversed(queries)}
        for name, query in list(queries.items()):
            others = [written.setdefault(key, key) for key in query.complement_of]
            queries[name] = query.model_copy(update={"complement_of": others})
            for other in others:
                queries.setdefault(other, self.query(other))
        return list(queries.values())


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
        _no_repeats("texture id", [texture.id for texture in self.textures])
        return self


def normalise(name: str) -> str:
    """Names compare without case, and with underscores, hyphens and runs of spaces all the same."""
    return " ".join(name.replace("_", " ").replace("-", " ").split()).casefold()


def is_ground(name: str) -> bool:
    """Whether a concept is what furniture stands on, by the last word of its name ("wood floor", but no "floor lamp")."""
    return normalise(name).rpartition(" ")[2] in GROUND_WORDS


def orientation_of(name: str) -> PresetConcept | None:
    """The concept of any preset whose `plane` is that of what a user calls `name`; None where none tells.

    The name is looked up whole, then without the words for a material, then by its last word: "floor tile" and "blue rug" lie as a floor,
    but no "floor lamp".
    """
    words = normalise(name).split()
    bare = list(words)
    while len(bare) > 1 and bare[-1] in MATERIAL_WORDS:
        bare.pop()
    for tried in (" ".join(words), " ".join(bare), bare[-1] if bare else ""):
        for preset in load_presets().values():
            key = preset.lookup(tried)
            if key is not None and preset.concepts[key].plane is not None:
                return preset.concepts[key]
    return None


def free_text(name: str) -> ConceptQuery:
    """A concept outside the job's preset: the user's words are the prompt.

    Whether it is a surface or an object is taken from any preset that knows the word; a word that none knows is an object.
    """
    prompt = normalise(name)
    if not prompt:
        raise EditError(f"concept name {name!r} has no words; give what to look for, such as 'wall'")
    for preset in load_presets().values():
        key = preset.lookup(name)
        if key is not None and preset.concepts[key].prompts:
            return ConceptQuery(name=name, prompts=[prompt], kind=preset.concepts[key].kind, priority=preset.concepts[key].priority)
    return ConceptQuery(name=name, prompts=[prompt], kind="object")


@lru_cache(maxsize=8)
def load_presets(folder: Path | None = None) -> dict[str, Preset]:
    """Preset name -> preset, of every `*.yaml` in `folder` (None: the built-in ones). Raises `EditError` for a broken file."""
    root = resources.files("respray.catalog") / "presets" if folder is None else folder
    files = sorted((item for item in root.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    presets = [_parse(Preset, item.read_text(encoding="utf-8"), item.name) for item in files]
    _no_repeats("preset", [preset.name for preset in presets])
    return {preset.name: preset for preset in presets}


def find_preset(name: str) -> Preset:
    """The built-in preset called `name`; `UnknownNameError` lists what exists."""
    presets = load_presets()
    if name not in presets:
        raise UnknownNameError("preset", name, presets)
    return presets[name]


@lru_cache(maxsize=8)
def load_palette(path: Path | None = None) -> Palette:
    """The built-in palette, or a user's file. Raises `EditError` naming the file, the field and what is accepted."""
    if path is None:
        text = (resources.files("respray.catalog") / "palettes" / "default.yaml").read_text(encoding="utf-8")
        return _parse(Palette, text, "default.yaml")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EditError(f"the palette file {path.name} cannot be read: {error}") from error
    return _parse(Palette, text, path.name)


@lru_cache(maxsize=1)
def textures() -> dict[str, TextureEntry]:
    """Texture id -> entry of the built-in catalogue."""
    text = (resources.files("respray.catalog") / "textures" / "catalogue.yaml").read_text(encoding="utf-8")
    return {entry.id: entry for entry in _parse(TextureCatalogue, text, "catalogue.yaml").textures}


def find_texture(texture_id: str) -> TextureEntry:
    """The catalogue texture called `texture_id`; `UnknownNameError` lists what exists."""
    entries = textures()
    if texture_id not in entries:
        raise UnknownNameError("texture", texture_id, entries)
    return entries[texture_id]


def _parse(kind: type[T], text: str, source: str) -> T:
    try:
        # YAML takes most JSON, but not what is indented with tabs.
        return kind.model_validate(json.loads(text) if source.lower().endswith(".json") else yaml.safe_load(text))
    except json.JSONDecodeError as error:
        raise EditError(f"{source} is not valid JSON: {error}") from error
    except yaml.YAMLError as error:
        raise EditError(f"{source} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EditError(f"{source}: {place}: {first['msg']}") from error


def _no_repeats(kind: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{kind} given twice: {', '.join(repeated)}")
