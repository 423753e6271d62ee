"""Every target of the suite beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.borders import BorderRow
from benchmarks.quality.filling import HoleRow, RemovalRow
from benchmarks.quality.geometry import GeometryRow
from benchmarks.quality.materials import NEAR_CORNER, Materials
from benchmarks.quality.network import PLANES, SEEN_RUN, NetworkRow, rooms_without_long_runs
from benchmarks.quality.recolor import RecolorRow
from benchmarks.quality.speed import Timing

Summary = dict[str, dict[str, float]]
MEGAPIXELS_LARGE = 5.0
# A colour difference that is just seen. The shortcuts keep the old light, wrong as it is, and
# with it pale borders that show no line.
MIN_VISIBLE_DELTA_E = 2.0
# Bytes per pixel that one output may need beyond the photo, and what the output itself takes (RGB).
MEMORY_TARGET, OUTPUT_BYTES = 12.0, 3.0


@dataclass(frozen=True)
class Findings:
    """What the suite has measured; a part that was left out is empty."""

    rows: list[RecolorRow]
    colours: Summary
    grids: Sequence[GeometryRow] = ()
    holes: Sequence[HoleRow] = ()
    removals: Sequence[RemovalRow] = ()
    timings: Sequence[Timing] = ()
    borders: Sequence[BorderRow] = ()
    seen: Sequence[NetworkRow] = ()
    materials: Materials | None = None


def verdicts(found: Findings) -> list[list[str]]:
    """A header and one row for each check: what, measured, target, ok or MISSED."""
    facts = [["check", "measured", "target", ""], *_colour(found.colours), *_exact(found.rows), *_matte(found.rows)]
    facts += [
        *_borders(found.borders),
        *_network(found.seen),
        *_texture(found.grids),
        *_materials(found.materials),
        *_holes(found.holes),
        *_removals(found.removals),
    ]
    for timing in found.timings:
        facts += _speed(timing)
    return facts


def _colour(colours: Summary) -> list[list[str]]:
    ours = colours["ours"]
    facts = [
        _at_most("CIEDE2000, one exposure factor per surface, mean", ours["mean"], 3.0),
        _at_most("... 95th percentile", ours["p95"], 8.0),
        _at_most("CIEDE2000 without that factor, mean", ours["raw_mean"], 3.0),
        _at_most("... 95th percentile", ours["raw_p95"], 8.0),
    ]
    for key, name in (
        ("mean", "better than every shortcut"),
        ("raw_mean", "... without the factor"),
        ("halo_p95", "halo in a 3-pixel band, p95"),
    ):
        best = min(values[key] for method, values in colours.items() if method != "ours")
        facts.append(_at_most(name, ours[key], best, "best shortcut "))
    kept = [values["kept"] for method, values in colours.items() if method != "ours"]
    shortcuts = f"shortcuts {min(kept):.2f} to {max(kept):.2f}; no edit: 1"
    facts.append(_at_least(f"gradient correlation of log luminance with the photo ({shortcuts}), mean", ours["kept"], 0.95))
    limit = ours["gradient_limit"]
    facts.append(_at_least(f"... with the truth (a flawless edit without noise: {limit:.3f}), mean", ours["gradient"], 0.95))
    facts.append(_at_least("... median", ours["gradient_median"], 0.95))
    limit = ours["relief_limit"]
    facts.append(
        _at_least(f"... where it stands above sensor noise (a perfect edit with that noise: {limit:.2f}), mean", ours["relief"], 0.95)
    )
    facts.append(_at_least("... median", ours["relief_median"], 0.95))
    return facts


def _exact(rows: list[RecolorRow]) -> list[list[str]]:
    leaked, changed = sum(row.leaked for row in rows), sum(row.protected_changed for row in rows)
    return [_at_most("pixels changed outside the matte", leaked, 0), _at_most("protected pixels changed", changed, 0)]


def _matte(rows: list[RecolorRow]) -> list[list[str]]:
    mean = {key: float(np.mean([row.matte[key] for row in rows])) for key in rows[0].matte}
    return [
        _at_most("matte error in a 12-pixel band", mean["error"], mean["error_bilinear"], "bilinear ", digits=4),
        _at_least("boundary F-score (1.5 pixels), exact masks", mean["boundary_f"], mean["boundary_f_bilinear"], "bilinear ", digits=4),
        _at_least("... masks displaced by 0.7 mask pixels", mean["moved_f"], mean["moved_f_bilinear"], "bilinear ", digits=4),
    ]


def _borders(rows: Sequence[BorderRow]) -> list[list[str]]:
    if not rows:
        return []
    mean = {name: float(np.mean([row.excess[name] for row in rows])) for name in rows[0].excess}
    shortcuts = ", ".join(f"{name} {value:.2f}" for name, value in mean.items() if name != "ours")
    name = f"wall and ceiling both painted, {len(rows)} rooms: CIEDE2000 on their border, above that beside it ({shortcuts})"
    return [_at_most(name, mean["ours"], MIN_VISIBLE_DELTA_E)]


def _network(rows: Sequence[NetworkRow]) -> list[list[str]]:
    planes = [row for row in rows if row.concept in PLANES]
    if not planes:
        return []
    before, ours = (
        float(np.mean([score.off for score in scores])) for scores in zip(*((row.before, row.ours) for row in planes), strict=True)
    )
    count, rooms = rooms_without_long_runs(rows, "ours", "longest"), len({row.seed for row in planes})
    return [
        _at_most(
            "the demo model's masks, wall, floor, ceiling: share of border off by 3 pixels", ours, before / 2, "half of before ", digits=3
        ),
        _at_least(f"... rooms of {rooms} without such a run over {SEEN_RUN:.0%} of the width", count, 0.75 * rooms, digits=0),
    ]


def _texture(grids: Sequence[GeometryRow]) -> list[list[str]]:
    if not grids:
        return []
    angles, scales = np.array([row.angle for row in grids]), np.array([row.scale for row in grids])
    return [
        _at_most("texture grid angle, median (degrees)", float(np.median(angles)), 1.5),
        _at_least("... share of rooms under 1.5 degrees", float(np.mean(angles < 1.5)), 1.0),
        _at_most("texture scale error, median", float(np.median(scales)), 0.10, digits=3),
    ]


def _materials(found: Materials | None) -> list[list[str]]:
    facts: list[list[str]] = []
    if found is None:
        return facts
    if away := [value for row in found.walls for value in row.corner_px]:
        facts.append(_at_most(f"{len(away)} corners of walls, pixels to the true ones, median", float(np.median(away)), NEAR_CORNER))
        facts.append(_at_least("... share under 3 pixels", float(np.mean(np.array(away) < NEAR_CORNER)), 0.8))
    if found.rugs:
        ours, pasted = (float(np.mean([getattr(row, name) for row in found.rugs])) for name in ("ours", "pasted"))
        facts.append(_at_most(f"a rug on {len(found.rugs)} floors, CIEDE2000 to the truth, mean", ours, pasted, "pasted without light "))
    return facts


def _holes(holes: Sequence[HoleRow]) -> list[list[str]]:
    if not holes:
        return []
    mean = {name: float(np.mean([getattr(row, name) for row in holes])) for name in ("ours", "telea", "navier_stokes")}
    return [_at_least("hole PSNR (dB)", mean["ours"], max(mean["telea"], mean["navier_stokes"]), "best cv2.inpaint ")]


def _removals(rows: Sequence[RemovalRow]) -> list[list[str]]:
    if not rows:
        return []
    mean = {name: float(np.mean([getattr(row, name) for row in rows])) for name in ("ours", "unaided", "telea", "navier_stokes")}
    name = f"{len(rows)} pieces of furniture removed, PSNR (dB); {mean['unaided']:.2f} without knowing the floor"
    return [_at_least(name, mean["ours"], max(mean["telea"], mean["navier_stokes"]), "best cv2.inpaint ")]


def _speed(t: Timing) -> list[list[str]]:
    stages = ", ".join(f"{name} {seconds:.3f}" for name, seconds in t.stages.items())
    if t.width * t.height < MEGAPIXELS_LARGE * 1e6:
        return [_at_most(f"one rule at {t.width} x {t.height}, ms ({stages})", t.stages["apply"] * 1e3, 50.0)]
    return [
        _at_most(f"stage 2 at {t.width} x {t.height} over imencode {t.imencode:.2f} s ({stages})", t.ratio, 3.0),
        _at_most("growth of peak memory, bytes per pixel with the output", t.bytes_per_pixel, MEMORY_TARGET + OUTPUT_BYTES),
    ]


def _at_most(name: str, value: float, target: float, what: str = "", digits: int = 2) -> list[str]:
    return [name, f"{value:.{digits}f}", f"<= {what}{target:.{digits}f}", "ok" if value <= target else "MISSED"]


def _at_least(name: str, value: float, target: float, what: str = "", digits: int = 2) -> list[str]:
    return [name, f"{value:.{digits}f}", f">= {what}{target:.{digits}f}", "ok" if value >= target else "MISSED"]
