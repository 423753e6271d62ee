"""Two surfaces that meet, both painted: what is left of the old colours along their border."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.cases import MIN_COVERAGE, camera, repainted
from benchmarks.quality.metrics import exposure_between, inner, outer
from benchmarks.quality.recolor import network_mask
from benchmarks.quality.speed import segments_of
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, delta_e_2000, encode_srgb, srgb8_to_lab
from respray.editing.mask.refine import refine
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode
from training import scenes

# Both dark, where what stays of a pale wall or ceiling shines.
COLORS = {"wall": "#22304A", "ceiling": "#2A2A2B"}
# The border's own pixels, and those beside it that it is compared with: distances in pixels.
LINE, BESIDE = 2, (5, 9)
MIN_LINE_PIXELS = 100


@dataclass(frozen=True)
class BorderRow:
    """One room: CIEDE2000 to the truth on the border of wall and ceiling less that beside it, ours and the shortcuts'."""

    seed: int
    excess: dict[str, float]
    pictures: dict[str, UInt8Array] = field(repr=False, compare=False)

    def numbers(self) -> dict[str, object]:
        """Everything but the pictures, for JSON."""
        return {"seed": self.seed, "excess": self.excess}


def borders(seeds: range, width: int = 600, height: int = 400) -> list[BorderRow]:
    """Paint wall and ceiling of every room that shows a border of both, in one job."""
    rows = []
    for seed in seeds:
        room = scenes.sample_room(seed)
        sensor = camera(scenes.render(room, 96, 64))
        scene = scenes.render(room, width, height, sensor=sensor, quality=2)
        masks = {concept: scene.masks[concept] for concept in COLORS}
        near = [outer(mask, LINE) for mask in masks.values()]
        line = near[0] & near[1] & (masks["wall"] | masks["ceiling"])
        if min(mask.mean() for mask in masks.values()) < MIN_COVERAGE or line.sum() < MIN_LINE_PIXELS:
            continue
        truth = scenes.develop(repainted(room, scene, COLORS, sensor), sensor, scene.exposure, room.seed)
        pictures = {"photo": scene.photo, "ours": _ours(scene.photo, masks), "truth": truth}
        edits = {"ours": pictures["ours"]} | {name: _shortcut(name, scene.photo, masks) for name in BASELINES}
        rows.append(BorderRow(seed, {name: _excess(edit, truth, masks, line) for name, edit in edits.items()}, pictures))
    return rows


def _ours(photo: UInt8Array, masks: dict[str, BoolArray]) -> UInt8Array:
    job = PhotoRequest(
        concepts=[ConceptQuery(name=name, prompts=[name]) for name in masks],
        outputs=[Output(name="out", edits=[Edit(concept=name, rule=Recolor(color=COLORS[name])) for name in masks])],
        preview_size=0,
    )
    return decode(edit_photo(photo, segments_of(*(network_mask(mask) for mask in masks.values())), job, []).files[0])


def _shortcut(name: str, photo: UInt8Array, masks: dict[str, BoolArray]) -> UInt8Array:
    edited = photo
    for concept, mask in masks.items():
        share = refine(network_mask(mask), photo).alpha.astype(np.float32)[..., None] / 255.0
        edited = BASELINES[name](edited, share, COLORS[concept])
    return edited


def _excess(edit: UInt8Array, truth: UInt8Array, masks: dict[str, BoolArray], line: BoolArray) -> float:
    """Mean CIEDE2000 on the line less that beside it, after one exposure factor per surface."""
    error = np.zeros(line.shape, np.float32)
    truth_lab = srgb8_to_lab(truth)
    for mask in masks.values():
        factor = np.float32(exposure_between(edit, truth, inner(mask, LINE + 1)))
        scaled = encode_srgb(decode_srgb(edit) * factor)
        error = np.where(mask, delta_e_2000(srgb8_to_lab(scaled), truth_lab), error)
    beside = (outer(line, BESIDE[1]) & ~outer(line, BESIDE[0])) & (masks["wall"] | masks["ceiling"])
    return float(error[line].mean() - error[beside].mean())
