"""The camera of a photo from its lines, for scenes whose lines mostly follow three orthogonal directions (rooms do).

Hypotheses come from three segments each at a grid of focal lengths and lens shifts (after Lu et al., "2-Line Exhaustive Searching for
Real-Time Vanishing Point Estimation in Manhattan World", 2017). The best of each focal length and shift is refined by Gauss-Newton over
rotation, focal length and shift, for the fit has many valleys; of all before and after, that one is taken on which most lines agree
closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.texture.lines import Segments2D
from respray.imaging.arrays import FloatArray, IntArray

# Interior photos are taken at 16 to 50 mm (full frame): focal length over the longest side.
FOCALS = (0.5, 0.6, 0.7, 0.82, 0.97, 1.15, 1.4)
TYPICAL_FOCAL = 0.78
FOCAL_SPREAD = 0.35
# Straight verticals are had by shifting the lens, or by cropping: the picture's middle is then not the lens's. Shares of the longest side.
SHIFTS = (-0.06, 0.0, 0.06)
SHIFT_SPREAD = 0.06
# A segment belongs to a direction when it points to its vanishing point within this angle (radians).
INLIER_ANGLE = np.radians(1.8)
# Weight of the priors against the fit of all lines.
PRIOR = 0.05
HYPOTHESES = 260
# The fit fades out lines that are further off than INLIER_ANGLE times these, one after the other, in so many steps each: first it must get
# near, in the end only the lines that agree best count.
NARROWING, STEPS = (2.0, 1.0, 0.5, 0.25), 5
# Largest change of any parameter in one step.
LARGEST_STEP = 0.1
# Fits are judged by the lines within INLIER_ANGLE times these, together: what a fit by chance explains, it explains roughly.
JUDGED_WITHIN = (1.0, 0.25, 0.1)
# A fit with an unheard-of focal length and shift counts so much less than one with the usual ones.
JUDGED_BY_PRIOR = 0.05
# Cameras are held upright: "down" is within this angle of the picture's down.
MAX_TILT = np.radians(40.0)
# Of the trace of the normal equations, which may be singular.
RIDGE = 1e-12
# Of the turn (radians), the log of the focal length and the shift, for derivatives.
SMALL = 1e-5


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


@dataclass(frozen=True)
class _Cameras:
    """Cameras of one photo, computed together: `axes` float64 [...,3,3]; `focal` and `shift` [...] over the photo's longest side."""

    axes: FloatArray
    focal: FloatArray
    shift: FloatArray

    def chosen(self, which: int | slice) -> _Cameras:
        return _Cameras(self.axes[which], self.focal[which], self.shift[which])

    def moved(self, by: FloatArray) -> _Cameras:
        """Turned by the vectors `by[...,:3]`, focal length times exp(`by[...,3]`), shifted by `by[...,4]`."""
        return _Cameras(self.axes @ np.swapaxes(_rotations(by[..., :3]), -1, -2), self.focal * np.exp(by[..., 3]), self.shift + by[..., 4])

    def prior(self) -> FloatArray:
        """How usual focal length and shift are, 0..1 [...]."""
        return np.exp(-0.5 * ((np.log(self.focal / TYPICAL_FOCAL) / FOCAL_SPREAD) ** 2 + (self.shift / SHIFT_SPREAD) ** 2))


def _together(several: list[_Cameras]) -> _Cameras:
    """Cameras [m] one list after the other."""
    return _Cameras(*(np.concatenate([getattr(some, part) for some in several]) for part in ("axes", "focal", "shift")))


def estimate_camera(segments: Segments2D, width: int, height: int) -> RoomCamera:
    """Fit the camera; where there are too few lines, a level camera that looks straight ahead, with confidence 0."""
    side, middle = float(max(width, height)), (width / 2.0, height / 2.0)
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    fallback = RoomCamera(level, TYPICAL_FOCAL * side, middle, 0.0)
    if len(segments.lengths) < 6:
        return fallback
    # In units of the longest side, from the middle of the photo.
    lines = Segments2D((segments.ends - np.tile(middle, 2)) / side, segments.lengths / side)
    weights = lines.lengths / lines.lengths.sum()
    picks = np.random.default_rng(0).choice(len(weights), size=(HYPOTHESES, 3), p=weights)
    starts = [best for focal in FOCALS for shift in SHIFTS if (best := _best_hypothesis(lines, weights, picks, focal, shift)) is not None]
    if not starts:
        return fallback
    found = _together(starts)
    found = _together([found, _refined(lines, weights, found)])
    value = np.mean([_explained(lines, weights, found, within) for within in JUDGED_WITHIN], axis=0)
    value = value * (1.0 - JUDGED_BY_PRIOR * (1.0 - found.prior())) * (found.axes[:, 2, 1] > np.cos(MAX_TILT))
    best = found.chosen(int(value.argmax()))
    center = (middle[0], middle[1] + float(best.shift) * side)
    return _with_confidence(RoomCamera(best.axes, float(best.focal) * side, center, 0.0), segments)


def angles_to(segments: Segments2D, camera: RoomCamera) -> FloatArray:
    """Angle (radians, 0..pi/2) between each segment and the line from its middle to each of the three vanishing points, float64 [n,3]."""
    return np.arcsin(np.clip(np.abs(_sines(segments, camera.axes @ camera.matrix.T)), 0.0, 1.0)).T


