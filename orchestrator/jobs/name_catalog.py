"""What job messages may refer to by id: palette colours, textures, presets.

The data belongs to `respray.catalog`; this is the parser's view of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import SettingsError
from respray.catalog.palette import load_palette
from respray.catalog.preset import Preset, load_presets
from respray.catalog.texture import textures
from respray.contract.errors import EditError


@dataclass(frozen=True)
class Catalog:
    """Palette id -> `#rrggbb`, texture ids, preset name -> preset."""

    palette: Mapping[str, str]
    textures: frozenset[str]
    presets: Mapping[str, Preset]


def load_catalog(palette: Path | None = None) -> Catalog:
    """The built-in data, or a palette file of the user's own. Raises SettingsError for a file that cannot be used."""
    try:
        return Catalog(load_palette(palette).hexes, frozenset(textures()), load_presets())
    except EditError as error:
        raise SettingsError(str(error)) from error


def unknown_name_message(what: str, given: str, accepted: Iterable[str]) -> str:
    """One sentence that lists what exists.

    >>> unknown_name_message("palette id", "oak_z", ["oak_a", "white_b"])
    "unknown palette id 'oak_z' (did you mean 'oak_a'?); there are: oak_a, white_b"
    """
    names = sorted(accepted)
    by_likeness = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(given.strip().casefold(), by_likeness, n=1)
    hint = f" (did you mean {by_likeness[close[0]]!r}?)" if close else ""
    short = given if len(given) <= 80 else given[:77] + "..."
    return f"unknown {what} {short!r}{hint}; there are: {', '.join(names) or 'none'}"
