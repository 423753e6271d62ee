"""Borders of planes with masks as the demo model really gives them: rooms through its graphs, once, then from a cache.

python -m benchmarks.quality.network               # 16 test rooms
python -m benchmarks.quality.network --first 9000 --rooms 4 --pictures build/borders
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.quality.cases import MIN_COVERAGE, camera, code_version
from benchmarks.quality.metrics import border_of, boundary_f
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.mask.find import find_mattes
from respray.editing.mask.refine import refine
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.segmentation.prepare import to_square
from respray.segmentation.runner import Segmenter
from training import scenes

# A photo's size on a web page; a pixel of the demo model's masks is 7.5 of these.
WIDTH, HEIGHT = 900, 600
PLANES = ("wall", "floor", "ceiling")
GRAPHS = Path(__file__).parents[2] / "respray/weights/demo/graphs"
# A border is off where it is further than this from the true one (pixels); a run of it that is longer than this share of the picture's
# width is seen.
OFF = 3.0
SEEN_RUN = 0.05


@dataclass(frozen=True)
class SeenRoom:
    """A room as the demo model sees it: photo uint8 [H,W,3], true masks bool [H,W] by concept, and its answer for `PLANES`."""

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
    """

    boundary_f: float
    off: float
    longest: float


@dataclass(frozen=True)
class PlaneRow:
    """One surface of one room: `before` borders were made straight, and after (`ours`)."""

    seed: int
    concept: str
    before: BorderScore
    ours: BorderScore


def rooms(seeds: Sequence[int], cache: Path) -> Iterator[SeenRoom]:
    """Render rooms and ask the demo model; what it sees depends on its graphs and on the renderer only, and is kept in `cache`."""
    graphs = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(GRAPHS.glob("*.onnx")))
    segmenter: Segmenter | None = None
    for seed in seeds:
        key = hashlib.sha256(f"{code_version()}{graphs}{seed}-{WIDTH}x{HEIGHT}".encode()).hexdigest()[:16]
        path = cache / f"seen-{seed}-{key}.npz"
        if not path.exists():
            segmenter = segmenter or Segmenter(GRAPHS, device=None)
            room = _look_at(seed, segmenter)
            cache.mkdir(parents=True, exist_ok=True)
            answer = {f"answer_{name}": value for name, value in vars(room.segments).items()}
            masks = {f"mask_{name}": value for name, value in room.masks.items()}
            np.savez_compressed(path, photo=room.photo, **answer, **masks)
        with np.load(path) as kept:
            found = {
                name: {key[len(name) + 1 :]: kept[key] for key in kept.files if key.startswith(f"{name}_")} for name in ("answer", "mask")
            }
            yield SeenRoom(seed, kept["photo"], found["mask"], Segments(**found["answer"]))


def measure(room: SeenRoom) -> list[PlaneRow]:
    """Every plane of a room that is not a sliver of it, and that the model has found."""
    found = find_mattes(room.photo, request(), room.segments, []).concepts
    rows = []
    for number, name in enumerate(PLANES):
        matte, truth = found[name].matte, room.masks[name]
        if matte is not None and truth.mean() >= MIN_COVERAGE:
            before = refine(room.segments.region[number], room.photo).alpha
            rows.append(PlaneRow(room.seed, name, score(before, truth), score(matte.alpha, truth)))
    return rows


def request() -> PhotoRequest:
    """All planes painted in one job."""
    edits = [Edit(concept=name, rule=Recolor(color="#5E7F8C")) for name in PLANES]
    return PhotoRequest(concepts=[ConceptQuery(name=name, prompts=[name]) for name in PLANES], outputs=[Output(name="out", edits=edits)])


def score(alpha: UInt8Array, truth: BoolArray) -> BorderScore:
    """Compare the border of a matte with the true one; the picture's own edge is none."""
    ours, theirs = border_of(alpha >= 128), border_of(truth)
    off_ours, off_theirs = (edge & (_distance(other) > OFF) for edge, other in ((ours, theirs), (theirs, ours)))
    longest = max(_longest(off_ours), _longest(off_theirs)) / alpha.shape[1]
    return BorderScore(boundary_f(alpha, truth), float(off_ours.sum() + off_theirs.sum()) / float(ours.sum() + theirs.sum()), longest)


def _distance(edge: BoolArray) -> np.ndarray:
    return np.asarray(cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5))


def _longest(edge: BoolArray) -> int:
    """Pixels of the longest connected run."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(edge.astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _look_at(seed: int, segmenter: Segmenter) -> SeenRoom:
    room = scenes.sample_room(seed)
    sensor = camera(scenes.render(room, 96, 64))
    scene = scenes.render(room, WIDTH, HEIGHT, sensor=sensor, quality=2)
    return SeenRoom(seed, scene.photo, scene.masks, look(scene.photo, segmenter, PLANES))


def look(photo: UInt8Array, segmenter: Segmenter, prompts: Sequence[str]) -> Segments:
    """The model's answer for a photo uint8 [H,W,3]."""
    text, mask = segmenter.encode_prompts(prompts)
    found = segmenter.decode(segmenter.encode_images(to_square(photo, segmenter.spec.image_size)[None]), text[None], mask[None])
    return Segments(found.region[0], found.masks[0], found.scores[0], found.boxes[0], found.presence[0])
