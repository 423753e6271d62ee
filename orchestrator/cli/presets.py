"""`respray presets`: the presets a job can name, and the concepts they know."""

from __future__ import annotations

import typer
from rich.table import Column, Table

from orchestrator.cli._tables import print_table
from orchestrator.jobs.name_catalog import load_catalog


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def presets() -> None:
        """List the presets with their concepts, other names of these, prompts and what is protected."""
        for name, preset in sorted(load_catalog().presets.items()):
            columns = [Column(head, overflow="fold") for head in ("also called", "prompts", "kind", "protected")]
            table = Table(Column("concept", no_wrap=True), *columns, title=f"{name}: {preset.description}", title_justify="left")
            for concept, entry in preset.concepts.items():
                words = ", ".join(entry.prompts) or f"everything but {', '.join(entry.complement_of)}"
                table.add_row(concept, ", ".join(entry.synonyms), words, entry.kind, "yes" if entry.protect else "")
            print_table(table)
