"""Walls that meet at corners: which planes a wall concept's matte has, from left to right, and the lines at which they meet.

Seen from inside a room, a wall's upright lines are told apart by their bearing (the angle to the right of where the camera looks), and
walls follow one another by a quarter turn to the right. Level lines on a wall, and those of its outline along ceiling and floor, say which
way it faces. Columns and chimney breasts, whose edges stand towards the camera, are not told from the wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from respray.editing.texture.camera import RoomCamera
from respray.editing.texture.corner_lines import CornerParameters, WallFrame, WallLines
from respray.editing.texture.lines import Segments2D
from respray.editing.texture.plane import Plane, PlaneParameters, wall_distance
from respray.imaging.arrays import BoolArray, Float64Array


@dataclass(frozen=True)
class Facet:
    """One wall of several.

    Attributes:
        normal: float64 [3], unit vector towards it, camera coordinates.
        distance: metres from the camera.
        offset: metres that its horizontal coordinate is ahead of the distance to the right of the camera, so that it runs on from the wall
            to its left.
        border: float64 [3], the line in the photo where it begins (homogeneous, length 1 in x and y, positive to its right); None: the
            first.
    """

    normal: Float64Array
    distance: float
    offset: float
    border: Float64Array | None

    def plane(self, camera: RoomCamera) -> Plane:
        """Its plane; v runs down from the camera's height, as that of its neighbours."""
        right = np.cross(camera.axes[2], self.normal)
        rows = np.stack([self.distance * right + self.offset * self.normal, self.distance * camera.axes[2], self.normal])
        return Plane(rows @ np.linalg.inv(camera.matrix), camera.confidence, "wall")


def find_facets(
    camera: RoomCamera,
    mask: BoolArray,
    segments: Segments2D,
    height_m: float,
    parameters: CornerParameters = CornerParameters(),
    planes: PlaneParameters = PlaneParameters(),
) -> list[Facet]:
    """Split a wall at its corners.

    Args:
        camera: of the photo.
        mask: bool [H,W], the wall.
        segments: of the photo.
        height_m: metres from the floor up to the camera.
        parameters: what counts as evidence.
        planes: what is assumed about rooms.

    Returns:
        The walls from left to right; an empty list where there is no evidence for more than one.
    """
    frame = WallFrame(camera)
    ys, xs = np.nonzero(mask[::4, ::4])
    if len(xs) < 50:
        return []
    seen = np.sort(frame.bearings(np.stack([xs * 4 + 2.0, ys * 4 + 2.0], axis=1)))
    low, high = float(seen[0]), float(seen[-1])
    if high - low < 4.0 * parameters.same:
        return []
    evidence = WallLines.gather(camera, frame, mask, segments, (low, high), parameters)
    runs = _labels(evidence, frame, (low, high), parameters)
    if len(runs) < 2:
        return []
    diagonal = float(np.hypot(mask.shape[0], mask.shape[1]))
    corners = [_corner(evidence, frame, one, other, diagonal, parameters) for one, other in pairwise(runs)]
    edges = [low, *corners, high]
    for (label, _, _), (left, right) in zip(runs, pairwise(edges), strict=True):
        share = float(np.searchsorted(seen, right) - np.searchsorted(seen, left)) / len(seen)
        mine, all_lines = evidence.length_within(left, right, label)
        enough = mine >= parameters.min_lines * diagonal and mine >= parameters.min_agreement * all_lines
        if right <= left or share < parameters.min_share or not enough:
            return []
    normals = [frame.normals[label] for label, _, _ in runs]
    return _joined(camera, frame, mask, normals, corners, height_m, planes)


def _labels(evidence: WallLines, frame: WallFrame, span: tuple[float, float], p: CornerParameters) -> list[tuple[int, float, float]]:
    """The likeliest walls from left to right, by dynamic programming: normal's number and bearings of its begin and end."""
    edges = np.linspace(*span, p.bins + 1)
    votes = evidence.per_bin(edges)
    cost = p.switch_cost * float(votes.sum())
    if cost <= 0.0:
        return []
    middles = (edges[1:] + edges[:-1]) / 2.0
    hidden = np.cos(middles[:, None] - frame.facing[None]) < p.min_facing
    gain = np.where(hidden, -np.inf, votes)
    best, came = gain[0], np.zeros((p.bins, 4), np.int64)
    for bin_ in range(1, p.bins):
        # From the wall a quarter turn to the left.
        turned = np.roll(best, 1) - cost
        came[bin_] = np.where(turned > best, (np.arange(4) - 1) % 4, np.arange(4))
        best = np.maximum(best, turned) + gain[bin_]
    if not np.isfinite(best.max()):
        return []
    path = [int(best.argmax())]
    for bin_ in range(p.bins - 1, 0, -1):
        path.append(int(came[bin_, path[-1]]))
    path.reverse()
    starts = [0, *(i for i in range(1, p.bins) if path[i] != path[i - 1]), p.bins]
    return [(path[i], float(edges[i]), float(edges[j])) for i, j in pairwise(starts)]