def _sines(segments: Segments2D, vanishing: FloatArray) -> FloatArray:
    """Sines [...,3,n] of the angles between the way to vanishing points, which are homogeneous in `vanishing` [...,3,3], and segments.

    For a point (x, y, z), a segment's middle m and direction d: (x - z m_x, y - z m_y) x d over that way's length, both as products of
    what belongs to the points and what belongs to the segments.
    """
    middle, direction = segments.middles.T, segments.directions.T
    across = np.stack([direction[1], -direction[0], direction[0] * middle[1] - direction[1] * middle[0]])
    x, y, z = (vanishing[..., i] for i in range(3))
    squares = np.stack([x * x + y * y, z * x, z * y, z * z], axis=-1)
    square = squares @ np.stack([np.ones_like(middle[0]), -2.0 * middle[0], -2.0 * middle[1], (middle * middle).sum(axis=0)])
    return (vanishing @ across) / np.sqrt(np.maximum(square, 1e-18))


def _off(lines: Segments2D, cameras: _Cameras) -> FloatArray:
    """How far the photo's lines are off the cameras' directions: `_sines`, as good as angles where they matter."""
    x, y, z = (cameras.axes[..., i] for i in range(3))
    focal, shift = cameras.focal[..., None], cameras.shift[..., None]
    return _sines(lines, np.stack([focal * x, focal * y + shift * z, z], axis=-1))


def _explained(lines: Segments2D, weights: FloatArray, cameras: _Cameras, within: float) -> FloatArray:
    """Share of the lines' length that follows one of the cameras' directions, 0..1 [...]; less the further off, none from `within` times
    INLIER_ANGLE on."""
    off = np.abs(_off(lines, cameras)).min(axis=-2)
    return np.maximum(1.0 - (off / (INLIER_ANGLE * within)) ** 2, 0.0) @ weights


def _best_hypothesis(lines: Segments2D, weights: FloatArray, picks: IntArray, focal: float, shift: float) -> _Cameras | None:
    """Of the rotations that triples of lines (`picks` int [m,3]) propose, the one [1] that explains most; None where none is upright."""
    axes = _hypotheses(_normals(lines, focal, shift), picks)
    if not len(axes):
        return None
    proposed = _Cameras(axes, np.full(len(axes), focal), np.full(len(axes), shift))
    best = int(_explained(lines, weights, proposed, 1.0).argmax())
    return proposed.chosen(slice(best, best + 1))


def _normals(lines: Segments2D, focal: float, shift: float) -> FloatArray:
    """Normals of the planes through the camera and each segment, float64 [n,3]."""
    ends = (lines.ends.reshape(-1, 2, 2) - (0.0, shift)) / focal
    rays = np.concatenate([ends, np.ones((*ends.shape[:2], 1))], axis=-1)
    normals = np.cross(rays[:, 0], rays[:, 1])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _hypotheses(normals: FloatArray, picks: IntArray) -> FloatArray:
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


def _refined(lines: Segments2D, weights: FloatArray, cameras: _Cameras) -> _Cameras:
    """Gauss-Newton from every camera [m], with weights that fade outliers (Geman-McClure) and priors on focal length and lens shift."""
    nudges = SMALL * np.concatenate([np.eye(5), -np.eye(5)])
    for factor in np.repeat(NARROWING, STEPS):
        angle = INLIER_ANGLE * float(factor)
        off = _off(lines, cameras)
        own = np.abs(off).argmin(axis=-2)[..., None, :]
        base = np.take_along_axis(off, own, -2)[..., 0, :]
        nudged = _Cameras(cameras.axes[:, None], cameras.focal[:, None], cameras.shift[:, None]).moved(np.tile(nudges, (len(base), 1, 1)))
        beside = np.take_along_axis(_off(lines, nudged), own[:, None], -2)[..., 0, :]
        jacobian = np.swapaxes(beside[:, :5] - beside[:, 5:], 1, 2) / (2.0 * SMALL)
        trust = weights / (1.0 + (base / angle) ** 2) ** 2
        # The priors: log focal length and shift, each worth a small share of all lines.
        firm = np.zeros(5)
        firm[3:] = (angle * PRIOR / np.array([FOCAL_SPREAD, SHIFT_SPREAD])) ** 2
        away = np.zeros((len(base), 5))
        away[:, 3], away[:, 4] = np.log(cameras.focal / TYPICAL_FOCAL), cameras.shift
        left = np.einsum("mni,mn,mnj->mij", jacobian, trust, jacobian) + np.diag(firm)
        right = np.einsum("mni,mn,mn->mi", jacobian, trust, base) + firm * away
        # A line whose middle is its own vanishing point has a derivative without bounds.
        left += (1e-10 + RIDGE * np.trace(left, axis1=1, axis2=2))[:, None, None] * np.eye(5)
        step = np.linalg.solve(left, right[..., None])[..., 0]
        cameras = cameras.moved(-np.clip(step, -LARGEST_STEP, LARGEST_STEP))
    return cameras


def _rotations(turns: FloatArray) -> FloatArray:
    """Rotation vectors [...,3] to matrices [...,3,3] (Rodrigues)."""
    x, y, z = (turns[..., i] for i in range(3))
    zero = np.zeros_like(x)
    cross = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    angle = np.linalg.norm(turns, axis=-1)[..., None, None]
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2.0 * np.pi)) ** 2 * (cross @ cross)


def _with_confidence(camera: RoomCamera, segments: Segments2D) -> RoomCamera:
    """Confidence: explained share of line length, times how much evidence the weaker of the two best directions has."""
    angles = angles_to(segments, camera)
    chosen, inlier = angles.argmin(axis=1), angles.min(axis=1) < INLIER_ANGLE
    explained = float(segments.lengths[inlier].sum() / segments.lengths.sum())
    counts = np.sort(np.array([float(np.count_nonzero(inlier & (chosen == axis))) for axis in range(3)]))[::-1]
    evidence = min(1.0, counts[1] / 6.0)
    return RoomCamera(camera.axes, camera.focal, camera.center, round(explained * evidence, 3))
