"""Presets: the concepts that a trade's users name, the prompts that find them and what is protected by default."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from respray.catalog.data_file import ID_PATTERN, Data, load, refuse_repeats
from respray.contract.errors import EditError, UnknownNameError
from respray.contract.request import ConceptQuery

GROUND_WORDS = ("floor", "floors", "flooring", "floorboards", "parquet", "carpet", "ground")
# Of these, what mirrors nothing.
SOFT_GROUND_WORDS = ("carpet",)
# What a surface is made of, behind the word that says how it lies: "floor tiles", "wall paint".
MATERIAL_WORDS = ("tile", "tiles", "tiling", "paint", "covering", "boards", "planks")
MIN_LIKENESS = 0.82
"""Of a mistyped name, as difflib measures it: "Wal" has 0.86 of "Wall". Words of their own have less: "plate" 0.8 of "plant"."""


class PresetConcept(Data):
    """How one concept of a preset is segmented; see the preset files.

    `plane` is how it lies, for textures (None: it may lie in any way); `height_m` how far above the floor its top usually is.
    `straight`: its borders are straight lines, in doubt. `by_colour`: the photo's colours and edges decide its coarse mask again, as
    they do for what is straight. `narrow`: it is straight, and no wider than a few pixels of that mask, as mouldings are.
    """

    prompts: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    kind: Literal["surface", "object"] = "surface"
    priority: int = 0
    protect: bool = False
    complement_of: tuple[str, ...] = ()
    plane: Literal["floor", "ceiling", "wall"] | None = None
    height_m: float = Field(default=0.0, ge=0.0, le=2.0)
    straight: bool = False
    by_colour: bool = False
    narrow: bool = False

    @model_validator(mode="after")
    def _has_source(self) -> PresetConcept:
        if not self.prompts and not self.complement_of:
            raise ValueError("a concept needs prompts or complement_of")
        if self.height_m and self.plane != "floor":
            raise ValueError("height_m is a top's, which needs plane: floor")
        if self.narrow and not self.straight:
            raise ValueError("narrow: true needs straight: true")
        return self


class Preset(Data):
    """A preset: concepts by the names that its users write."""

    name: str = Field(pattern=ID_PATTERN)
    description: str = ""
    concepts: dict[str, PresetConcept] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Preset:
        names = [n for key, item in self.concepts.items() for n in dict.fromkeys(map(normalise, (key, *item.synonyms)))]
        refuse_repeats(f"concept name or synonym of preset '{self.name}'", names)
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

    def meaning(self, name: str) -> str:
        """The same for all names of one concept: normalised, of a synonym that of its concept."""
        return normalise(self.lookup(name) or name)

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


def normalise(name: str) -> str:
    """Names compare without case, with underscores, hyphens and runs of spaces all the same, and composed as Unicode's NFC is.

    macOS writes names decomposed (NFD): what looks alike is one name.
    """
    return unicodedata.normalize("NFC", " ".join(name.replace("_", " ").replace("-", " ").split()).casefold())


def is_ground(name: str) -> bool:
    """Whether a concept is what furniture stands on, by the last word of its name ("wood floor", but no "floor lamp")."""
    return _last_word(name) in GROUND_WORDS


def is_hard_ground(name: str) -> bool:
    """The same but for carpets."""
    return is_ground(name) and _last_word(name) not in SOFT_GROUND_WORDS


def is_wall(name: str) -> bool:
    """Whether what a user calls `name` is a wall or a ceiling: what paint is put on as it is, whatever paints are there."""
    lie = orientation_of(name)
    return lie is not None and lie.kind == "surface" and lie.plane in ("wall", "ceiling")


def lies_on_floor(name: str) -> bool:
    """Whether what a user calls `name` lies flat on the floor, as a rug does; the floor itself does not."""
    lie = orientation_of(name)
    return lie is not None and lie.kind == "object" and lie.plane == "floor" and lie.height_m == 0.0


def orientation_of(name: str) -> PresetConcept | None:
    """The concept of any preset whose `plane` is that of what a user calls `name`; None where none tells.

    The name is looked up whole, then without the words for a material, then by its last word: "floor tile" and "blue rug" lie as a floor,
    but no "floor lamp".
    """
    return _meant(name, lambda concept: concept.plane is not None)


def has_straight_borders(name: str) -> bool:
    """Whether what a user calls `name` ends in straight lines: "accent wall" does, a sofa does not. Looked up as for `orientation_of`."""
    concept = _meant(name, lambda concept: True)
    return concept is not None and concept.straight


def is_decided_by_colour(name: str) -> bool:
    """Whether colours tell what a user calls `name` from what is around it: a sofa's do, a sheer curtain's do not. Looked up likewise."""
    concept = _meant(name, lambda concept: True)
    return concept is not None and concept.by_colour


def is_narrow(name: str) -> bool:
    """Whether what a user calls `name` is a straight strip, hardly wider than a pixel of a coarse mask. Looked up likewise."""
    concept = _meant(name, lambda concept: True)
    return concept is not None and concept.narrow


def _words(name: str) -> list[str]:
    """The words of a concept's name. The number of one that is asked for in several ways, "floor (2)", says nothing of it."""
    return re.sub(r" \(\d+\)$", "", normalise(name)).split()


def _last_word(name: str) -> str:
    return _words(name)[-1] if _words(name) else ""


def _meant(name: str, tells: Callable[[PresetConcept], bool]) -> PresetConcept | None:
    words = _words(name)
    bare = list(words)
    while len(bare) > 1 and bare[-1] in MATERIAL_WORDS:
        bare.pop()
    for tried in (" ".join(words), " ".join(bare), bare[-1] if bare else ""):
        for preset in load_presets().values():
            key = preset.lookup(tried)
            if key is not None and tells(preset.concepts[key]):
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


def similar_name(name: str) -> str | None:
    """The name of any preset that a word which none knows is nearly spelt like; None where there is none."""
    concepts = [(key, concept) for preset in load_presets().values() for key, concept in preset.concepts.items()]
    names = {normalise(known): known for key, concept in concepts for known in (key, *concept.synonyms)}
    close = [] if normalise(name) in names else get_close_matches(normalise(name), names, n=1, cutoff=MIN_LIKENESS)
    return names[close[0]] if close else None


@lru_cache(maxsize=8)
def load_presets(folder: Path | None = None) -> dict[str, Preset]:
    """Preset name -> preset, of every `*.yaml` in `folder` (None: the built-in ones). Raises `EditError` for a broken file."""
    root = resources.files("respray.catalog") / "presets" if folder is None else folder
    files = sorted((item for item in root.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    presets = dict[str, Preset]()
    for item in files:
        preset = load(Preset, item, item.name)
        if preset.name in presets:
            raise EditError(f"{item.name}: name: another preset is called {preset.name!r}; give this one a name of its own")
        presets[preset.name] = preset
    return presets


def find_preset(name: str) -> Preset:
    """The built-in preset called `name`; `UnknownNameError` lists what exists."""
    presets = load_presets()
    if name not in presets:
        raise UnknownNameError("preset", name, presets)
    return presets[name]
