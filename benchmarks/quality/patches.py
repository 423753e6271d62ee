"""Bare patches: bits of a plane that its matte leaves out and a designer sees after an edit, and bits of other things that it takes.

python -m benchmarks.quality.patches                        # the 16 test rooms of benchmarks.quality.network, from its cache
python -m benchmarks.quality.patches --first 7000 --rooms 40 # rooms that constants are chosen on

A border that is off by a few pixels is no patch: what counts is wider than that. Patches are told apart by what is beside them, taken
pixels by what they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.quality import page
from benchmarks.quality.cases import MIN_COVERAGE
from benchmarks.quality.network import PLANES, SeenRoom, asked_rooms, request, rooms
from respray.editing.core.shapes import grown
from respray.editing.mask.find import find_mattes
from respray.imaging.arrays import BoolArray, UInt8Array

# A patch is somewhere wider than this (pixels of a photo of 900 x 600), ...
MIN_WIDTH = 7
# ... and no smaller than this (pixels, 0.01 % of the photo).
MIN_PIXELS = 54
# Larger ones (0.4 % of the photo) are what the network takes for something else, and no border or filling mends.
MAX_PIXELS = 2160
# What is so near to a patch (pixels) is beside it.
BESIDE = 5
# What no concept of the rooms is called: radiators, frames, cushions, the garden.
NAMELESS = "something else"
# The table's last rows.
ALL, SMALL = "all", "all of up to 0.4 % of the photo"


@dataclass(frozen=True)
class Patch:
    """A connected bit of a photo that a plane's matte has wrong.

    Attributes:
        seed, plane: of which room and surface.
        bare: it is the plane's, and left out; otherwise it is another thing's, and taken.
        beside: what is beside a bare one, or what a taken one is.
        pixels: its size.
        box: left, top, width and height.
    """

    seed: int
    plane: str
    bare: bool
    beside: str
    pixels: int
    box: tuple[int, int, int, int]


def measure(room: SeenRoom) -> list[Patch]:
    """The patches of every plane of a room that is no sliver of it, and that the model has found."""
    found = find_mattes(room.photo, request(), room.segments, []).concepts
    patches: list[Patch] = []
    for plane in PLANES:
        matte = found[plane].matte
        if matte is not None and room.masks[plane].mean() >= MIN_COVERAGE:
            patches += compare(room.seed, plane, matte.alpha, room.masks)
    return patches


def compare(seed: int, plane: str, alpha: UInt8Array, masks: Mapping[str, BoolArray]) -> list[Patch]:
    """The patches of one plane's matte, uint8 [H,W]; `masks`: the true ones, bool [H,W] by concept."""
    painted, truth = alpha >= 128, masks[plane]
    others = {name: mask for name, mask in masks.items() if name != plane}
    patches = []
    for bare, wrong in ((True, truth & ~painted), (False, painted & ~truth)):
        for box, shape in _wide(wrong):
            x, y, w, h = box
            window = slice(max(0, y - BESIDE), y + h + BESIDE), slice(max(0, x - BESIDE), x + w + BESIDE)
            padded = np.zeros(truth[window].shape, bool)
            padded[y - window[0].start :, x - window[1].start :][:h, :w] = shape
            where = grown(padded, BESIDE) & ~truth[window] if bare else padded
            beside = _most({name: int(mask[window][where].sum()) for name, mask in others.items()}, int(where.sum()))
            patches.append(Patch(seed, plane, bare, beside, int(shape.sum()), box))
    return patches


def _wide(wrong: BoolArray) -> list[tuple[tuple[int, int, int, int], BoolArray]]:
    """Box and shape, bool [h,w], of every connected part of a mask that is no strip along a border and no crumb."""
    core = cv2.morphologyEx(wrong.astype(np.uint8), cv2.MORPH_OPEN, np.ones((MIN_WIDTH, MIN_WIDTH), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
    found = []
    for label, (x, y, w, h, area) in enumerate(stats.tolist()):
        if label and area >= MIN_PIXELS:
            found.append(((x, y, w, h), labels[y : y + h, x : x + w] == label))
    return found


def _most(counts: Mapping[str, int], total: int) -> str:
    """The concept with the most pixels; `NAMELESS` where no concept has more than what has none."""
    name = max(counts, key=lambda key: counts[key])
    return name if counts[name] > total - sum(counts.values()) else NAMELESS


def table(patches: Sequence[Patch]) -> list[list[str]]:
    """Header and a row for each neighbour, the largest first, for small ones and for all: patches and pixels left bare, and taken."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for patch in patches:
        for name in (patch.beside, ALL, *([SMALL] if patch.pixels <= MAX_PIXELS else [])):
            first = 0 if patch.bare else 2
            sums[name][first] += 1
            sums[name][first + 1] += patch.pixels
    order = sorted(sums, key=lambda name: (name == ALL, name == SMALL, -sums[name][1] - sums[name][3]))
    return [["beside, or which", "bare patches", "pixels", "taken patches", "pixels"], *([name, *map(str, sums[name])] for name in order)]


def main() -> None:
    """Print every patch, and a table for each plane and for all."""
    patches = [patch for room in rooms(*asked_rooms(__doc__)) for patch in measure(room)]
    for patch in patches:
        print(patch.seed, patch.plane, "bare" if patch.bare else "taken", patch.beside, patch.pixels, *patch.box, sep="  ")
    for plane in PLANES:
        print(plane)
        print(page.text(table([patch for patch in patches if patch.plane == plane])))
    print("all planes")
    print(page.text(table(patches)))


if __name__ == "__main__":
    main()
