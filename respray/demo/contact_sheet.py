"""The demo's `index.html`: before, what was found, after, colour asked and measured, and where the time went.

Reads only what a job leaves in its storage folder (photos, outputs, instance masks, manifest), so that the page shows what a
caller would get and nothing that the pipeline kept to itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
import numpy.typing as npt

OVERLAY_WIDTH = 900  # pixels: enough to judge an edge on a page, small enough to load at once
# Distinct hues for concepts, in the order in which they appear (sRGB).
CONCEPT_COLOURS = ((230, 97, 0), (31, 119, 180), (44, 160, 44), (148, 103, 189), (214, 39, 40), (23, 190, 207))


@dataclass(frozen=True)
class EditLine:
    """One edit in figures: colours are `#rrggbb` or None, `delta_e` is CIEDE2000."""

    output: str
    concept: str
    rule: str
    requested: str | None
    measured: str | None
    delta_e: float | None
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class PhotoEntry:
    """One photo on the page. Paths are files in the job's storage folder; `masks` are (concept, instance mask PNG)."""

    title: str
    before: Path | None
    after: Sequence[tuple[str, Path]] = ()
    masks: Sequence[tuple[str, Path]] = ()
    edits: Sequence[EditLine] = ()
    timings: dict[str, float] = field(default_factory=dict)
    error: str | None = None


def edit_lines(report: Mapping[str, Any] | None) -> list[EditLine]:
    """The edits of a photo's report, as JSON has it; none where there is no report."""
    return [
        EditLine(
            output["name"],
            edit["concept"],
            edit["rule"],
            edit.get("requested"),
            edit.get("measured"),
            edit.get("delta_e"),
            edit.get("warnings", ()),
        )
        for output in (report or {"outputs": ()})["outputs"]
        for edit in output["edits"]
    ]


def mask_overlay(photo: Path, masks: Sequence[tuple[str, Path]], out: Path) -> dict[str, str]:
    """Paint instance masks over a photo, one hue per concept with a bright outline per instance, and write a JPEG.

    Returns the legend {concept: `#rrggbb`}. Raises ValueError for a photo or mask that cannot be read.
    """
    image = _read(photo, cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    size = (min(OVERLAY_WIDTH, width), round(height * min(OVERLAY_WIDTH, width) / width))
    canvas: npt.NDArray[np.float32] = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    legend: dict[str, str] = {}
    for concept, path in masks:
        if concept not in legend:
            legend[concept] = "#{:02x}{:02x}{:02x}".format(*CONCEPT_COLOURS[len(legend) % len(CONCEPT_COLOURS)])
        rgb = [int(legend[concept][i : i + 2], 16) for i in (1, 3, 5)]
        bgr = np.array(rgb[::-1], np.float32)
        soft: npt.NDArray[np.uint8] = cv2.resize(_read(path, cv2.IMREAD_GRAYSCALE), size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        alpha = np.multiply(soft[..., None], 0.5 / 255.0, dtype=np.float32)
        canvas += (bgr - canvas) * alpha
        outlines, _ = cv2.findContours((soft > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(canvas, outlines, -1, [float(c) for c in np.clip(bgr * 1.3 + 30, 0, 255)], 2, cv2.LINE_AA)
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), canvas.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return legend


def write(out: Path, entries: Sequence[PhotoEntry], facts: dict[str, str]) -> Path:
    """Write `out/index.html` and its overlays; `facts` are lines about the run (model, server, seconds). Returns the page's path."""
    rows = []
    for number, entry in enumerate(entries):
        overlay, legend = None, {}
        if entry.before is not None and entry.masks:
            overlay = out / "overlays" / f"{number:02d}.jpg"
            legend = mask_overlay(entry.before, entry.masks, overlay)
        rows.append({
            "entry": entry,
            "before": _link(out, entry.before),
            "overlay": _link(out, overlay),
            "legend": legend,
            "after": [(label, _link(out, path)) for label, path in entry.after],
        })  # fmt: skip
    environment = jinja2.Environment(loader=jinja2.PackageLoader("respray.demo", ""), autoescape=True, undefined=jinja2.StrictUndefined)
    page = out / "index.html"
    page.write_text(environment.get_template("contact_sheet.html.j2").render(rows=rows, facts=facts), encoding="utf-8")
    return page


def _link(out: Path, path: Path | None) -> str | None:
    """A link that still works when the whole output folder is moved."""
    return None if path is None else Path(os.path.relpath(path, out)).as_posix()


def _read(path: Path, mode: int) -> npt.NDArray[np.uint8]:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise ValueError(f"cannot read the picture {path}")
    return image.astype(np.uint8, copy=False)
