"""Palettes: the colours that a job names by id.

A palette file (YAML or JSON) is `{name, colors: [{id, hex, name?, kind?, family?, lab?, lrv?}]}`; what is missing is computed from `hex`.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from respray.catalog.cielab import hex_to_lab, hex_to_luminance
from respray.catalog.data_file import HEX_PATTERN, ID_PATTERN, Data, load, refuse_repeats
from respray.contract.errors import UnknownNameError

# A palette's own Lab (CIE76 distance) and LRV must describe its hex to within rounding.
LAB_TOLERANCE = 1.0
LRV_TOLERANCE = 0.6


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
        if not isinstance(values, dict):
            return values
        given = values.get("hex")
        # A wrong `hex` is an error of its own; with a stand-in, nothing that is computed from it is called missing besides.
        usable = given if isinstance(given, str) and re.match(HEX_PATTERN, given) else "#000000"
        lab = tuple(round(float(v), 2) for v in hex_to_lab(usable))
        return {"lab": lab, "lrv": round(hex_to_luminance(usable) * 100.0, 1), "name": str(values.get("id", "")), **values}

    @model_validator(mode="after")
    def _agrees(self) -> Paint:
        away = math.dist(hex_to_lab(self.hex), self.lab)
        if away > LAB_TOLERANCE:
            raise ValueError(
                f"lab {list(self.lab)} of '{self.id}' is not {self.hex} (distance {away:.1f} in CIELAB); leave lab out to have it computed"
            )
        lrv = hex_to_luminance(self.hex) * 100.0
        if abs(lrv - self.lrv) > LRV_TOLERANCE:
            raise ValueError(f"lrv {self.lrv} of '{self.id}' is not that of {self.hex} ({lrv:.1f}); leave lrv out to have it computed")
        return self


class Palette(Data):
    """A named list of colours with unique ids."""

    name: str
    colors: tuple[Paint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Palette:
        refuse_repeats("palette id", [paint.id for paint in self.colors])
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


@lru_cache(maxsize=8)
def load_palette(path: Path | None = None) -> Palette:
    """The built-in palette, or a user's file. Raises `EditError` naming the file, the field and what is accepted."""
    file = path or resources.files("respray.catalog") / "palettes" / "default.yaml"
    return load(Palette, file, f"the palette file {file}")