def _corner(
    evidence: WallLines,
    frame: WallFrame,
    one: tuple[int, float, float],
    other: tuple[int, float, float],
    diagonal: float,
    p: CornerParameters,
) -> float:
    """Bearing of the corner between two walls, near to where their lines part: where level lines meet, or an upright one stands."""
    rough, total = one[2], max(float(evidence.weight.sum()), 1e-9)
    meetings, worth = _meetings(evidence, frame, one[0], other[0], p)
    tried = np.concatenate([evidence.upright, meetings, [rough]])
    worth = np.concatenate([evidence.upright_length, worth, [0.0]])
    within = (tried > one[1]) & (tried < other[2])
    tried, worth = tried[within], worth[within]
    best, value = rough, -np.inf
    for bearing in tried:
        support = float(worth[np.abs(tried - bearing) < p.same].sum()) / (p.sure_share * diagonal)
        score = evidence.explained(float(bearing), one[0], other[0]) / total + p.switch_cost * min(support, 1.0)
        if score > value:
            best, value = float(bearing), score
    return best


def _meetings(evidence: WallLines, frame: WallFrame, left: int, right: int, p: CornerParameters) -> tuple[Float64Array, Float64Array]:
    """Bearings where the longest lines of two walls, made longer, meet near their ends, and the shorter one's length: float64 [k] each."""
    at: list[float] = []
    worth: list[float] = []
    longest = [np.flatnonzero(evidence.label == label) for label in (left, right)]
    for one in sorted(longest[0], key=lambda i: -evidence.weight[i])[: p.tried_lines]:
        for other in sorted(longest[1], key=lambda i: -evidence.weight[i])[: p.tried_lines]:
            ends = np.column_stack([evidence.ends[[one, other]].reshape(4, 2), np.ones(4)])
            meeting = np.cross(np.cross(ends[0], ends[1]), np.cross(ends[2], ends[3]))
            if abs(meeting[2]) < 1e-9:
                continue
            bearing = float(frame.bearings(meeting[None, :2] / meeting[2])[0])
            gaps = abs(bearing - evidence.end[one]), abs(bearing - evidence.begin[other])
            lengths = (evidence.end - evidence.begin)[[one, other]]
            same = evidence.limit[one] == evidence.limit[other] != 0
            if all(gap < max(p.snap, p.reach * length if same else 0.0) for gap, length in zip(gaps, lengths, strict=True)):
                at.append(bearing)
                weight = float(min(evidence.weight[one], evidence.weight[other])) * (1.0 if same else p.inner)
                worth.append(weight / (1.0 + sum(gaps) / p.snap))
    return np.array(at), np.array(worth)


def _joined(
    camera: RoomCamera,
    frame: WallFrame,
    mask: BoolArray,
    normals: list[Float64Array],
    corners: list[float],
    height_m: float,
    planes: PlaneParameters,
) -> list[Facet]:
    """Walls that meet in their corners: the largest one's foot tells how far away they all are."""
    rows, columns = np.nonzero(mask)
    number = np.searchsorted(corners, frame.bearings(np.stack([columns + 0.5, rows + 0.5], axis=1)))
    first = int(np.bincount(number, minlength=len(normals)).argmax())
    largest = np.zeros(mask.shape, bool)
    largest[rows[number == first], columns[number == first]] = True
    distances = [0.0] * len(normals)
    distances[first] = wall_distance(camera, largest, normals[first], height_m, planes)
    ways = [frame.way(corner) for corner in corners]
    for i in range(first + 1, len(normals)):
        distances[i] = distances[i - 1] * float(ways[i - 1] @ normals[i]) / float(ways[i - 1] @ normals[i - 1])
    for i in range(first - 1, -1, -1):
        distances[i] = distances[i + 1] * float(ways[i] @ normals[i]) / float(ways[i] @ normals[i + 1])
    facets: list[Facet] = []
    offset = 0.0
    for i, (normal, distance) in enumerate(zip(normals, distances, strict=True)):
        border = None
        if i:
            # Where the corner stands on this wall, and on the one before.
            point = ways[i - 1] * (distance / float(ways[i - 1] @ normal))
            offset += float(point @ np.cross(frame.down, normals[i - 1])) - float(point @ np.cross(frame.down, normal))
            border = frame.upright(corners[i - 1])
        facets.append(Facet(normal, distance, offset, border))
    return facets
