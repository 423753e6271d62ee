"""Textures' perspective against known cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.lines import find_segments
from respray.editing.texture.plane import horizontal_plane
from respray.imaging.arrays import FloatArray
from training import scenes

POINTS = 60
MIN_FLOOR_SHARE = 0.02


@dataclass(frozen=True)
class GeometryRow:
    """One room's floor: mean error of the grid's directions in the picture (degrees), scale error (ratio - 1), our own confidence."""

    seed: int
    angle: float
    scale: float
    confidence: float


def textures(seeds: range, width: int = 900, height: int = 600) -> list[GeometryRow]:
    """Estimate every room's camera from its picture and compare the floor's grid with the true one (camera height given)."""
    rows = []
    for seed in seeds:
        room = scenes.sample_room(seed)
        scene = scenes.render(room, width, height)
        if scene.plane_masks["floor"].mean() < MIN_FLOOR_SHARE:
            continue
        found = estimate_camera(find_segments(scene.photo), width, height)
        points = floor_points(scene, seed)
        true = true_camera(scene.camera)
        angle = grid_angle(found, true, points)
        rows.append(GeometryRow(seed, angle, _scale(found, true, points, room.eye[2]), found.confidence))
    return rows


def floor_points(scene: scenes.Scene, seed: int) -> FloatArray:
    """POINTS pixels of a scene's floor, float64 [n,2]."""
    ys, xs = np.nonzero(scene.plane_masks["floor"])
    chosen = np.random.default_rng(seed).choice(len(xs), POINTS)
    return np.stack([xs[chosen] + 0.5, ys[chosen] + 0.5], axis=1)


def true_camera(camera: scenes.Camera) -> RoomCamera:
    """The renderer's camera in our convention: rows of `axes` are the room's x, y and down in camera coordinates."""
    rotation = camera.rotation
    return RoomCamera(np.stack([rotation[:, 0], rotation[:, 1], -rotation[:, 2]]), camera.fx, (camera.cx, camera.cy), 1.0)


def grid_angle(found: RoomCamera, true: RoomCamera, points: FloatArray) -> float:
    """Mean angle in the picture (degrees) between two cameras' horizontal directions at `points`, float64 [n,2]."""
    return min(_mean_angle(found, true, points, order) for order in ((0, 1), (1, 0)))


def _mean_angle(found: RoomCamera, true: RoomCamera, points: FloatArray, order: tuple[int, int]) -> float:
    errors = []
    for axis, other in enumerate(order):
        a, b = _toward(true, axis, points), _toward(found, other, points)
        errors.append(np.degrees(np.arccos(np.clip(np.abs((a * b).sum(axis=1)), 0.0, 1.0))))
    return float(np.mean(errors))


def _toward(camera: RoomCamera, axis: int, points: FloatArray) -> FloatArray:
    vanishing = camera.matrix @ camera.axes[axis]
    direction = vanishing[None, :2] - vanishing[2] * points
    unit: FloatArray = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return unit


def _scale(found: RoomCamera, true: RoomCamera, points: FloatArray, height: float) -> float:
    """Median ratio of metres across one pixel, ours over true, minus 1 (absolute)."""
    ratios = []
    for camera in (found, true):
        matrix = horizontal_plane(camera, False, height).to_plane
        at, beside = (np.column_stack([points + shift, np.ones(len(points))]) @ matrix.T for shift in ((0.0, 0.0), (1.0, 0.0)))
        ratios.append(np.linalg.norm(beside[:, :2] / beside[:, 2:] - at[:, :2] / at[:, 2:], axis=1))
    return abs(float(np.median(ratios[0] / ratios[1])) - 1.0)
