"""The camera of a photo from its lines, for scenes whose lines mostly follow three orthogonal directions (rooms do).

Hypotheses come from three segments each at a grid of focal lengths (after Lu et al., "2-Line Exhaustive Searching for Real-Time Vanishing
Point Estimation in Manhattan World", 2017); the best is refined by Gauss-Newton over rotation, focal length and lens shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from editing.texture.lines import Segments2D
from imaging.arrays import FloatArray

# Interior photos are taken at 16 to 50 mm (full frame): focal length over the longest side.
FOCALS = (0.5, 0.6, 0.7, 0.82, 0.97, 1.15, 1.4)
TYPICAL_FOCAL = 0.78
FOCAL_SPREAD = 0.35
SHIFT_SPREAD = 0.06
# A segment belongs to a direction when it points to its vanishing point within this angle (radians).
INLIER_ANGLE = np.radians(1.8)
# Weight of the priors against the fit of all lines.
PRIOR = 0.05
HYPOTHESES = 260
# The fit fades out lines that are further off than INLIER_ANGLE times these, one after the other, in so many steps each: first it must get
# near, in the end only the lines that agree best count.
NARROWING, STEPS = (2.0, 1.0, 0.5, 0.25), 5
# Cameras are held upright: "down" is within this angle of the picture's down.
MAX_TILT = np.radians(40.0)


@dataclass(frozen=True)
class RoomCamera:
    """`axes` float64 [3,3]: rows are the room's two horizontal directions and its down direction in camera coordinates (x right, y down,
    z forward). `focal` in pixels, `center` (cx, cy) in pixels. `confidence` 0..1: share of line length explained, weighted by evidence.
    """

    axes: FloatArray
    focal: float
    center: tuple[float, float]
    confidence: float

    @property
    def matrix(self) -> FloatArray:
        """Intrinsics float64 [3,3]."""
        return np.array([[self.focal, 0.0, self.center[0]], [0.0, self.focal, self.center[1]], [0.0, 0.0, 1.0]])


def estimate_camera(segments: Segments2D, width: int, height: int) -> RoomCamera:
    """Fit the camera; where there are too few lines, a level camera that looks straight ahead, with confidence 0."""
    side, center = float(max(width, height)), (width / 2.0, height / 2.0)
    fallback = RoomCamera(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), TYPICAL_FOCAL * side, center, 0.0)
    if len(segments.lengths) < 6:
        return fallback
    weights = segments.lengths / segments.lengths.sum()
    best, best_score = fallback, -1.0
    rng = np.random.default_rng(0)
    picks = rng.choice(len(weights), size=(HYPOTHESES, 3), p=_favour_long(weights))
    for focal in FOCALS:
        normals = _normals(segments, focal * side, center)
        prior = np.exp(-0.5 * (np.log(focal / TYPICAL_FOCAL) / FOCAL_SPREAD) ** 2)
        for axes in _hypotheses(normals, picks):
            camera = RoomCamera(axes, focal * side, center, 0.0)
            value = _score(segments, camera, weights) * (0.85 + 0.15 * prior)
            if value > best_score:
                best, best_score = camera, value
    refined = _refine(segments, best, weights, side)
    return _with_confidence(refined, segments, weights)


def angles_to(segments: Segments2D, camera: RoomCamera) -> FloatArray:
    """Angle (radians, 0..pi/2) between each segment and the line from its middle to each of the three vanishing points, float64 [n,3]."""
    vanishing = camera.axes @ camera.matrix.T
    middles = segments.middles
    toward = vanishing[None, :, :2] - vanishing[None, :, 2:] * middles[:, None, :]
    length = np.maximum(np.linalg.norm(toward, axis=-1), 1e-9)
    directions = segments.directions
    cross = np.abs(toward[..., 0] * directions[:, None, 1] - toward[..., 1] * directions[:, None, 0]) / length
    return np.arcsin(np.clip(cross, 0.0, 1.0))


def _favour_long(weights: FloatArray) -> FloatArray:
    favoured = weights**1.0
    return favoured / favoured.sum()


def _normals(segments: Segments2D, focal: float, center: tuple[float, float]) -> FloatArray:
    """Normals of the planes through the camera and each segment, float64 [n,3]."""
    ends = (segments.ends.reshape(-1, 2, 2) - center) / focal
    rays = np.concatenate([ends, np.ones((*ends.shape[:2], 1))], axis=-1)
    normals = np.cross(rays[:, 0], rays[:, 1])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _hypotheses(normals: FloatArray, picks: FloatArray) -> FloatArray:
    """Rotations float64 [m,3,3] (rows: horizontal, horizontal, down) from triples of segments: two meet in one direction, the third
    fixes the turn about it.
    """
    first = np.cross(normals[picks[:, 0]], normals[picks[:, 1]])
    second = np.cross(first, normals[picks[:, 2]])
    good = (np.linalg.norm(first, axis=1) > 1e-3) & (np.linalg.norm(second, axis=1) > 1e-4)
    first, second = first[good], second[good]
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    axes = np.stack([first, second, np.cross(first, second)], axis=1)
    down = np.abs(axes[:, :, 1]).argmax(axis=1)
    rows = np.arange(len(axes))
    upright = np.abs(axes[rows, down, 1]) > np.cos(MAX_TILT)
    axes, down, rows = axes[upright], down[upright], np.arange(int(upright.sum()))
    ordered = np.stack([axes[rows, (down + 1) % 3], axes[rows, (down + 2) % 3], axes[rows, down]], axis=1)
    sign = np.sign(ordered[:, 2, 1])
    ordered[:, 2] *= sign[:, None]
    return ordered


def _score(segments: Segments2D, camera: RoomCamera, weights: FloatArray) -> float:
    angles = angles_to(segments, camera).min(axis=1)
    return float((weights * np.maximum(1.0 - (angles / INLIER_ANGLE) ** 2, 0.0)).sum())


def _refine(segments: Segments2D, start: RoomCamera, weights: FloatArray, side: float) -> RoomCamera:
    """Gauss-Newton with weights that fade outliers (Geman-McClure) and priors on focal length and lens shift."""
    camera, shift = start, 0.0
    cx, cy = start.center
    for factor in np.repeat(NARROWING, STEPS):
        angle = INLIER_ANGLE * float(factor)
        chosen = angles_to(segments, camera).argmin(axis=1)

        def residual(p: FloatArray, camera: RoomCamera = camera, chosen: FloatArray = chosen, shift: float = shift) -> FloatArray:
            moved = _moved(camera, p, cx, cy + (shift + p[4]) * side)
            angles = angles_to(segments, moved)
            return angles[np.arange(len(chosen)), chosen]

        base = residual(np.zeros(5))
        trust = np.sqrt(weights) / (1.0 + (base / angle) ** 2)
        jacobian = np.stack([(residual(np.eye(5)[i] * 1e-5) - residual(np.eye(5)[i] * -1e-5)) / 2e-5 for i in range(5)], axis=1)
        # Prior rows: log focal length and shift, each worth a small share of all lines.
        rows = np.zeros((2, 5))
        rows[0, 3], rows[1, 4] = angle * PRIOR / FOCAL_SPREAD, angle * PRIOR / SHIFT_SPREAD
        prior = np.array([rows[0, 3] * np.log(camera.focal / side / TYPICAL_FOCAL), rows[1, 4] * shift])
        left = np.concatenate([jacobian * trust[:, None], rows])
        right = np.concatenate([base * trust, prior])
        delta = np.clip(-np.linalg.lstsq(left.T @ left + 1e-10 * np.eye(5), left.T @ right, rcond=None)[0], -0.1, 0.1)
        candidate = _moved(camera, delta, cx, cy + (shift + delta[4]) * side)
        camera, shift = candidate, shift + float(delta[4])
    return camera if _score(segments, camera, weights) >= 0.9 * _score(segments, start, weights) else start


def _moved(camera: RoomCamera, delta: FloatArray, cx: float, cy: float) -> RoomCamera:
    turn = cv2.Rodrigues(np.asarray(delta[:3], np.float64))[0]
    return RoomCamera(camera.axes @ turn.T, camera.focal * float(np.exp(delta[3])), (cx, cy), camera.confidence)


def _with_confidence(camera: RoomCamera, segments: Segments2D, weights: FloatArray) -> RoomCamera:
    """Confidence: explained share of line length, times how much evidence the weaker of the two best directions has."""
    angles = angles_to(segments, camera)
    chosen, inlier = angles.argmin(axis=1), angles.min(axis=1) < INLIER_ANGLE
    explained = float(weights[inlier].sum())
    counts = np.sort(np.array([float(np.count_nonzero(inlier & (chosen == axis))) for axis in range(3)]))[::-1]
    evidence = min(1.0, counts[1] / 6.0)
    return RoomCamera(camera.axes, camera.focal, camera.center, round(explained * evidence, 3))
