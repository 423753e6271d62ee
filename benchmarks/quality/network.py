"""Borders with masks as the demo model really gives them: rooms through its graphs, against the exact masks, before and after they are
decided again and made straight.

python -m benchmarks.quality.network                        # the 16 test rooms; rendered once, then from build/quality/cache
python -m benchmarks.quality.network --first 9000 --rooms 8 # rooms that constants are chosen on
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.quality import page
from benchmarks.quality.cases import MIN_COVERAGE, camera, code_version
from benchmarks.quality.metrics import border_of, boundary_f
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.mask.find import find_mattes
from respray.editing.mask.refine import refine
from respray.editing.mask.select import Segments
from respray.imaging.arrays import AnyArray, BoolArray, UInt8Array
from respray.segmentation.device import CPU
from respray.segmentation.prepare import to_square
from respray.segmentation.runner import Segmenter
from training import scenes

# Rooms that neither training nor the choice of constants has seen.
FIRST_SEED = 9500
# A photo's size on a web page; a pixel of the demo model's masks is 7.5 of these wide.
WIDTH, HEIGHT = 900, 600
PLANES = ("wall", "floor", "ceiling")
# What else is straightened or decided again and is large enough to measure.
OTHERS = ("door", "sofa", "bed", "rug", "table", "chair", "cabinet", "plant", "baseboard")
# Mouldings are in no room as large as what else is measured.
MIN_NARROW = 0.003
GRAPHS = Path(__file__).parents[2] / "respray/weights/demo/graphs"
# A border is off where it is further than this from the true one (pixels) ...
OFF = 3.0
# ... and by more than this it is a wrong region, which no border can mend: three pixels of the model's masks.
WRONG = 22.5
# A run of it that is longer than this share of the picture's width is seen.
SEEN_RUN = 0.05
# Differences of boundary F below this are none.
SAME = 0.005


@dataclass(frozen=True)
class SeenRoom:
    """A room as the demo model sees it: photo uint8 [H,W,3], true masks bool [H,W] by concept, its answer for `PLANES` and `OTHERS`."""

    seed: int
    photo: UInt8Array
    masks: dict[str, BoolArray]
    segments: Segments


@dataclass(frozen=True)
class BorderScore:
    """One surface of one room.

    Attributes:
        boundary_f: boundary F at 1.5 pixels.
        off: border, true or found, that is off by more than `OFF`, as a share of all of it.
        longest: the longest such run, in shares of the picture's width.
        off_near, longest_near: the same without what is off by more than `WRONG`.
    """

    boundary_f: float
    off: float
    longest: float
    off_near: float
    longest_near: float


@dataclass(frozen=True)
class NetworkRow:
    """One surface of one room: `before` borders are made straight, and after (`ours`)."""

    seed: int
    concept: str
    before: BorderScore
    ours: BorderScore


def rooms(seeds: Sequence[int], cache: Path) -> Iterator[SeenRoom]:
    """Render rooms, once, and ask the demo model about them."""
    segmenter = Segmenter(GRAPHS, device=CPU)
    for seed in seeds:
        key = hashlib.sha256(f"{code_version()}{seed}-{WIDTH}x{HEIGHT}".encode()).hexdigest()[:16]
        path = cache / f"room-{seed}-{key}.npz"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            room = scenes.sample_room(seed)
            scene = scenes.render(room, WIDTH, HEIGHT, sensor=camera(scenes.render(room, 96, 64)), quality=2)
            np.savez_compressed(path, photo=scene.photo, **{f"mask_{name}": mask for name, mask in scene.masks.items()})
        with np.load(path) as kept:
            photo, masks = kept["photo"], {name[5:]: kept[name] for name in kept.files if name.startswith("mask_")}
        yield SeenRoom(seed, photo, masks, look(photo, segmenter, (*PLANES, *OTHERS)))


def look(photo: UInt8Array, segmenter: Segmenter, prompts: Sequence[str]) -> Segments:
    """The model's answer for a photo uint8 [H,W,3]."""
    text, mask = segmenter.encode_prompts(prompts)
    found = segmenter.decode(segmenter.encode_images(to_square(photo, segmenter.spec.image_size)[None]), text[None], mask[None])
    return Segments(found.region[0], found.masks[0], found.scores[0], found.boxes[0], found.presence[0])


def request() -> PhotoRequest:
    """Everything that is measured in one job, from regions (an object's instances would be another measure)."""
    names = (*PLANES, *OTHERS)
    edits = [Edit(concept=name, rule=Recolor(color="#5E7F8C")) for name in names]
    return PhotoRequest(concepts=[ConceptQuery(name=name, prompts=[name]) for name in names], outputs=[Output(name="out", edits=edits)])


