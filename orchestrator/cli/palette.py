"""`respray palette`: the colours and textures a job can name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli._tables import print_table
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
        ids, names = Column("id", no_wrap=True), Column("name", overflow="fold")
        table = Table(ids, Column("colour", no_wrap=True), names, Column("LRV", no_wrap=True), "")
        table.title, table.title_justify = f"palette {chosen.name}", "left"
        for paint in chosen.colors:
            table.add_row(paint.id, paint.hex, paint.name, f"{paint.lrv:.1f}", Text("      ", style=f"on {paint.hex}"))
        print_table(table)
        if file is None:
            materials = Table(ids.copy(), names.copy(), "one repeat covers", title="textures", title_justify="left")
            for entry in textures().values():
                materials.add_row(entry.id, entry.name, f"{entry.size_m[0]:g} x {entry.size_m[1]:g} m")
            print_table(materials)
