"""Walls that meet at corners: which planes a wall concept's matte has, from left to right, and the lines at which they meet.

Seen from inside a room, a wall's upright lines are told apart by their bearing (the angle to the right of where the camera looks), and
walls follow one another by a quarter turn to the right. Level lines on a wall, and those of its outline along ceiling and floor, say which
way it faces. Columns and chimney breasts, whose edges stand towards the camera, are not told from the wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from respray.editing.texture.camera import RoomCamera, angles_to
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import Plane, PlaneParameters, wall_distance
from respray.imaging.arrays import BoolArray, Float64Array, IntArray


@dataclass(frozen=True)
class CornerParameters:
    """What counts as evidence for a corner. Chosen on the rooms 8000-8039 by looking at where walls were split and where not."""

    bins: int = 400
    """Bearings that are told apart, over what is seen of the wall."""
    min_facing: float = 0.1
    """Cosine of the angle between a wall's normal and the way to it, from which on the wall is seen at all."""
    margin_share: float = 0.008
    """Lines so near to the matte, share of the photo's longest side, are on the wall's edge."""
    ambiguous: float = 3.0
    """A level line must be this many times further off the other direction than off its own may be: at eye level all run to both."""
    low_weight: float = 0.4
    """What lines below the camera's height count: many are furniture's."""
    switch_cost: float = 0.05
    """What a corner must explain more, of the length of all level lines."""
    min_share: float = 0.03
    """Share of the matte that every wall has at least."""
    min_lines: float = 0.06
    """Length of level lines, share of the photo's diagonal, that every wall has at least, ..."""
    min_agreement: float = 0.65
    """... and the share of the lines within its bearings that agree with it."""
    tried_lines: int = 6
    """So many of each wall's longest lines are tried for where they meet. Bounds the time."""
    snap: float = float(np.radians(2.0))
    """A corner's upright line is looked for this near (radians of bearing)."""
    same: float = float(np.radians(0.4))
    """Upright lines this near are one."""


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
    frame = _Frame(camera)
    ys, xs = np.nonzero(mask[::4, ::4])
    if len(xs) < 50:
        return []
    seen = np.sort(frame.bearings(np.stack([xs * 4 + 2.0, ys * 4 + 2.0], axis=1)))
    low, high = float(seen[0]), float(seen[-1])
    if high - low < 4.0 * parameters.same:
        return []
    evidence = _Evidence.gather(camera, frame, mask, segments, (low, high), parameters)
    runs = _labels(evidence, frame, (low, high), parameters)
    if len(runs) < 2:
        return []
    corners = [_corner(evidence, frame, one, other, parameters) for one, other in pairwise(runs)]
    edges = [low, *corners, high]
    for (label, _, _), (left, right) in zip(runs, pairwise(edges), strict=True):
        share = float(np.searchsorted(seen, right) - np.searchsorted(seen, left)) / len(seen)
        mine, all_lines = evidence.length_within(left, right, label)
        diagonal = float(np.hypot(mask.shape[0], mask.shape[1]))
        enough = mine >= parameters.min_lines * diagonal and mine >= parameters.min_agreement * all_lines
        if right <= left or share < parameters.min_share or not enough:
            return []
    normals = [frame.normals[label] for label, _, _ in runs]
    return _joined(camera, frame, mask, normals, corners, height_m, planes)


class _Frame:
    """Bearings in a photo, and the four ways a room's walls may face."""

    def __init__(self, camera: RoomCamera) -> None:
        self.down = camera.axes[2]
        ahead = np.array([0.0, 0.0, 1.0]) - self.down[2] * self.down
        self.ahead: Float64Array = ahead / np.linalg.norm(ahead)
        self.right: Float64Array = np.cross(self.down, self.ahead)
        self._inverse = np.linalg.inv(camera.matrix)
        self.normals = self._quarter_turns(camera.axes[0])
        self.facing = np.array([self.bearing_of(normal) for normal in self.normals])

    def bearing_of(self, direction: Float64Array) -> float:
        """Radians to the right of ahead."""
        return float(np.arctan2(direction @ self.right, direction @ self.ahead))

    def bearings(self, points: Float64Array) -> Float64Array:
        """Of photo pixels [n,2], radians [n]."""
        rays = np.column_stack([points, np.ones(len(points))]) @ self._inverse.T
        bearings: Float64Array = np.arctan2(rays @ self.right, rays @ self.ahead)
        return bearings

    def heights(self, points: Float64Array) -> Float64Array:
        """How far below eye level photo pixels [n,2] are, [n]; negative above it."""
        heights: Float64Array = np.column_stack([points, np.ones(len(points))]) @ self._inverse.T @ self.down
        return heights

    def way(self, bearing: float) -> Float64Array:
        """The level direction at a bearing, float64 [3]."""
        way: Float64Array = np.cos(bearing) * self.ahead + np.sin(bearing) * self.right
        return way

    def upright(self, bearing: float) -> Float64Array:
        """The photo's line at a bearing, float64 [3]: positive to its right."""
        line = np.cross(self.down, self.way(bearing)) @ self._inverse
        unit: Float64Array = line / np.hypot(line[0], line[1])
        return unit

    def _quarter_turns(self, axis: Float64Array) -> Float64Array:
        """A level direction and those a quarter turn to the right of one another, float64 [4,3]."""
        turned = np.cross(self.down, axis)
        return np.stack([axis, turned, -axis, -turned])


