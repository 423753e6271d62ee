"""The plane that a texture is laid on, and the homography from photo pixels to metres on it.

One photo tells directions but not size: the floor is put at the assumed camera height below the camera, the ceiling at a usual room
height above the floor, and a wall where its foot meets the floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from respray.contract.report import PlaneKind
from respray.editing.texture.camera import CameraParameters, RoomCamera, angles_to
from respray.editing.texture.lines import Segments2D
from respray.imaging.arrays import BoolArray, Float64Array


@dataclass(frozen=True)
class PlaneParameters:
    """What is assumed about rooms where the photo does not tell. `python -m tools.fit.plane` tries those again that say so."""

    room_height: float = 2.6
    """Metres from floor to ceiling: a usual room."""
    min_ceiling_distance: float = 0.5
    """Metres: a ceiling is at least this far above the camera."""
    wall_distance: float = 2.0
    """A wall whose foot is hidden stands this far away, in heights of the camera above the floor. Compared with rendered rooms by
    tools.fit.plane."""
    contact_percentile: float = 10.0
    """Of the distances of a wall's lowest pixels, taken as points on the floor: the nearest tenth is where it touches the floor, the rest
    is hidden by furniture. Refitted by tools.fit.plane."""
    min_cosine: float = 0.02
    """Rays flatter than this (cosine to the plane's normal) run along the plane; they say nothing about its distance. Chosen on the tuning
    rooms (9000-9019)."""
    min_wall_distance: float = 0.3
    """Metres, limit of a wall's distance."""
    max_wall_distance: float = 50.0
    """Metres, limit of a wall's distance."""
    facing_weight: float = 0.05
    """Without lines in it, the wall that faces the camera more is likelier: what that counts against the share of line length. Small, so
    that it only decides where lines do not."""
    inlier_angle: float = CameraParameters.inlier_angle
    """Radians: as the camera's."""
    certainty_gain: float = 1.3
    """A wall's direction is certain when the lines along one axis are 1 / this of all (77 %). Chosen on the tuning rooms."""
    longer_by: float = 1.0
    """A floor's other axis is called its longer one when at least so many times as much is seen along it. Chosen on the tuning rooms."""
    assumed_confidence: float = 0.3
    """A plane that is only assumed is trusted no more than this, so that its edit is reported with a warning (`respray.editing.report`)."""


@dataclass(frozen=True)
class Plane:
    """A plane in the photo.

    Attributes:
        to_plane: float64 [3,3], homogeneous photo pixel -> homogeneous metres (u, v) on the plane.
        confidence: 0..1.
        kind: "floor", "ceiling", "wall", or "quad", which somebody drew.
        along: degrees from u, towards v, to the direction of the room that is called "along".
    """

    to_plane: Float64Array
    confidence: float
    kind: PlaneKind
    along: float = 0.0


def horizontal_plane(camera: RoomCamera, ceiling: bool, height_m: float, parameters: PlaneParameters = PlaneParameters()) -> Plane:
    """The floor, or the ceiling above it; u runs along the direction that leads away.

    Args:
        camera: of the photo.
        ceiling: whether the ceiling is meant.
        height_m: metres from the floor, or another horizontal plane, up to the camera.
        parameters: what is assumed about rooms.
    """
    p = parameters
    normal = camera.axes[2] * (-1.0 if ceiling else 1.0)
    distance = max(p.room_height - height_m, p.min_ceiling_distance) if ceiling else height_m
    along, across = sorted((camera.axes[0], camera.axes[1]), key=lambda axis: -abs(axis[2]))
    return _plane(camera, normal, distance, (_forward(along), _rightward(across)), "ceiling" if ceiling else "floor")


def wall_plane(
    camera: RoomCamera, mask: BoolArray, segments: Segments2D, height_m: float, parameters: PlaneParameters = PlaneParameters()
) -> Plane:
    """The vertical plane that most lines in a mask lie on; u is horizontal, v runs down.

    Args:
        camera: of the photo.
        mask: bool [H,W], the wall.
        segments: of the photo.
        height_m: metres from the floor up to the camera.
        parameters: what is assumed about rooms.
    """
    p = parameters
    votes = _horizontal_votes(camera, mask, segments, p.inlier_angle)
    rays = _rays(camera, mask)
    facing = np.abs(rays @ camera.axes[:2].T).mean(axis=0) if len(rays) else np.array([0.5, 0.5])
    # Lines along one horizontal axis lie on the wall whose normal is the other; without lines the wall that faces us more is likelier.
    evidence = np.array([votes[1], votes[0]]) + p.facing_weight * facing
    index = int(evidence.argmax())
    normal = camera.axes[index]
    if len(rays) and float(np.median(rays @ normal)) < 0:
        normal = -normal
    distance = wall_distance(camera, mask, normal, height_m, p)
    certainty = float(evidence.max() / max(evidence.sum(), 1e-9))
    # To the right as one faces the wall, also where it is seen so aslant that this is to the left of the camera's right.
    plane = _plane(camera, normal, distance, (np.cross(camera.axes[2], normal), camera.axes[2]), "wall")
    return Plane(plane.to_plane, round(plane.confidence * min(1.0, p.certainty_gain * certainty), 3), "wall")


def as_assumed(plane: Plane, parameters: PlaneParameters = PlaneParameters()) -> Plane:
    """The same plane where nothing but a habit says that the surface lies on it."""
    return replace(plane, confidence=min(plane.confidence, parameters.assumed_confidence))


def find_along(plane: Plane, camera: RoomCamera, mask: BoolArray, stood_on: bool, parameters: PlaneParameters = PlaneParameters()) -> Plane:
    """A horizontal plane that knows which of the room's two axes is the longer one, as far as the photo shows it.

    Args:
        plane: of the floor, a ceiling or a top; its u leads away from the camera.
        camera: of the photo.
        mask: bool [H,W], what is seen of the surface.
        stood_on: whether the surface reaches to below (or above) the camera: a floor does.
        parameters: what counts as longer.

    Returns:
        The plane; "along" is what leads away from the camera unless the surface surely is longer across.
    """
    pixels = _rays(camera, mask) @ camera.matrix.T
    points = pixels @ plane.to_plane.T
    # What lies near the horizon is far away by guess.
    steep = np.abs(_rays(camera, mask) @ camera.axes[2]) > parameters.min_cosine
    points = points[steep & (points[:, 2] > 0)]
    if len(points) < 5:
        return plane
    metres = points[:, :2] / points[:, 2:]
    low, high = np.percentile(metres, (1.0, 99.0), axis=0)
    if stood_on:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    away, across = high - low
    return replace(plane, along=90.0 if across > parameters.longer_by * away else 0.0)


def _plane(camera: RoomCamera, normal: Float64Array, distance: float, axes: tuple[Float64Array, Float64Array], kind: PlaneKind) -> Plane:
    matrix = np.stack([distance * axes[0], distance * axes[1], normal]) @ np.linalg.inv(camera.matrix)
    return Plane(matrix, camera.confidence, kind)


def _forward(axis: Float64Array) -> Float64Array:
    return axis if axis[2] >= 0 else -axis


def _rightward(axis: Float64Array) -> Float64Array:
    return axis if axis[0] >= 0 else -axis


def _rays(camera: RoomCamera, mask: BoolArray) -> Float64Array:
    """Unit viewing rays of up to about 4000 mask pixels, float64 [n,3]."""
    step = max(1, int((mask.sum() / 4000) ** 0.5))
    ys, xs = np.nonzero(mask[::step, ::step])
    points = np.stack([xs * step + 0.5, ys * step + 0.5, np.ones(len(xs))], axis=1)
    rays = points @ np.linalg.inv(camera.matrix).T
    unit: Float64Array = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


def _horizontal_votes(camera: RoomCamera, mask: BoolArray, segments: Segments2D, inlier_angle: float) -> Float64Array:
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
    good = inside & (angles.min(axis=1) < inlier_angle)
    total = max(float(segments.lengths[inside].sum()), 1e-9)
    return np.array([float(segments.lengths[good & (chosen == axis)].sum()) / total for axis in range(2)])


def wall_distance(camera: RoomCamera, mask: BoolArray, normal: Float64Array, height_m: float, parameters: PlaneParameters) -> float:
    """Find how far away a wall is, from the lowest mask pixels of each column, taken as points on the floor.

    Args:
        camera: of the photo.
        mask: bool [H,W], the wall.
        normal: float64 [3], unit vector towards the wall, camera coordinates.
        height_m: metres from the floor up to the camera.
        parameters: what is assumed about rooms.

    Returns:
        Metres.
    """
    p = parameters
    height = mask.shape[0]
    columns = np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return p.wall_distance * height_m
    bottoms = height - 1 - mask[::-1][:, columns].argmax(axis=0)
    inside = bottoms < height - 2
    points = np.stack([columns + 0.5, bottoms + 1.0, np.ones(len(columns))], axis=1)[inside]
    rays = points @ np.linalg.inv(camera.matrix).T
    below = rays @ camera.axes[2]
    toward = rays @ normal
    good = (below > p.min_cosine) & (toward > p.min_cosine)
    if good.sum() < 5:
        return p.wall_distance * height_m
    # A point on the floor lies height_m below the camera along "down"; its distance along the wall's normal follows.
    distance = np.percentile(height_m * toward[good] / below[good], p.contact_percentile)
    return float(np.clip(distance, p.min_wall_distance, p.max_wall_distance))
