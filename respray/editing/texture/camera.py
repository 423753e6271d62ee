"""The camera of a photo from its lines, for scenes whose lines mostly follow three orthogonal directions (rooms do).

Hypotheses come from three segments each at a grid of focal lengths and lens shifts (after Lu et al., "2-Line Exhaustive Searching for
Real-Time Vanishing Point Estimation in Manhattan World", 2017). The best of each focal length and shift is refined by Gauss-Newton over
rotation, focal length and shift, for the fit has many valleys; of all before and after, that one is taken on which most lines agree
closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import float64, void

from respray.editing.core.compiled import compiled_for
from respray.editing.texture.lines import Segments2D
from respray.imaging.arrays import Float64Array, IntArray

# Of the trace of the normal equations, which may be singular.
RIDGE = 1e-12
# Of the turn (radians), the log of the focal length and the shift, for derivatives.
DERIVATIVE_STEP = 1e-5


@dataclass(frozen=True)
class CameraParameters:
    """Parameters of the camera's fit. `python -m tools.fit.camera` tries those again that say so.

    The form of the fit was chosen on the rooms 8000-8069 and 8100-8169. Lengths are shares of the photo's longest side.
    """

    focals: tuple[float, ...] = (0.5, 0.6, 0.7, 0.82, 0.97, 1.15, 1.4)
    """Focal lengths that are started from: interior photos are taken at 16 to 50 mm (full frame, 36 mm wide)."""
    typical_focal: float = 0.78
    """Middle of the prior on the focal length: 28 mm, the geometric mean of 16 and 50."""
    focal_spread: float = 0.35
    """Standard deviation of the prior on the log of the focal length. Refitted by tools.fit.camera."""
    shifts: tuple[float, ...] = (-0.06, 0.0, 0.06)
    """Vertical lens shifts that are started from. Straight verticals are had by shifting the lens, or by cropping: the picture's middle is
    then not the lens's."""
    shift_spread: float = 0.06
    """Standard deviation of the prior on the shift. Refitted by tools.fit.camera."""
    inlier_angle: float = float(np.radians(1.8))
    """Radians: a segment belongs to a direction when it points to its vanishing point within this angle. Refitted by tools.fit.camera."""
    prior_weight: float = 0.05
    """Weight of the priors against all lines in the refinement. Refitted by tools.fit.camera."""
    hypotheses: int = 260
    """Triples of segments that are tried for every focal length and shift. Bounds the time."""
    narrowing: tuple[float, ...] = (2.0, 1.0, 0.5, 0.25)
    """The refinement fades out lines that are further off than `inlier_angle` times these, one after the other: first it must get near, in
    the end only the lines that agree best count."""
    steps: int = 5
    """Gauss-Newton steps for each of `narrowing`. Bounds the time."""
    max_step: float = 0.1
    """Largest change of any parameter in one step (radians, log focal length, shift): keeps a step within the linear range."""
    judged_within: tuple[float, ...] = (1.0, 0.25, 0.1)
    """Fits are judged by the lines within `inlier_angle` times these, together: what a fit by chance explains, it explains roughly."""
    judged_by_prior: float = 0.05
    """A fit with an unheard-of focal length and shift counts by this share less than one with the usual ones. Refitted by
    tools.fit.camera."""
    max_tilt: float = float(np.radians(40.0))
    """Radians: cameras are held upright, "down" is within this angle of the picture's down."""


