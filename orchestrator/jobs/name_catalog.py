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
    >>> unknown_name_message("palette id", "sage", ["sage_a", "sage_b"])
    "unknown palette id 'sage' (did you mean 'sage_a' or 'sage_b'?); there are: sage_a, sage_b"
    """
    names = sorted(accepted)
    by_likeness = {name.casefold(): name for name in names}
    typed = given.strip().casefold()
    # Of a family's name all its members are meant alike, and a single one would be a guess.
    close = [name for name in by_likeness if name.startswith(f"{typed}_")] or difflib.get_close_matches(typed, by_likeness, n=1)
    hint = f" (did you mean {' or '.join(repr(by_likeness[name]) for name in close)}?)" if close else ""
    short = given if len(given) <= 80 else given[:77] + "..."
    return f"unknown {what} {short!r}{hint}; there are: {', '.join(names) or 'none'}"
