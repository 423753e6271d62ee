"""A picture that is laid down once, on a quadrilateral of the photo: where it lies, and how much of each pixel it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from respray.contract.request import Point, Quad
from respray.editing.surface.surface import Surface
from respray.editing.texture.plane import Plane
from respray.imaging.arrays import Float64Array, FloatArray, UInt8Array


def plane_of(quad: Quad, width: int, height: int) -> Plane:
    """The quadrilateral as a plane whose unit square is the picture.

    Args:
        quad: its corners, fractions of the photo.
        width: of the photo, pixels.
        height: of the photo, pixels.
    """
    corners = _pixels(quad, width, height)
    picture = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    to_plane: Float64Array = _homography(corners, picture)
    # Points of the picture lie in front of the camera.
    middle = to_plane @ np.append(corners.mean(axis=0), 1.0)
    return Plane(to_plane * np.sign(middle[2]), 1.0, "quad")


def under(alpha: UInt8Array, quad: Quad) -> UInt8Array:
    """What of a photo's matte, uint8 [H,W], a quadrilateral covers."""
    return _covered(alpha, quad, (0, 0), (alpha.shape[1], alpha.shape[0]))


def parts_under(parts: Sequence[Surface], quad: Quad, shape: tuple[int, ...]) -> list[Surface]:
    """The same of surfaces in a photo of `shape` (height, width); those are left out that it does not touch."""
    limited = [
        replace(
            part,
            alpha=_covered(part.alpha, quad, (part.box[0], part.box[1]), (shape[1], shape[0])),
            coverage=part.whole if part.coverage is None else part.coverage,
        )
        for part in parts
    ]
    return [part for part in limited if part.alpha.any()]


def _pixels(quad: Quad, width: int, height: int) -> Float64Array:
    corners: Float64Array = np.array(quad, np.float64) * (width, height)
    return corners


def _covered(alpha: UInt8Array, quad: Quad, origin: Point, size: tuple[int, int]) -> UInt8Array:
    """`alpha` (uint8 [h,w], whose first pixel is at `origin`) times how much of each pixel lies in the quadrilateral."""
    corners = _pixels(quad, *size) - np.array(origin)
    height, width = alpha.shape
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, (width, height))
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, (width, height))
    result = np.zeros_like(alpha)
    if (low >= high).any():
        return result
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    share = _share(corners - low, int(high[0] - low[0]), int(high[1] - low[1]))
    result[window] = cv2.multiply(alpha[window], share, dtype=cv2.CV_8U)
    return result


def _share(corners: Float64Array, width: int, height: int) -> FloatArray:
    """How much of each pixel lies within clockwise `corners` [4,2], float32 [height,width]: by its middle's distance to each side."""
    xs = np.arange(width, dtype=np.float32)[None] + np.float32(0.5)
    ys = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    share = np.ones((height, width), np.float32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        dx, dy = (x1 - x0, y1 - y0) / np.hypot(x1 - x0, y1 - y0)
        inside = np.float32(dx) * (ys - np.float32(y0)) - np.float32(dy) * (xs - np.float32(x0)) + np.float32(0.5)
        share *= np.clip(inside, 0.0, 1.0)
    return share


def _homography(source: Float64Array, target: Float64Array) -> Float64Array:
    """The projective map of four points [4,2] to four others, float64 [3,3] (Hartley, Zisserman, 4.1, with the last entry not fixed)."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    # In like units, for the conditioning.
    scale = float(np.abs(source).max()) or 1.0
    columns = np.array([1 / scale, 1 / scale, 1, 1 / scale, 1 / scale, 1, 1 / scale, 1 / scale, 1])
    solution = np.linalg.svd(np.array(rows, np.float64) * columns)[2][-1] * columns
    matrix: Float64Array = solution.reshape(3, 3)
    return matrix
