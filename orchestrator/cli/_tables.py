"""Tables on stdout: drawn in a terminal; elsewhere a row on each line, whole, for `grep` and `head`."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

NARROW = 80
"""Columns of a terminal below which lines between cells take too much of it."""


def print_table(table: Table) -> None:
    """Print a table. Columns that are `no_wrap` stay whole where others can give way: what people copy is there."""
    console = Console()
    if not console.is_terminal or console.width < NARROW:
        table.box, table.pad_edge = None, False
    if not console.is_terminal:
        console = Console(width=max(console.width, Measurement.get(console, console.options.update(max_width=10_000), table).maximum))
    console.print(table)
