"""A straight edge: how it ends, where it meets its neighbours, and how it is written into a matte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import float64, uint8, void

from respray.editing.core.compiled import compiled_for
from respray.editing.mask.straight_runs import Run
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray, UInt8Array

# Edges that turn by less than this (sine of the angle) have no corner.
MIN_TURN = 0.15
# A part whose edge is nowhere further from the matte's own than this (pixels of the work size) stays as it is.
MIN_MOVE = 0.75


@dataclass(frozen=True)
class Edge:
    """A straight edge that a run may be, in pixels of the work size.

    Attributes:
        run: what it stands for.
        origin: its first point; along: its direction; end: how far its last point is from there.
        normal: unit vector to the inside.
        gain: float32 [n], what each place along it gains by being on it.
        own: float32 [n], how far inside it the matte's own edge is.
    """

    run: Run
    origin: Float64Array
    along: Float64Array
    end: float
    normal: Float64Array
    gain: FloatArray
    own: FloatArray

    @property
    def off(self) -> FloatArray:
        """How far the matte's own edge is from it, float32 [n]."""
        return np.abs(self.own)


@dataclass(frozen=True)
class End:
    """How an edge ends.

    Attributes:
        free: whether it goes on as a line, and not as the matte's own edge.
        at: how far along the edge it does.
        other: the edge that it meets there; None: the picture's own, or one that stays as the matte has it.
        ahead: whether it is the edge's last end.
    """

    free: bool
    at: float = 0.0
    other: Edge | None = None
    ahead: bool = False

    def without_turn(self) -> End:
        """The same where the other edge is not straight."""
        return replace(self, other=None)


NO_END = End(False)


def end_of(edge: Edge, edges: list[Edge], back: bool, reach: float, size: tuple[int, int]) -> End:
    """How an edge goes on: to the corner with its neighbour on the border, or to the picture's (w, h) edge."""
    tip = edge.origin + (0.0 if back else edge.end) * edge.along
    if min(*tip, size[0] - tip[0], size[1] - tip[1]) < reach / 2.0:
        return End(True, -reach if back else edge.end + reach, None, not back)
    contour = edge.run.contour
    gaps = [
        (gap, index)
        for index, other in enumerate(edges)
        if other.run.contour == contour and (gap := _gap(edge.run, other.run, back)) is not None and gap <= reach
    ]
    if not gaps:
        return NO_END
    other = edges[min(gaps)[1]]
    across = float(other.normal @ edge.along)
    if abs(across) < MIN_TURN:
        return NO_END
    at = float(other.normal @ (other.origin - edge.origin)) / across
    there = float((edge.origin + at * edge.along - other.origin) @ other.along)
    near = abs(at - (0.0 if back else edge.end)) <= reach and abs(there - (other.end if back else 0.0)) <= reach
    return End(True, at, other, not back) if near else NO_END


def _gap(run: Run, other: Run, back: bool) -> int | None:
    """Points of the border between a run and the next (or the one before)."""
    if run is other:
        return None
    return other.gap_to(run) if back else run.gap_to(other)


def lay_edge(alpha: UInt8Array, edge: Edge, on: BoolArray, ends: Sequence[End], around: float, zoom: Float64Array) -> None:
    """Write an edge into a matte, in place.

    Args:
        alpha: uint8 [H,W].
        edge: at the work size.
        on: bool [n], the places along it where it decides.
        ends: its first and its last.
        around: pixels of the work size around a corner that are decided again.
        zoom: pixels of the photo for one of the work size, across and down.
    """
    # Work size and photo differ by less than a pixel in their aspect: lengths along an edge grow by the same factor.
    along = edge.along * zoom
    factor = float(np.hypot(*along))
    for first, last in stretches(on):
        own = edge.own[first : last + 1]
        # What is further off is another border's: the far side of a leg that is hardly wider.
        bands = np.array([max(0.0, -float(own.min())), max(0.0, float(own.max()))])
        if bands.max() < MIN_MOVE:
            continue
        bands += 2.0
        places = np.array([first, last]) * (edge.end / (len(on) - 1))
        met = [end if end.free and at_end else NO_END for end, at_end in zip(ends, (first == 0, last == len(on) - 1), strict=True)]
        limits = np.array([end.at if end.free else place for end, place in zip(met, places, strict=True)]) * factor
        wide = max(float(bands.max()), around) * factor
        corners = [_half_plane(end.other, zoom) for end in met]
        # Beyond its corner with another edge both decide: nothing is inside where the one turns away, all is where it turns back.
        turns = np.array([0.0 if end.other is None else float(np.sign(end.other.normal @ edge.along)) for end in met]) * (-1.0, 1.0)
        line = _half_plane(edge, zoom)
        _paint(alpha, line, edge.origin * zoom, along / factor, limits, np.stack(corners), turns, bands * factor, wide)


