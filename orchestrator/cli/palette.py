"""`respray palette`: the colours and textures a job can name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.errors import SettingsError
from respray.catalog.palette import load_palette
from respray.catalog.texture import textures
from respray.contract.errors import EditError


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def palette(file: Annotated[Path | None, typer.Argument(help="A palette file of your own, to check it.")] = None) -> None:
        """List palette ids with their colours, and the texture ids of the catalogue."""
        try:
            chosen = load_palette(file)
        except EditError as error:
            raise SettingsError(str(error)) from None
        table = Table("id", "colour", "name", "LRV", "", title=f"palette {chosen.name}", title_justify="left")
        for paint in chosen.colors:
            table.add_row(paint.id, paint.hex, paint.name, f"{paint.lrv:.1f}", Text("      ", style=f"on {paint.hex}"))
        console = Console()
        console.print(table)
        if file is None:
            materials = Table("id", "name", "one repeat covers", title="textures", title_justify="left")
            for entry in textures().values():
                materials.add_row(entry.id, entry.name, f"{entry.size_m[0]:g} x {entry.size_m[1]:g} m")
            console.print(materials)
