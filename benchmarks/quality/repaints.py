"""Walls of rendered rooms repainted from one known paint to another: light to dark, dark to light, hue to hue, and white to white.

The photo is the room rendered with the first paints and saved as JPEG; the truth is the same room rendered with the second ones.

    python -m benchmarks.quality.repaints            # all groups, under two minutes once rendered
    python -m benchmarks.quality.repaints --group whites
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.cases import camera, code_version, repainted
from benchmarks.quality.metrics import HALO_PIXELS, exposure_between, inner
from benchmarks.quality.recolor import network_mask
from benchmarks.quality.speed import segments_of
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, delta_e_2000, encode_srgb, srgb8_to_lab
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode, decode_photo
from training import scenes

WIDTH, HEIGHT = 360, 240
# A surface under this share of the picture is not measured.
MIN_COVERAGE = 0.01
Paints = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """One job: paints before and after, hex by concept, of one room; saved as JPEG of this quality."""

    group: str
    seed: int
    before: Paints
    after: Paints
    quality: int = 92

    @property
    def name(self) -> str:
        """Short id for tables and files."""
        paints = "-".join(f"{concept}_{self.before[concept][1:]}_{self.after[concept][1:]}" for concept in self.after)
        return f"{self.group.replace(' ', '_')}-{self.seed}-{paints}-q{self.quality}"


@dataclass(frozen=True)
class Room:
    """What a pair is measured with: an encoded photo, the truth uint8 [H,W,3], masks bool [H,W] by concept."""

    photo: bytes
    truth: UInt8Array
    masks: dict[str, BoolArray]


@dataclass(frozen=True)
class Score:
    """CIEDE2000 over the repainted surfaces, with one exposure factor for each: mean and 95th percentile; and without: `raw`."""

    mean: float
    p95: float
    raw: float


OFF_WHITE, NAVY, SAGE, TERRACOTTA, CHARCOAL = "#EFE9DD", "#22304A", "#A3AF94", "#A4573D", "#2A2A2B"
DIRECTIONS = (
    ("light to dark", OFF_WHITE, NAVY),
    ("light to dark", SAGE, CHARCOAL),
    ("dark to light", NAVY, OFF_WHITE),
    ("dark to light", CHARCOAL, OFF_WHITE),
    ("hue to hue", SAGE, TERRACOTTA),
    ("hue to hue", TERRACOTTA, SAGE),
)
DIRECTION_SEEDS = (9600, 9601, 9602, 9603, 9605, 9607)
# Whites of paint ranges, warm, neutral and cool, with light reflectance values from 0.74 to 0.86.
WHITES = ("#F1EEE5", "#EDEFEE", "#F2F0EB", "#E9E4D8", "#F3F2EE", "#E7EAE6")
COLOURED = ("#D9C7A8", "#C8B69A", "#E0C58F", "#A9BBC4", "#B9A58C", "#D8B9A4", "#9FB29A", "#C9CDD0")
WHITE_SEEDS = tuple(range(9620, 9630))


def directions() -> list[Pair]:
    """Walls of rooms that nothing was tuned on."""
    return [Pair(group, seed, {"wall": before}, {"wall": after}) for seed in DIRECTION_SEEDS for group, before, after in DIRECTIONS]


def whites() -> list[Pair]:
    """Twenty pairs, two a room: coloured or beige walls to white, and white walls, ceiling and trim to whites of their own."""
    pairs = []
    for index, seed in enumerate(WHITE_SEEDS):
        wall, ceiling, trim = (WHITES[(index + shift) % len(WHITES)] for shift in (0, 2, 4))
        pairs.append(Pair("to white", seed, {"wall": COLOURED[index % len(COLOURED)]}, {"wall": wall}))
        old = {"wall": ceiling, "ceiling": wall, "baseboard": WHITES[(index + 1) % len(WHITES)]}
        pairs.append(Pair("white to white", seed, old, {"wall": wall, "ceiling": ceiling, "baseboard": trim}))
    return pairs


GROUPS = {"directions": directions, "whites": whites}


def render(pair: Pair, cache: Path) -> Room:
    """A pair's photo and truth, rendered once and then read from `cache`."""
    folder = cache / hashlib.sha256(f"{code_version()}{pair}{WIDTH}x{HEIGHT}".encode()).hexdigest()[:16]
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        room = scenes.sample_room(pair.seed)
        sensor = replace(camera(scenes.render(room, 96, 64)), jpeg=0)
        scene = scenes.render(room, WIDTH, HEIGHT, sensor=sensor, quality=2)
        for name, paints in (("photo", pair.before), ("truth", pair.after)):
            present = {concept: color for concept, color in paints.items() if scene.masks[concept].any()}
            picture = scenes.develop(repainted(room, scene, present, sensor), sensor, scene.exposure, room.seed)
            kind, quality = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, pair.quality]) if name == "photo" else (".png", [])
            (folder / name).write_bytes(cv2.imencode(kind, picture[..., ::-1], quality)[1].tobytes())
        for concept in pair.after:
            cv2.imwrite(str(folder / f"{concept}.mask.png"), scene.masks[concept].astype(np.uint8) * 255)
        (folder / "done").touch()
    masks = {concept: cv2.imread(str(folder / f"{concept}.mask.png"), cv2.IMREAD_GRAYSCALE) > 0 for concept in pair.after}
    masks = {concept: mask for concept, mask in masks.items() if mask.mean() >= MIN_COVERAGE}
    return Room((folder / "photo").read_bytes(), decode((folder / "truth").read_bytes()), masks)


