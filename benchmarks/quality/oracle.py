"""What is left of a plane's border that is off: beside what it lies, and what the best fit of borders could mend at all.

python -m benchmarks.quality.oracle                         # the rooms of benchmarks.quality.network, from its cache

Every row takes the truth where a fit could have found it, and our matte (or the network's own mask) elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import cv2
import numpy as np

from benchmarks.quality import page
from benchmarks.quality.cases import MIN_COVERAGE
from benchmarks.quality.metrics import border_of
from benchmarks.quality.network import OFF, PLANES, SEEN_RUN, BorderScore, SeenRoom, asked_rooms, request, rooms, score
from respray.editing.mask.find import find_mattes
from respray.imaging.arrays import AnyArray, BoolArray, IntArray

# What a border lies beside.
GROUPS = {"another plane": ("wall", "floor", "ceiling", "baseboard"), "a door or window": ("door", "window")}
OTHER = "a thing"
# A fit may move the network's border so far, in pixels of its mask: the guided filter's 1.5, and more.
REACHES = (1.5, 2.5, 4.0, 6.0)
# The truth of one group of borders is taken so far around them (pixels).
AROUND = 45.0


def main() -> None:
    """Print both tables."""
    scores: dict[str, list[tuple[int, BorderScore]]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    for room in rooms(*asked_rooms(__doc__)):
        for name, ours in _found(room).items():
            truth, kind = room.masks[name], _kinds(room.masks, name)
            for label, mask in _oracles(room, name, ours, kind).items():
                scores[label].append((room.seed, score(mask.astype(np.uint8) * np.uint8(255), truth)))
            for group, share in _off(ours, truth, kind).items():
                shares[group].append(share)
    print(page.text([["beside", "border off by > 3 px"], *([group, f"{np.mean(each):.1%}"] for group, each in shares.items())]))
    lines = [["mask", "boundary F", "off by > 3 px", "longest run", f"rooms without a run over {SEEN_RUN:.0%}"]]
    for label, each in scores.items():
        mean = [f"{np.mean([getattr(item, key) for _, item in each]):.3f}" for key in ("boundary_f", "off", "longest")]
        seen = {seed for seed, item in each if item.longest > SEEN_RUN}
        lines.append([label, *mean, f"{len({seed for seed, _ in each} - seen)}"])
    print(page.text(lines))


def _found(room: SeenRoom) -> dict[str, BoolArray]:
    """Our masks of the planes of a room that count."""
    found = find_mattes(room.photo, request(), room.segments, []).concepts
    mattes = {name: found[name].matte for name in PLANES if room.masks[name].mean() >= MIN_COVERAGE}
    return {name: matte.alpha >= 128 for name, matte in mattes.items() if matte is not None}


def _kinds(masks: Mapping[str, BoolArray], name: str) -> IntArray:
    """Beside which group the nearest piece of a plane's true border lies, int [H,W]; -1 where that is far."""
    groups = np.full(masks[name].shape, len(GROUPS), np.int64)
    for number, members in enumerate(GROUPS.values()):
        for member in members:
            if member in masks and member != name:
                groups[masks[member]] = number
    beside = _nearest(~masks[name], groups)[0]
    border = border_of(masks[name])
    kind, distance = _nearest(border, beside)
    return np.where(distance <= AROUND, kind, -1)


def _nearest(where: BoolArray, values: IntArray) -> tuple[IntArray, AnyArray]:
    """Of every pixel, the value int [H,W] of the nearest one of `where`, and how far it is."""
    distance, labels = cv2.distanceTransformWithLabels((~where).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(labels.max()) + 1, np.int64)
    table[labels[where]] = values[where]
    return table[labels], np.asarray(distance)


def _oracles(room: SeenRoom, name: str, ours: BoolArray, kind: IntArray) -> dict[str, BoolArray]:
    """Masks by what they take from the truth."""
    truth = room.masks[name]
    region = room.segments.region[PLANES.index(name)]
    seen = cv2.resize(region, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_LINEAR) >= 128
    depth = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 5) + cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, 5)
    cell = float(np.sqrt(truth.size / region.size))
    masks = {"the network's": seen, "ours": ours}
    masks |= {f"true within {reach:g} mask pixels of the network's": np.where(depth <= reach * cell, truth, seen) for reach in REACHES}
    groups = [*GROUPS, OTHER]
    masks |= {f"ours, true beside {group}": np.where(kind == number, truth, ours) for number, group in enumerate(groups)}
    masks["ours, true beside all but things"] = np.where((kind >= 0) & (kind < len(GROUPS)), truth, ours)
    return masks


def _off(ours: BoolArray, truth: BoolArray, kind: IntArray) -> dict[str, float]:
    """Border that is off by more than `OFF`, as a share of all, by what is beside it."""
    edges = (border_of(ours), border_of(truth))
    length = max(1, int(edges[0].sum() + edges[1].sum()))
    off = [edge & (_nearest(other, kind)[1] > OFF) for edge, other in (edges, edges[::-1])]
    groups = {**{group: number for number, group in enumerate([*GROUPS, OTHER])}, "far from any": -1}
    return {group: float(sum(int((edge & (kind == number)).sum()) for edge in off)) / length for group, number in groups.items()}


if __name__ == "__main__":
    main()
