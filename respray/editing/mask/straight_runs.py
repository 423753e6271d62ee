"""Where the border of a coarse mask is nearly straight: the runs of it that a straight line can stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import float64, int64
from numba.core.types import UniTuple

from respray.editing.core.compiled import compiled_for
from respray.imaging.arrays import AnyArray, BoolArray, Float64Array


@dataclass(frozen=True)
class RunParameters:
    """What counts as nearly straight, in cells (pixels of the network's mask).

    Chosen on rooms 9000-9007 (docs/log/edges-and-borders.md).
    """

    tolerance: float = 1.0
    """The border is first taken for a polygon that is nowhere further from it than this."""
    joined: float = 0.6
    """Two sides of it that follow one another are one run where their points are this near to one line (root mean square)."""
    min_length: float = 5.0
    """Shorter ones say too little, ..."""
    min_share: float = 0.03
    """... and so do those under this share of the picture's longest side."""
    trimmed: float = 1.0
    """A coarse mask rounds corners: so much of both ends is not asked."""
    max_sides: int = 600
    """Sides of polygons that are looked at, of the longest borders first; bounds the time on masks of noise, ..."""
    max_runs: int = 48
    """... and so does the number of runs, the longest first."""
    max_bow: float = 0.35
    """A run whose middle lies this far off its ends is bowed, where that is most of what its points are off a line, ..."""
    min_bow: float = 0.015
    """... and by this share of its length: a wider circle than that is no arch."""
    bow_share: float = 0.6
    """See `max_bow`: share of the points' variance."""


@dataclass(frozen=True)
class Run:
    """A nearly straight part of a border.

    Attributes:
        points: float64 [n,2] (x, y), its points in order.
        first: its beginning on its contour, ...
        last: ... and its end: indices into the contour's points; beyond them it starts anew.
        contour: number of the contour.
        length: of that contour, points.
        bowed: whether it is evenly curved, as arches and the backs of sofas are.
    """

    points: Float64Array
    first: int
    last: int
    contour: int
    length: int
    bowed: bool

    def gap_to(self, other: Run) -> int | None:
        """How many points of the contour lie between the end of this run and the beginning of the other; None on another contour."""
        return (other.first - self.last) % self.length if self.contour == other.contour else None


def find_runs(inside: BoolArray, cell: float, parameters: RunParameters = RunParameters()) -> list[Run]:
    """Find the runs of a mask's border; the picture's own edge is no border.

    Args:
        inside: bool [h,w].
        cell: size of a pixel of the network's mask, in pixels of `inside`.
        parameters: what is nearly straight.
    """
    p = parameters
    shortest = max(p.min_length * cell, p.min_share * max(inside.shape))
    contours = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    runs: list[Run] = []
    sides_left = p.max_sides
    for number, contour in sorted(enumerate(contours), key=lambda item: -len(item[1])):
        corners = _corners(contour, p.tolerance * cell) if len(contour) >= shortest else []
        sides_left -= len(corners)
        if len(contour) < shortest or sides_left < 0:
            break
        points = contour[:, 0].astype(np.float64) + 0.5
        for first, last in _joined(points, corners, p.joined * cell):
            chosen = points[np.arange(first, last + 1) % len(points)]
            trim = round(p.trimmed * cell)
            if np.hypot(*(chosen[-1] - chosen[0])) < shortest or len(chosen) <= 2 * trim + 2 or _on_rim(chosen, inside.shape):
                continue
            chosen = chosen[trim : len(chosen) - trim]
            runs.append(Run(chosen, first, last, number, len(points), is_bowed(chosen, cell, p)))
    return sorted(runs, key=lambda run: -len(run.points))[: p.max_runs]


def line_through(points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Middle [2] and unit direction [2] (from the first point to the last) of the line that fits points [n,2] best."""
    x, y, across, down = _line(points, 0, len(points))
    return np.array([x, y]), np.array([across, down])


@compiled_for(UniTuple(float64, 4)(float64[:, ::1], int64, int64))
def _line(points: Float64Array, first: int, end: int) -> tuple[float, float, float, float]:
    """`line_through` points `first` to `end` of a contour, which starts anew at its end: middle and direction, x and y of each."""
    count, x, y = len(points), 0.0, 0.0
    for i in range(first, end):
        x += points[i % count, 0]
        y += points[i % count, 1]
    x, y = x / (end - first), y / (end - first)
    xx, xy, yy = 0.0, 0.0, 0.0
    for i in range(first, end):
        over, down = points[i % count, 0] - x, points[i % count, 1] - y
        xx, xy, yy = xx + over * over, xy + over * down, yy + down * down
    # The larger axis of a symmetric 2 x 2 matrix.
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    over, down = math.cos(angle), math.sin(angle)
    from_x, from_y = points[first % count]
    to_x, to_y = points[(end - 1) % count]
    if over * (to_x - from_x) + down * (to_y - from_y) < 0.0:
        over, down = -over, -down
    return x, y, over, down


def _corners(contour: AnyArray, tolerance: float) -> list[int]:
    """Indices of the corners of the polygon that a contour is taken for, in order."""
    corners = cv2.approxPolyDP(contour, tolerance, True)[:, 0]
    places = {tuple(point): index for index, point in enumerate(contour[:, 0].tolist())}
    return sorted({places[tuple(corner)] for corner in corners.tolist()})


def _joined(points: Float64Array, corners: list[int], limit: float) -> list[tuple[int, int]]:
    """The polygon's sides (first and last index; the last may exceed the number of points), those joined that are on one line."""
    count = len(points)

    def on_one_line(first: int, last: int) -> bool:
        return last - first < count and _spread(points, first, last + 1) <= limit

    joined: list[tuple[int, int]] = []
    for first, last in zip(corners, [*corners[1:], *(corner + count for corner in corners[:1])], strict=True):
        if joined and on_one_line(joined[-1][0], last):
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    # Where the contour begins is no corner.
    if len(joined) > 2 and on_one_line(joined[-1][0], joined[0][1] + count):
        joined[-1] = (joined[-1][0], joined.pop(0)[1] + count)
    return joined


@compiled_for(float64(float64[:, ::1], int64, int64))
def _spread(points: Float64Array, first: int, end: int) -> float:
    """Root mean square distance of points, as of `_line`, from their line; large where they turn back on themselves."""
    count = len(points)
    x, y, over, down = _line(points, first, end)
    square, start, along, least, most = 0.0, 0.0, 0.0, np.inf, -np.inf
    for i in range(first, end):
        right, low = points[i % count, 0] - x, points[i % count, 1] - y
        along, off = right * over + low * down, low * over - right * down
        start = along if i == first else start
        square, least, most = square + off * off, min(least, along), max(most, along)
    return math.sqrt(square / (end - first)) if abs(along - start) >= 0.95 * (most - least) else np.inf


def _on_rim(points: Float64Array, shape: tuple[int, ...]) -> bool:
    """Whether most of a run is the edge of the picture (bounded by its h, w)."""
    x, y = points.T
    return float(np.mean((x < 2) | (y < 2) | (x > shape[1] - 2) | (y > shape[0] - 2))) > 0.5


def is_bowed(points: Float64Array, cell: float, parameters: RunParameters = RunParameters()) -> bool:
    """Whether a run of points [n,2] is evenly curved."""
    middle, direction = line_through(points)
    along, off = (points - middle) @ direction, (points - middle) @ np.array([-direction[1], direction[0]])
    length = float(np.ptp(along))
    scaled = 2.0 * along / max(length, 1e-9)
    # Least squares of a parabola: what is off the best line has neither a mean nor a slope, so that only the part of the square counts that
    # has none, either.
    square = scaled * scaled
    curve = square - square.mean() - float(square @ scaled) / max(float(square.sum()), 1e-9) * scaled
    size = max(float(curve @ curve), 1e-9)
    bow = float(curve @ off) / size
    explained = bow * bow * size / max(float(off @ off), 1e-9 * len(off))
    return abs(bow) > max(parameters.max_bow * cell, parameters.min_bow * length) and explained > parameters.bow_share
