"""mkdocs hook: pages of docs/ that the navigation does not name go under Design, so that adding one is adding a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Complete the navigation."""
    named = set(_names(config.nav))
    pages = sorted(path.name for path in Path(config.docs_dir).glob("*.md") if path.name not in named)
    # The architecture is where to start reading.
    pages.sort(key=lambda name: name != "architecture.md")
    design = next(section for section in config.nav if section == {"Design": []})
    design["Design"] = pages
    return config


def _names(entries: list[Any]) -> list[str]:
    """File names in a navigation, however deep."""
    found: list[str] = []
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            found += _names(value) if isinstance(value, list) else [value]
    return found