@dataclass(frozen=True)
class RoomCamera:
    """The camera of a photo in a room.

    Attributes:
        axes: float64 [3,3], rows are the room's two horizontal directions and its down direction in camera coordinates (x right, y down, z
            forward).
        focal: focal length, pixels.
        center: principal point (cx, cy), pixels.
        confidence: 0..1, share of line length explained, weighted by evidence.
    """

    axes: Float64Array
    focal: float
    center: tuple[float, float]
    confidence: float

    @property
    def matrix(self) -> Float64Array:
        """Intrinsics, float64 [3,3]."""
        return np.array([[self.focal, 0.0, self.center[0]], [0.0, self.focal, self.center[1]], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class _Cameras:
    """Cameras of one photo, computed together: `axes` float64 [...,3,3]; `focal` and `shift` [...] over the photo's longest side."""

    axes: Float64Array
    focal: Float64Array
    shift: Float64Array

    def chosen(self, which: int | slice) -> _Cameras:
        return _Cameras(self.axes[which], self.focal[which], self.shift[which])

    def moved(self, by: Float64Array) -> _Cameras:
        """Turned by the vectors `by[...,:3]`, focal length times exp(`by[...,3]`), shifted by `by[...,4]`."""
        return _Cameras(self.axes @ np.swapaxes(_rotations(by[..., :3]), -1, -2), self.focal * np.exp(by[..., 3]), self.shift + by[..., 4])

    def prior(self, parameters: CameraParameters) -> Float64Array:
        """How usual focal length and shift are, 0..1 [...]."""
        focal = np.log(self.focal / parameters.typical_focal) / parameters.focal_spread
        usual: Float64Array = np.exp(-0.5 * (focal**2 + (self.shift / parameters.shift_spread) ** 2))
        return usual


def _concatenate(several: list[_Cameras]) -> _Cameras:
    """Cameras [m] one list after the other."""
    return _Cameras(*(np.concatenate([getattr(some, part) for some in several]) for part in ("axes", "focal", "shift")))


def estimate_camera(segments: Segments2D, width: int, height: int, parameters: CameraParameters = CameraParameters()) -> RoomCamera:
    """Fit the camera to a photo's lines.

    Args:
        segments: of the photo.
        width: of the photo, pixels.
        height: of the photo, pixels.
        parameters: of the fit.

    Returns:
        The camera; where there are too few lines, a level one that looks straight ahead, with confidence 0.

    Example:
        >>> camera = estimate_camera(Segments2D(np.zeros((0, 4)), np.zeros(0)), 600, 400)
        >>> camera.focal, camera.center, camera.confidence
        (468.0, (300.0, 200.0), 0.0)
    """
    p = parameters
    side, middle = float(max(width, height)), (width / 2.0, height / 2.0)
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    fallback = RoomCamera(level, p.typical_focal * side, middle, 0.0)
    if len(segments.lengths) < 6:
        return fallback
    # In units of the longest side, from the middle of the photo.
    lines = Segments2D((segments.ends - np.tile(middle, 2)) / side, segments.lengths / side)
    weights = lines.lengths / lines.lengths.sum()
    picks = np.random.default_rng(0).choice(len(weights), size=(p.hypotheses, 3), p=weights)
    starts = [
        best for focal in p.focals for shift in p.shifts if (best := _best_hypothesis(lines, weights, picks, focal, shift, p)) is not None
    ]
    if not starts:
        return fallback
    found = _concatenate(starts)
    found = _concatenate([found, _refine(lines, weights, found, p)])
    value = np.mean([_explained(lines, weights, found, within * p.inlier_angle) for within in p.judged_within], axis=0)
    value = value * (1.0 - p.judged_by_prior * (1.0 - found.prior(p))) * (found.axes[:, 2, 1] > np.cos(p.max_tilt))
    best = found.chosen(int(value.argmax()))
    center = (middle[0], middle[1] + float(best.shift) * side)
    return _with_confidence(RoomCamera(best.axes, float(best.focal) * side, center, 0.0), segments, p.inlier_angle)


def angles_to(segments: Segments2D, camera: RoomCamera) -> Float64Array:
    """Angle between each segment and the line from its middle to each of the camera's three vanishing points.

    Returns:
        Float64 [n,3], radians in 0..pi/2.
    """
    angles: Float64Array = np.arcsin(np.clip(np.abs(_sines(segments, camera.axes @ camera.matrix.T)), 0.0, 1.0)).T
    return angles


def _sines(segments: Segments2D, vanishing: Float64Array) -> Float64Array:
    """Sines [...,3,n] of the angles between the way to vanishing points, which are homogeneous in `vanishing` [...,3,3], and segments.

    For a point (x, y, z), a segment's middle m and direction d: (x - z m_x, y - z m_y) x d over that way's length.
    """
    points = vanishing.reshape(-1, 3)
    sines = np.empty((len(points), len(segments.lengths)))
    _fill_sines(points, np.ascontiguousarray(segments.middles.T), np.ascontiguousarray(segments.directions.T), sines)
    return sines.reshape(*vanishing.shape[:-1], -1)


@compiled_for(void(float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1]))
def _fill_sines(points: Float64Array, middles: Float64Array, directions: Float64Array, sines: Float64Array) -> None:
    """As `_sines`: `points` [m,3], `middles` and `directions` [2,n], into `sines` [m,n]."""
    for k in range(len(points)):
        x, y, z = points[k]
        for i in range(middles.shape[1]):
            over, down = x - z * middles[0, i], y - z * middles[1, i]
            across = over * directions[1, i] - down * directions[0, i]
            sines[k, i] = across / np.sqrt(max(over * over + down * down, 1e-18))


def _off(lines: Segments2D, cameras: _Cameras) -> Float64Array:
    """How far the photo's lines are off the cameras' directions: `_sines`, as good as angles where they matter."""
    x, y, z = (cameras.axes[..., i] for i in range(3))
    focal, shift = cameras.focal[..., None], cameras.shift[..., None]
    return _sines(lines, np.stack([focal * x, focal * y + shift * z, z], axis=-1))


def _explained(lines: Segments2D, weights: Float64Array, cameras: _Cameras, angle: float) -> Float64Array:
    """Share of the lines' length that follows one of the cameras' directions, 0..1 [...]; less the further off, none from `angle` on."""
    off = np.abs(_off(lines, cameras)).min(axis=-2)
    share: Float64Array = np.maximum(1.0 - (off / angle) ** 2, 0.0) @ weights
    return share


def _best_hypothesis(
    lines: Segments2D, weights: Float64Array, picks: IntArray, focal: float, shift: float, parameters: CameraParameters
) -> _Cameras | None:
    """Of the rotations that triples of lines (`picks` int [m,3]) propose, the one [1] that explains most; None where none is upright."""
    axes = _hypotheses(_normals(lines, focal, shift), picks, parameters.max_tilt)
    if not len(axes):
        return None
    proposed = _Cameras(axes, np.full(len(axes), focal), np.full(len(axes), shift))
    best = int(_explained(lines, weights, proposed, parameters.inlier_angle).argmax())
    return proposed.chosen(slice(best, best + 1))


def _normals(lines: Segments2D, focal: float, shift: float) -> Float64Array:
    """Normals of the planes through the camera and each segment, float64 [n,3]."""
    ends = (lines.ends.reshape(-1, 2, 2) - (0.0, shift)) / focal
    rays = np.concatenate([ends, np.ones((*ends.shape[:2], 1))], axis=-1)
    normals = np.cross(rays[:, 0], rays[:, 1])
    unit: Float64Array = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return unit


def _hypotheses(normals: Float64Array, picks: IntArray, max_tilt: float) -> Float64Array:
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
    upright = np.abs(axes[rows, down, 1]) > np.cos(max_tilt)
    axes, down, rows = axes[upright], down[upright], np.arange(int(upright.sum()))
    ordered: Float64Array = np.stack([axes[rows, (down + 1) % 3], axes[rows, (down + 2) % 3], axes[rows, down]], axis=1)
    sign = np.sign(ordered[:, 2, 1])
    ordered[:, 2] *= sign[:, None]
    return ordered


def _refine(lines: Segments2D, weights: Float64Array, cameras: _Cameras, parameters: CameraParameters) -> _Cameras:
    """Gauss-Newton from every camera [m], with weights that fade outliers (Geman-McClure) and priors on focal length and lens shift."""
    p = parameters
    nudges = DERIVATIVE_STEP * np.concatenate([np.eye(5), -np.eye(5)])
    for factor in np.repeat(p.narrowing, p.steps):
        angle = p.inlier_angle * float(factor)
        off = _off(lines, cameras)
        own = np.abs(off).argmin(axis=-2)[..., None, :]
        base = np.take_along_axis(off, own, -2)[..., 0, :]
        nudged = _Cameras(cameras.axes[:, None], cameras.focal[:, None], cameras.shift[:, None]).moved(nudges)
        beside = np.take_along_axis(_off(lines, nudged), own[:, None], -2)[..., 0, :]
        jacobian = np.swapaxes(beside[:, :5] - beside[:, 5:], 1, 2) / (2.0 * DERIVATIVE_STEP)
        trust = weights / (1.0 + (base / angle) ** 2) ** 2
        # The priors: log focal length and shift, each worth a small share of all lines.
        firm = np.zeros(5)
        firm[3:] = (angle * p.prior_weight / np.array([p.focal_spread, p.shift_spread])) ** 2
        away = np.zeros((len(base), 5))
        away[:, 3], away[:, 4] = np.log(cameras.focal / p.typical_focal), cameras.shift
        trusted = np.swapaxes(jacobian * trust[..., None], 1, 2)
        left = trusted @ jacobian + np.diag(firm)
        right = (trusted @ base[..., None])[..., 0] + firm * away
        # A line whose middle is its own vanishing point has a derivative without bounds.
        left += (1e-10 + RIDGE * np.trace(left, axis1=1, axis2=2))[:, None, None] * np.eye(5)
        step = np.linalg.solve(left, right[..., None])[..., 0]
        cameras = cameras.moved(-np.clip(step, -p.max_step, p.max_step))
    return cameras


def _rotations(turns: Float64Array) -> Float64Array:
    """Rotation vectors [...,3] to matrices [...,3,3] (Rodrigues)."""
    cross = np.zeros((*turns.shape, 3))
    for first, second, third in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[..., second, first], cross[..., first, second] = turns[..., third], -turns[..., third]
    angle = np.linalg.norm(turns, axis=-1)[..., None, None]
    matrices: Float64Array = np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2.0 * np.pi)) ** 2 * (cross @ cross)
    return matrices


def _with_confidence(camera: RoomCamera, segments: Segments2D, inlier_angle: float) -> RoomCamera:
    """Confidence: explained share of line length, times how much evidence the weaker of the two best directions has."""
    angles = angles_to(segments, camera)
    chosen, inlier = angles.argmin(axis=1), angles.min(axis=1) < inlier_angle
    explained = float(segments.lengths[inlier].sum() / segments.lengths.sum())
    counts = np.sort(np.array([float(np.count_nonzero(inlier & (chosen == axis))) for axis in range(3)]))[::-1]
    evidence = min(1.0, counts[1] / 6.0)
    return RoomCamera(camera.axes, camera.focal, camera.center, round(explained * evidence, 3))
