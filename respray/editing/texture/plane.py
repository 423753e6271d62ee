"""The plane that a texture is laid on, and the homography from photo pixels to metres on it.

One photo tells directions but not size: the floor is put at the assumed camera height below the camera, the ceiling at a usual room
height above the floor, and a wall where its foot meets the floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from respray.editing.texture.camera import INLIER_ANGLE, RoomCamera, angles_to
from respray.editing.texture.lines import Segments2D
from respray.imaging.arrays import BoolArray, FloatArray

ROOM_HEIGHT = 2.6
# A wall whose foot is hidden stands this far away, in camera heights.
USUAL_WALL_DISTANCE = 2.0
# The nearest tenth of a wall's foot points is where it touches the floor; the rest is hidden by furniture.
CONTACT_PERCENTILE = 10.0
# Rays flatter than this (cosine to the plane's normal) run along the plane; they are treated as if they met it far away.
GRAZING = 0.02
# A plane that is only assumed is trusted no more than this, so that its edit is reported with a warning (`respray.editing.report`).
ASSUMED_CONFIDENCE = 0.3


@dataclass(frozen=True)
class Plane:
    """`to_plane` float64 [3,3]: homogeneous photo pixel -> homogeneous metres (u, v) on the plane. `confidence` 0..1."""

    to_plane: FloatArray
    confidence: float
    kind: str


def floor_or_ceiling(camera: RoomCamera, ceiling: bool, height_m: float) -> Plane:
    """The floor `height_m` below the camera, or the ceiling ROOM_HEIGHT above the floor; u runs along the direction that leads away."""
    normal = camera.axes[2] * (-1.0 if ceiling else 1.0)
    distance = max(ROOM_HEIGHT - height_m, 0.5) if ceiling else height_m
    along, across = sorted((camera.axes[0], camera.axes[1]), key=lambda axis: -abs(axis[2]))
    return _plane(camera, normal, distance, (_forward(along), _rightward(across)), "ceiling" if ceiling else "floor")


def wall(camera: RoomCamera, mask: BoolArray, segments: Segments2D, height_m: float) -> Plane:
    """The vertical plane that most lines in `mask` (bool [H,W]) lie on; u is horizontal, v runs down."""
    votes = _horizontal_votes(camera, mask, segments)
    rays = _rays(camera, mask)
    facing = np.abs(rays @ camera.axes[:2].T).mean(axis=0) if len(rays) else np.array([0.5, 0.5])
    # Lines along one horizontal axis lie on the wall whose normal is the other; without lines the wall that faces us more is likelier.
    evidence = np.array([votes[1], votes[0]]) + 0.05 * facing
    index = int(evidence.argmax())
    normal = camera.axes[index]
    if len(rays) and float(np.median(rays @ normal)) < 0:
        normal = -normal
    distance = _wall_distance(camera, mask, normal, height_m)
    certainty = float(evidence.max() / max(evidence.sum(), 1e-9))
    plane = _plane(camera, normal, distance, (_rightward(camera.axes[1 - index]), camera.axes[2]), "wall")
    return Plane(plane.to_plane, round(plane.confidence * min(1.0, 1.3 * certainty), 3), "wall")


def assumed(plane: Plane) -> Plane:
    """The same plane where nothing but a habit says that the surface lies on it."""
    return replace(plane, confidence=min(plane.confidence, ASSUMED_CONFIDENCE))


def _plane(camera: RoomCamera, normal: FloatArray, distance: float, axes: tuple[FloatArray, FloatArray], kind: str) -> Plane:
    matrix = np.stack([distance * axes[0], distance * axes[1], normal]) @ np.linalg.inv(camera.matrix)
    return Plane(matrix, camera.confidence, kind)


def _forward(axis: FloatArray) -> FloatArray:
    return axis if axis[2] >= 0 else -axis


def _rightward(axis: FloatArray) -> FloatArray:
    return axis if axis[0] >= 0 else -axis


def _rays(camera: RoomCamera, mask: BoolArray) -> FloatArray:
    """Unit viewing rays of up to about 4000 mask pixels, float64 [n,3]."""
    step = max(1, int((mask.sum() / 4000) ** 0.5))
    ys, xs = np.nonzero(mask[::step, ::step])
    points = np.stack([xs * step + 0.5, ys * step + 0.5, np.ones(len(xs))], axis=1)
    rays = points @ np.linalg.inv(camera.matrix).T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _horizontal_votes(camera: RoomCamera, mask: BoolArray, segments: Segments2D) -> FloatArray:
    """Share of line length inside the mask that runs along either horizontal axis, float64 [2]."""
    if not len(segments.lengths):
        return np.zeros(2)
    height, width = mask.shape
    inside = np.zeros(len(segments.lengths), bool)
    for share in (0.25, 0.5, 0.75):
        points = segments.ends[:, :2] * (1 - share) + segments.ends[:, 2:] * share
        xs, ys = (np.clip(points[:, i].astype(int), 0, size - 1) for i, size in ((0, width), (1, height)))
        inside |= mask[ys, xs]
    angles = angles_to(segments, camera)
    chosen = angles.argmin(axis=1)
    good = inside & (angles.min(axis=1) < INLIER_ANGLE)
    total = max(float(segments.lengths[inside].sum()), 1e-9)
    return np.array([float(segments.lengths[good & (chosen == axis)].sum()) / total for axis in range(2)])


def _wall_distance(camera: RoomCamera, mask: BoolArray, normal: FloatArray, height_m: float) -> float:
    """Distance in metres to the wall, from the lowest mask pixels of each column, taken as points on the floor."""
    height = mask.shape[0]
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return USUAL_WALL_DISTANCE * height_m
    bottoms = height - 1 - mask[::-1][:, columns].argmax(axis=0)
    inside = bottoms < height - 2
    points = np.stack([columns + 0.5, bottoms + 1.0, np.ones(len(columns))], axis=1)[inside]
    rays = points @ np.linalg.inv(camera.matrix).T
    below = rays @ camera.axes[2]
    toward = rays @ normal
    good = (below > GRAZING) & (toward > GRAZING)
    if good.sum() < 5:
        return USUAL_WALL_DISTANCE * height_m
    # A point on the floor lies height_m below the camera along "down"; its distance along the wall's normal follows.
    return float(np.clip(np.percentile(height_m * toward[good] / below[good], CONTACT_PERCENTILE), 0.3, 50.0))