@dataclass(frozen=True)
class _Evidence:
    """Level lines [n] on a wall: bearings where each begins and ends, which normal it speaks for, its weight (pixels), and where it ends in
    the photo; and upright lines [m]: bearing and length."""

    begin: Float64Array
    end: Float64Array
    label: IntArray
    weight: Float64Array
    ends: Float64Array
    upright: Float64Array
    upright_length: Float64Array

    @classmethod
    def gather(
        cls, camera: RoomCamera, frame: _Frame, mask: BoolArray, segments: Segments2D, span: tuple[float, float], p: CornerParameters
    ) -> _Evidence:
        """From the photo's lines on the matte and the matte's own outline."""
        reach = max(1, round(p.margin_share * max(mask.shape)))
        solid = mask.astype(np.uint8)
        near = cv2.dilate(solid, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
        outline = find_segments(np.repeat((solid * 255)[..., None], 3, axis=2))
        inside = _on(segments, near)
        ends = np.concatenate([segments.ends[inside], outline.ends])
        lines = Segments2D(ends, np.concatenate([segments.lengths[inside], outline.lengths]))
        if not len(ends):
            nothing = np.zeros(0)
            return cls(nothing, nothing, np.zeros(0, np.int64), nothing, ends, nothing, nothing)
        bearings = np.sort(np.stack([frame.bearings(ends[:, :2]), frame.bearings(ends[:, 2:])], axis=1), axis=1)
        angles = angles_to(lines, camera)
        inlier = PlaneParameters.inlier_angle
        axis = angles[:, :2].argmin(axis=1)
        nearest, other = np.sort(angles[:, :2], axis=1).T
        level = (nearest < inlier) & (other > p.ambiguous * inlier) & (angles[:, 2] > p.ambiguous * inlier)
        upright = (angles[:, 2] < inlier) & (angles[:, :2].min(axis=1) > p.ambiguous * inlier)
        middle = bearings.mean(axis=1)
        # A line along one axis is on a wall that faces along the other, towards the line.
        facing = np.cos(middle[:, None] - frame.facing[None])
        facing[np.arange(4)[None] % 2 == axis[:, None]] = -1.0
        label = facing.argmax(axis=1)
        level &= facing.max(axis=1) > p.min_facing
        weight = lines.lengths * np.where(frame.heights(lines.middles) < 0.0, 1.0, p.low_weight)
        begin, end = np.clip(bearings[level], *span).T
        return cls(begin, end, label[level], weight[level], ends[level], middle[upright], lines.lengths[upright])

    def per_bin(self, edges: Float64Array) -> Float64Array:
        """Weight for each normal between bearings `edges` [n+1], float64 [n,4]."""
        votes = np.zeros((len(edges) - 1, 4))
        for begin, end, label, weight in zip(self.begin, self.end, self.label, self.weight, strict=True):
            cover = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
            if cover.sum() > 0.0:
                votes[:, label] += weight * cover / cover.sum()
        return votes

    def length_within(self, left: float, right: float, label: int) -> tuple[float, float]:
        """Weight of the lines between two bearings that speak for a normal, and of all."""
        cover = np.clip(np.minimum(right, self.end) - np.maximum(left, self.begin), 0.0, None)
        weight = self.weight * cover / np.maximum(self.end - self.begin, 1e-9)
        return float(weight[self.label == label].sum()), float(weight.sum())

    def explained(self, bearing: float, left: int, right: int) -> float:
        """Weight of the lines that a corner at a bearing between two normals explains."""
        share = np.clip((bearing - self.begin) / np.maximum(self.end - self.begin, 1e-9), 0.0, 1.0)
        return float((self.weight * ((self.label == left) * share + (self.label == right) * (1.0 - share))).sum())


def _on(segments: Segments2D, near: BoolArray) -> BoolArray:
    """Which segments lie in a mask, at most of three places along each: bool [n]."""
    height, width = near.shape
    hits = np.zeros(len(segments.lengths), np.int64)
    for share in (0.25, 0.5, 0.75):
        points = segments.ends[:, :2] * (1 - share) + segments.ends[:, 2:] * share
        columns, rows = (np.clip(points[:, i].astype(int), 0, size - 1) for i, size in ((0, width), (1, height)))
        hits += near[rows, columns]
    return hits >= 2


def _labels(evidence: _Evidence, frame: _Frame, span: tuple[float, float], p: CornerParameters) -> list[tuple[int, float, float]]:
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
    evidence: _Evidence, frame: _Frame, one: tuple[int, float, float], other: tuple[int, float, float], p: CornerParameters
) -> float:
    """Bearing of the corner between two walls, near to where their lines part: where level lines meet, or an upright one stands."""
    rough, total = one[2], max(float(evidence.weight.sum()), 1e-9)
    meetings, worth = _meetings(evidence, frame, one[0], other[0], p)
    tried = np.concatenate([evidence.upright, meetings, [rough]])
    worth = np.concatenate([evidence.upright_length, worth, [0.0]])
    near = np.abs(tried - rough) < p.snap
    tried, worth = tried[near], worth[near]
    longest = max(float(worth.max()), 1e-9)
    best, value = rough, -np.inf
    for bearing in tried:
        support = float(worth[np.abs(tried - bearing) < p.same].sum()) / longest
        score = evidence.explained(float(bearing), one[0], other[0]) / total + p.switch_cost * min(support, 1.0)
        if score > value:
            best, value = float(bearing), score
    return best


def _meetings(evidence: _Evidence, frame: _Frame, left: int, right: int, p: CornerParameters) -> tuple[Float64Array, Float64Array]:
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
            if abs(bearing - evidence.end[one]) < p.snap and abs(bearing - evidence.begin[other]) < p.snap:
                at.append(bearing)
                worth.append(float(min(evidence.weight[one], evidence.weight[other])))
    return np.array(at), np.array(worth)


def _joined(
    camera: RoomCamera,
    frame: _Frame,
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
