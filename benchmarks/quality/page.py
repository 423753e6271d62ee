"""The suite's results as one page of pictures and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from benchmarks.quality.borders import BorderRow
from benchmarks.quality.filling import RemovalRow
from benchmarks.quality.photos import Look
from benchmarks.quality.recolor import RecolorRow
from respray.imaging.arrays import UInt8Array
from respray.imaging.encode import encode

COLUMNS = (
    ("mean", "dE00"),
    ("p95", "p95"),
    ("raw_mean", "dE00 raw"),
    ("raw_p95", "p95 raw"),
    ("gradient", "gradient r"),
    ("relief", "... above noise"),
    ("kept", "... with the photo"),
    ("halo_p95", "halo p95"),
)
STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem}img{width:32%;margin:0 .5% .3rem 0}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.wide img{width:49%}"
)


def table(summary: dict[str, dict[str, float]]) -> list[list[str]]:
    """Header and rows of the recolouring table: mean over all cases, and the median in brackets."""
    rows = [["method", *(title for _, title in COLUMNS)]]
    for method, values in summary.items():
        rows.append([method, *(f"{values[key]:.2f} ({values[key + '_median']:.2f})" for key, _ in COLUMNS)])
    return rows


def text(rows: list[list[str]]) -> str:
    """Rows as aligned text."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(
    out: Path,
    facts: list[list[str]],
    rows: list[RecolorRow],
    colours: list[list[str]],
    pictures: Sequence[Look] = (),
    removals: Sequence[RemovalRow] = (),
    borders: Sequence[BorderRow] = (),
    materials: Sequence[list[str]] = (),
) -> Path:
    """Write index.html and its pictures below `out`; the worst cases come first."""
    parts = ["<h1>Quality of edits</h1>", _table(facts), "<h2>Recolouring against the truth</h2>", _table(colours)]
    if materials:
        parts += ["<h2>Materials in a room</h2>", _table(list(materials))]
    for look in pictures:
        stem = f"photo-{look.photo.split('.')[0]}-{look.name.replace(' ', '-').replace(',', '')}"
        _save(out / f"{stem}-before.jpg", encode(look.before, "jpeg", 90))
        _save(out / f"{stem}.png", look.data)
        notes = "; ".join(
            f"{e.concept} {e.rule}" + (f" asked {e.requested}, measured {e.measured} (dE {e.delta_e})" if e.requested else "")
            for output in look.report.outputs
            for e in output.edits
        )
        parts.append(f"<h3>{escape(look.photo)}: {escape(look.name)}</h3><p>{escape(notes)}</p><div class=wide>")
        parts.append(f'<img src="{stem}-before.jpg" loading=lazy><img src="{stem}.png" loading=lazy></div>')
    parts.append("<h2>Rooms: photo, ours, truth</h2>")
    for row in sorted(rows, key=lambda row: -row.scores["ours"].mean):
        ours = row.scores["ours"]
        relief = f"gradient {ours.gradient:.2f}, above noise {ours.relief:.2f}"
        caption = f"{row.name}: dE {ours.mean:.1f}, p95 {ours.p95:.1f}, raw {ours.raw_mean:.1f}, {relief}"
        parts += _pictures(out, row.name, caption, row.pictures)
    parts.append("<h2>Wall and ceiling in one job: photo, ours, truth</h2>")
    for border in sorted(borders, key=lambda border: -border.excess["ours"]):
        excess = ", ".join(f"{method} {value:.1f}" for method, value in border.excess.items())
        parts += _pictures(out, f"border-{border.seed}", f"{border.seed}: dE on the border above that beside it: {excess}", border.pictures)
    parts.append("<h2>Furniture removed: photo, ours, truth</h2>")
    for item in sorted(removals, key=lambda item: item.ours):
        caption = f"{item.seed} {item.concept}: {item.ours:.1f} dB, without knowing the floor {item.unaided:.1f}, Telea {item.telea:.1f}"
        parts += _pictures(out, f"removed-{item.seed}-{item.concept}", caption, item.pictures)
    page = out / "index.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><title>Quality of edits</title><style>{STYLE}</style>{''.join(parts)}\n")
    return page


def _pictures(out: Path, stem: str, caption: str, pictures: Mapping[str, UInt8Array]) -> list[str]:
    """Pictures side by side under a caption, saved below `out`."""
    parts = [f"<h3>{escape(caption)}</h3>"]
    for kind, image in pictures.items():
        _save(out / f"{stem}-{kind}.jpg", encode(np.ascontiguousarray(image), "jpeg", 88))
        parts.append(f'<img src="{stem}-{kind}.jpg" loading=lazy title="{kind}">')
    return parts


def _table(rows: list[list[str]]) -> str:
    def row(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{row('th', rows[0])}{''.join(row('td', cells) for cells in rows[1:])}</table>"


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