def edit(room: Room, paints: Paints) -> tuple[UInt8Array, list[str]]:
    """Our edit of the room's photo, uint8 [H,W,3], through the applier's own entry point, and its warnings."""
    concepts = [concept for concept in paints if concept in room.masks]
    job = PhotoRequest(
        concepts=[ConceptQuery(name=concept, prompts=[concept]) for concept in concepts],
        outputs=[Output(name="out", edits=[Edit(concept=concept, rule=Recolor(color=paints[concept])) for concept in concepts])],
        preview_size=0,
    )
    result = edit_photo(decode_photo(room.photo), segments_of(*(network_mask(room.masks[concept]) for concept in concepts)), job, [])
    return decode(result.files[0]), [warning for report in result.report.outputs[0].edits for warning in report.warnings]


def shortcut(room: Room, paints: Paints, method: str) -> UInt8Array:
    """A shortcut's edit, with the exact masks."""
    picture = decode(room.photo)
    for concept, mask in room.masks.items():
        picture = BASELINES[method](picture, mask.astype(np.float32)[..., None], paints[concept])
    return picture


def score(edited: UInt8Array, room: Room) -> Score:
    """Compare an edit with the truth."""
    fair, raw = [], []
    for mask in room.masks.values():
        solid = inner(mask, HALO_PIXELS)
        solid = solid if solid.sum() >= 50 else mask
        truth = srgb8_to_lab(room.truth[solid])
        factor = np.float32(exposure_between(edited, room.truth, solid))
        fair.append(delta_e_2000(srgb8_to_lab(encode_srgb(decode_srgb(edited[solid]) * factor)), truth))
        raw.append(delta_e_2000(srgb8_to_lab(edited[solid]), truth))
    # Each surface counts the same: trim is small, and seen.
    return Score(
        mean=float(np.mean([float(errors.mean()) for errors in fair])),
        p95=float(np.mean([float(np.percentile(errors, 95)) for errors in fair])),
        raw=float(np.mean([float(errors.mean()) for errors in raw])),
    )


def run(pairs: Iterable[Pair], cache: Path, looks: Path | None = None) -> Iterator[tuple[Pair, dict[str, Score], list[str]]]:
    """Edit and score every pair, ours and the shortcuts. `looks` gets a picture of each: photo, ours, truth."""
    for pair in pairs:
        room = render(pair, cache)
        if not room.masks:
            continue
        ours, warnings = edit(room, pair.after)
        scores = {"ours": score(ours, room)}
        scores |= {method: score(shortcut(room, pair.after, method), room) for method in BASELINES}
        if looks is not None:
            looks.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(looks / f"{pair.name}.png"), np.hstack([decode(room.photo), ours, room.truth])[..., ::-1])
        yield pair, scores, warnings


def table(found: Iterable[tuple[Pair, dict[str, Score], list[str]]]) -> str:
    """Markdown: a row for each group and method."""
    groups: dict[str, list[dict[str, Score]]] = {}
    for pair, scores, _ in found:
        groups.setdefault(pair.group, []).append(scores)
    lines = ["| direction | pairs | method | mean | median | p95 | raw |", "|---|---|---|---|---|---|---|"]
    for group, jobs in groups.items():
        for method in jobs[0]:
            rows = [job[method] for job in jobs]
            mean, middle = (f([row.mean for row in rows]) for f in (np.mean, np.median))
            p95, raw = (np.mean([getattr(row, key) for row in rows]) for key in ("p95", "raw"))
            lines.append(f"| {group} | {len(rows)} | {method} | {mean:.2f} | {middle:.2f} | {p95:.2f} | {raw:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", choices=sorted(GROUPS), action="append", help="only this group (default: all)")
    parser.add_argument("--out", type=Path, default=Path("build/quality"), help="where renders and pictures go")
    parser.add_argument("--verbose", action="store_true", help="print every pair")
    options = parser.parse_args()
    pairs = [pair for name in options.group or GROUPS for pair in GROUPS[name]()]
    found = []
    for pair, scores, warnings in run(pairs, options.out / "cache", options.out / "repaints"):
        found.append((pair, scores, warnings))
        if options.verbose:
            errors = {method: [round(of.mean, 2), round(of.p95, 2), round(of.raw, 2)] for method, of in scores.items()}
            print(pair.name, json.dumps(errors), warnings, flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
