"""Pinhole camera of a room and the homographies between the image and the room's planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import Floats

# Point on the plane and its two texture axes, as functions of the room size; (u, v) are metres along the axes.
_PLANES = {
    "wall_x0": ((0, 0, 0), (0, 1, 0), (0, 0, 1)),
    "wall_x1": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "wall_y0": ((0, 0, 0), (1, 0, 0), (0, 0, 1)),
    "wall_y1": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "floor": ((0, 0, 0), (1, 0, 0), (0, 1, 0)),
    "ceiling": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
}
PLANE_NAMES = tuple(_PLANES)


@dataclass(frozen=True)
class Camera:
    """Where a picture is taken from: world axes x right, y into the room, z up, metres.

    position: (3,) metres. rotation: (3,3), rows are the image's right, down and forward axes in world coordinates.
    fx, fy, cx, cy: pixels; image coordinates run from the top left corner, pixel (i, j) covers [i, i+1) x [j, j+1).
    """

    position: tuple[float, float, float]
    rotation: Floats
    fx: float
    fy: float
    cx: float
    cy: float

    def packed(self) -> Floats:
        """The 16 numbers the kernels take: position, intrinsics, rotation rows."""
        return np.array([*self.position, self.fx, self.fy, self.cx, self.cy, *self.rotation.ravel()], np.float64)

    def matrix(self) -> Floats:
        """Intrinsic matrix (3,3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def project(self, points: Floats) -> Floats:
        """Image points (N,2) in pixels of world points (N,3) in front of the camera."""
        p = (np.asarray(points, np.float64) - self.position) @ self.rotation.T
        return np.stack([self.fx * p[:, 0] / p[:, 2] + self.cx, self.fy * p[:, 1] / p[:, 2] + self.cy], axis=1)


def make_camera(
    position: Sequence[float],
    yaw: float,
    pitch: float,
    roll: float,
    focal: float,
    width: int,
    height: int,
    aspect: float | None = None,
    shift: float = 0.0,
) -> Camera:
    """Camera at ``position`` that looks along +y turned by ``yaw`` to the left, ``pitch`` up, ``roll`` clockwise (rad).

    ``focal`` is the focal length over the square root of the frame's area. ``aspect`` (width over height of the true
    frame) differs from width / height where the photo is stretched, as SAM3 stretches to its square. ``shift`` moves
    the principal point down by that share of the height, as architectural photographers do to keep verticals.
    """
    a = width / height if aspect is None else aspect
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([-sy * cp, cy * cp, sp])
    right = np.array([cy, sy, 0.0])
    down = np.cross(forward, right)
    cr, sr = np.cos(roll), np.sin(roll)
    rotation = np.stack([cr * right + sr * down, cr * down - sr * right, forward])
    x, y, z = (float(v) for v in position)
    return Camera((x, y, z), rotation, focal / np.sqrt(a) * width, focal * np.sqrt(a) * height, width / 2, height / 2 + shift * height)


def plane_equation(plane: str, size: Sequence[float]) -> Floats:
    """(4,) n, d with n . X + d = 0 and n pointing into the room; ``size`` is (width, depth, height) in metres."""
    origin, au, av = (np.array(v, float) for v in _PLANES[plane])
    n = np.cross(au, av)
    origin = origin * size
    centre = np.array(size) / 2
    n = n if n @ (centre - origin) > 0 else -n
    return np.append(n, -n @ origin)


def plane_homography(camera: Camera, plane: str, size: Sequence[float]) -> Floats:
    """(3,3) H with (x, y, 1) ~ H (u, v, 1): plane coordinates in metres to image pixels (Hartley, Zisserman 8.1.1)."""
    origin, au, av = (np.array(v, float) for v in _PLANES[plane])
    basis = np.stack([au, av, origin * size - np.array(camera.position)], axis=1)
    h: Floats = camera.matrix() @ camera.rotation @ basis
    h /= np.linalg.norm(h)
    return h