def measure(room: SeenRoom) -> list[NetworkRow]:
    """Every surface of a room that is not a sliver of it, and that the model has found."""
    found = find_mattes(room.photo, request(), room.segments, []).concepts
    rows = []
    for number, (name, concept) in enumerate(found.items()):
        truth = room.masks[name]
        if concept.matte is not None and truth.mean() >= (MIN_NARROW if name == "baseboard" else MIN_COVERAGE):
            before = refine(room.segments.region[number], room.photo).alpha
            rows.append(NetworkRow(room.seed, name, score(before, truth), score(concept.matte.alpha, truth)))
    return rows


def run(seeds: Sequence[int], cache: Path) -> list[NetworkRow]:
    """Measure rooms."""
    return [row for room in rooms(seeds, cache) for row in measure(room)]


def table(rows: Sequence[NetworkRow]) -> list[list[str]]:
    """Header and a row for each concept: before and after, means; the last columns count."""
    lines = [["concept", "surfaces", "boundary F", "off by > 3 px", "... near", "longest run", "... near", "surfaces better", "worse"]]
    for name in (*PLANES, *OTHERS):
        chosen = [row for row in rows if row.concept == name]
        if chosen:
            better = sum(row.ours.boundary_f > row.before.boundary_f + SAME for row in chosen)
            worse = sum(row.ours.boundary_f < row.before.boundary_f - SAME for row in chosen)
            lines.append([name, str(len(chosen)), *_means(chosen), str(better), str(worse)])
    return lines


def rooms_without_long_runs(rows: Sequence[NetworkRow], which: str, key: str) -> int:
    """Rooms in which no plane has a run (`longest` or `longest_near`, of `before` or `ours`) that is seen."""
    seen = {row.seed for row in rows if row.concept in PLANES and getattr(getattr(row, which), key) > SEEN_RUN}
    return len({row.seed for row in rows if row.concept in PLANES} - seen)


def _means(rows: Sequence[NetworkRow]) -> list[str]:
    cells = []
    for key in ("boundary_f", "off", "off_near", "longest", "longest_near"):
        before, ours = (float(np.mean([getattr(getattr(row, which), key) for row in rows])) for which in ("before", "ours"))
        cells.append(f"{before:.3f} -> {ours:.3f}" if key == "boundary_f" else f"{before:.1%} -> {ours:.1%}")
    return cells


def score(alpha: UInt8Array, truth: BoolArray) -> BorderScore:
    """Compare the border of a matte uint8 [H,W] with that of the true mask; the picture's own edge is none."""
    ours, theirs = border_of(alpha >= 128), border_of(truth)
    pairs = [(edge, _distance(other)) for edge, other in ((ours, theirs), (theirs, ours))]
    off = [edge & (distance > OFF) for edge, distance in pairs]
    near = [wrong & (distance <= WRONG) for wrong, (_, distance) in zip(off, pairs, strict=True)]
    length, width = max(1, int(ours.sum() + theirs.sum())), alpha.shape[1]
    shares = [float(sum(int(edge.sum()) for edge in edges)) / length for edges in (off, near)]
    longest = [max(_longest(edge) for edge in edges) / width for edges in (off, near)]
    return BorderScore(boundary_f(alpha, truth), shares[0], longest[0], shares[1], longest[1])


def _distance(edge: BoolArray) -> AnyArray:
    return np.asarray(cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5))


def _longest(edge: BoolArray) -> int:
    """Pixels of the longest connected run."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(edge.astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def asked_rooms(description: str | None) -> tuple[range, Path]:
    """Seeds of the rooms that the command line names, and where rendered ones are kept."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=16, help="rendered rooms (default 16)")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help=f"seed of the first (default {FIRST_SEED})")
    parser.add_argument("--cache", type=Path, default=Path("build/quality/cache"), help="where rendered rooms are kept")
    options = parser.parse_args()
    return range(options.first, options.first + options.rooms), options.cache


def main() -> None:
    """Print the table."""
    rows = run(*asked_rooms(__doc__))
    for row in rows:
        numbers = [" ".join(f"{value:.3f}" for value in asdict(score).values()) for score in (row.before, row.ours)]
        print(row.seed, row.concept, *numbers, sep="  ")
    print(page.text(table(rows)))
    for key in ("longest", "longest_near"):
        before, ours = (rooms_without_long_runs(rows, which, key) for which in ("before", "ours"))
        print(f"rooms without a run over {SEEN_RUN:.0%} of the width ({key}): {before} -> {ours}")


if __name__ == "__main__":
    main()