def stretches(flags: BoolArray) -> list[tuple[int, int]]:
    """First and last index of every stretch of True."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _half_plane(edge: Edge | None, zoom: Float64Array) -> Float64Array:
    """(a, b, c) such that a x + b y + c is how far a point of the photo is inside an edge, in pixels of the photo."""
    if edge is None:
        return np.zeros(3)
    normal = edge.normal / zoom
    length = float(np.hypot(*normal))
    return np.array([*(normal / length), -float(edge.normal @ edge.origin) / length])


@compiled_for(
    void(uint8[:, ::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1], float64[::1], float64[::1], float64)
)
def _paint(
    alpha: UInt8Array,
    plane: Float64Array,
    origin: Float64Array,
    along: Float64Array,
    limits: Float64Array,
    corners: Float64Array,
    turns: Float64Array,
    bands: Float64Array,
    wide: float,
) -> None:
    """Write the share of each pixel that is inside an edge into `alpha` uint8 [H,W], near it and from `limits[0]` to `limits[1]` along it.

    Half planes (`plane`, and `corners` [2,3] at both limits) as `_half_plane` answers them; `origin`, `along` as in `Edge`, in pixels of
    the photo. Beyond a limit with a corner the other edge decides, too: of both the least (`turns` [2] below 0) or the most (above 0); at
    0 there is no corner. Near is within `bands[0]` pixels outside and `bands[1]` inside, and beyond a corner within `wide`.
    """
    height, width = alpha.shape
    low = limits[0] - (wide if turns[0] != 0.0 else 0.0)
    high = limits[1] + (wide if turns[1] != 0.0 else 0.0)
    reach = wide + 1.0
    ys = (origin[1] + along[1] * low, origin[1] + along[1] * high)
    for y in range(max(0, int(min(ys) - reach)), min(height, int(max(ys) + reach) + 2)):
        # The part of the row that lies within reach of the line.
        if abs(plane[0]) > 1e-6:
            middle, half = -(plane[1] * (y + 0.5) + plane[2]) / plane[0], reach / abs(plane[0])
        else:
            middle, half = 0.5 * width, 1.0 * width
        for x in range(max(0, int(max(middle - half, 0.0))), min(width, int(min(middle + half, 1.0 * width)) + 2)):
            inside = plane[0] * (x + 0.5) + plane[1] * (y + 0.5) + plane[2]
            u = (x + 0.5 - origin[0]) * along[0] + (y + 0.5 - origin[1]) * along[1]
            if u < low or u > high:
                continue
            within = limits[0] <= u <= limits[1]
            if inside < -(bands[0] if within else wide) or inside > (bands[1] if within else wide):
                continue
            for k in range(2):
                if turns[k] != 0.0 and (u < limits[0] + wide if k == 0 else u > limits[1] - wide):
                    there = corners[k, 0] * (x + 0.5) + corners[k, 1] * (y + 0.5) + corners[k, 2]
                    inside = min(inside, there) if turns[k] < 0.0 else max(inside, there)
            alpha[y, x] = int(min(max(inside + 0.5, 0.0), 1.0) * 255.0 + 0.5)
