"""What a photo's lines say about a room's walls: which way level ones face, where walls end, which upright ones may be corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.core.shapes import grown
from respray.editing.texture.camera import RoomCamera, angles_to
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import PlaneParameters
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
    """Lines that meet this near (radians of bearing) to their ends may meet in the corner, ..."""
    reach: float = 0.5
    """... and those along the wall's upper or lower end also further away, by this share of their length: a beam or a cupboard hides the
    rest."""
    inner: float = 0.3
    """What the meeting of other lines counts: a window's and a picture's are not at the same height as a rule."""
    sure_share: float = 0.1
    """Length of a line, share of the photo's diagonal, that is evidence enough for where a corner is."""
    same: float = float(np.radians(0.4))
    """Upright lines this near are one."""


class WallFrame:
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
class WallLines:
    """Level lines [n] on a wall: bearings where each begins and ends, which normal it speaks for, its weight (pixels), where it ends in the
    photo, and whether it is the wall's upper end (-1) or its lower one (1); and upright lines [m]: bearing and length."""

    begin: Float64Array
    end: Float64Array
    label: IntArray
    weight: Float64Array
    ends: Float64Array
    limit: IntArray
    upright: Float64Array
    upright_length: Float64Array

    @classmethod
    def gather(
        cls, camera: RoomCamera, frame: WallFrame, mask: BoolArray, segments: Segments2D, span: tuple[float, float], p: CornerParameters
    ) -> WallLines:
        """From the photo's lines on the matte and the matte's own outline."""
        reach = max(1, round(p.margin_share * max(mask.shape)))
        solid = mask.astype(np.uint8)
        near = grown(mask, reach)
        outline = find_segments(np.repeat((solid * 255)[..., None], 3, axis=2))
        inside = _on(segments, near)
        ends = np.concatenate([segments.ends[inside], outline.ends])
        lines = Segments2D(ends, np.concatenate([segments.lengths[inside], outline.lengths]))
        if not len(ends):
            nothing = np.zeros(0)
            return cls(nothing, nothing, np.zeros(0, np.int64), nothing, ends, np.zeros(0, np.int64), nothing, nothing)
        bearings = np.sort(np.stack([frame.bearings(ends[:, :2]), frame.bearings(ends[:, 2:])], axis=1), axis=1)
        angles = angles_to(lines, camera)
        inlier = PlaneParameters.inlier_angle
        axis = angles[:, :2].argmin(axis=1)
        nearest, other = np.sort(angles[:, :2], axis=1).T
        level = (nearest < inlier) & (other > p.ambiguous * inlier) & (angles[:, 2] > p.ambiguous * inlier)
        upright = (angles[:, 2] < inlier) & (angles[:, :2].min(axis=1) > p.ambiguous * inlier)
        upright &= _between(lines, mask, 2 * reach)
        middle = bearings.mean(axis=1)
        # A line along one axis is on a wall that faces along the other, towards the line.
        facing = np.cos(middle[:, None] - frame.facing[None])
        facing[np.arange(4)[None] % 2 == axis[:, None]] = -1.0
        label = facing.argmax(axis=1)
        level &= facing.max(axis=1) > p.min_facing
        weight = lines.lengths * np.where(frame.heights(lines.middles) < 0.0, 1.0, p.low_weight)
        begin, end = np.clip(bearings[level], *span).T
        limit = _limits(ends[level], mask, 2 * reach)
        return cls(begin, end, label[level], weight[level], ends[level], limit, middle[upright], lines.lengths[upright])

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


def _limits(ends: Float64Array, mask: BoolArray, reach: int) -> IntArray:
    """Which level lines [n,4] are where a mask ends: its upper end (-1), its lower one (1), or neither (0)."""
    height, width = mask.shape
    rows = np.arange(height)[:, None]
    first = np.where(mask.any(axis=0), mask.argmax(axis=0), height)
    last = np.where(mask, rows, -1).max(axis=0)
    upper, lower = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    for share in (0.25, 0.5, 0.75):
        points = ends[:, :2] * (1 - share) + ends[:, 2:] * share
        columns = np.clip(points[:, 0].astype(int), 0, width - 1)
        upper += np.abs(first[columns] - points[:, 1]) <= reach
        lower += np.abs(last[columns] - points[:, 1]) <= reach
    return np.where(upper >= 2, -1, np.where(lower >= 2, 1, 0))


def _between(segments: Segments2D, mask: BoolArray, reach: int) -> BoolArray:
    """Which segments have a mask on both sides for at least half of their length: bool [n]. An edge of the mask is furniture's."""
    height, width = mask.shape
    across = segments.ends[:, [3, 2]] - segments.ends[:, [1, 0]]
    across = across * [1.0, -1.0] / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9) * reach
    hits = np.zeros(len(segments.lengths), np.int64)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        points = segments.ends[:, :2] * (1 - share) + segments.ends[:, 2:] * share
        sides = np.ones(len(points), bool)
        for step in (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0):
            side = points + step * across
            columns, rows = (np.clip(side[:, i].astype(int), 0, size - 1) for i, size in ((0, width), (1, height)))
            sides &= mask[rows, columns]
        hits += sides
    return hits >= 3
