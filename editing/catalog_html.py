"""Swatch pages: the palette, the textures and the presets as one self-contained HTML page each."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from editing.catalog import Paint, Palette, Preset, PresetConcept, TextureEntry

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .6rem;text-transform:capitalize}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:.9rem}
.card{border:1px solid #ddd;border-radius:.4rem;overflow:hidden}.swatch{height:6rem;background-size:cover}
.card div:last-child{padding:.5rem .7rem}code{font-weight:600}small{color:#666;display:block}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;vertical-align:top}
"""


def palette_html(palette: Palette, textures: Iterable[TextureEntry] = ()) -> str:
    """The palette as swatches with id, name, hex, Lab and LRV by family, followed by `textures` as pictures."""
    families: dict[str, list[Paint]] = {}
    for paint in palette.colors:
        families.setdefault(paint.family, []).append(paint)
    parts = [f"<h1>Palette: {escape(palette.name)}</h1><p>{len(palette.colors)} colours. LRV is the share of light that is reflected.</p>"]
    for family, paints in families.items():
        parts.append(f"<h2>{escape(family)}</h2><div class=grid>{''.join(map(_swatch, paints))}</div>")
    entries = list(textures)
    if entries:
        parts.append(f"<h2>Textures</h2><div class=grid>{''.join(map(_texture, entries))}</div>")
    return _page(f"Palette {palette.name}", "".join(parts))


def presets_html(presets: Iterable[Preset]) -> str:
    """Every preset as a table: concept, prompts, synonyms, kind, priority, default protect."""
    parts = ["<h1>Presets</h1><p>A concept name outside a preset is taken as it stands: what you write is what is looked for.</p>"]
    head = _row("th", ["concept", "looked for", "also written", "kind", "priority", "protected"])
    for preset in presets:
        rows = [
            _row("td", [name, _source(item), ", ".join(item.synonyms), item.kind, str(item.priority), "yes" if item.protect else ""])
            for name, item in preset.concepts.items()
        ]
        parts.append(f"<h2>{escape(preset.name)}</h2><p>{escape(preset.description)}</p><table>{head}{''.join(rows)}</table>")
    return _page("Presets", "".join(parts))


def _row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _source(item: PresetConcept) -> str:
    return "everything but " + " and ".join(item.complement_of) if item.complement_of else ", ".join(item.prompts)


def _swatch(paint: Paint) -> str:
    lab = " ".join(f"{value:.1f}" for value in paint.lab)
    return _card(f"background:{paint.hex}", paint.id, paint.name, [f"{paint.hex}, LRV {paint.lrv:.0f}", f"Lab {lab}"])


def _texture(entry: TextureEntry) -> str:
    data = base64.b64encode(entry.read()).decode()
    notes = [f"{entry.size_m[0]:g} x {entry.size_m[1]:g} m", ", ".join(entry.surfaces)]
    return _card(f"background-image:url(data:image/jpeg;base64,{data})", entry.id, entry.name, notes)


def _card(style: str, key: str, name: str, notes: list[str]) -> str:
    small = "".join(f"<small>{escape(note)}</small>" for note in notes)
    return f'<div class=card><div class=swatch style="{style}"></div><div><code>{escape(key)}</code> {escape(name)}{small}</div></div>'


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )
