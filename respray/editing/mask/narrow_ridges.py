"""Straight ridges in a network's probability: where it saw something that is no wider than two or three of its pixels.

What a network says of a moulding wavers along it, and fades here and there; along the whole of it the ridge tells more than at any place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from respray.editing.mask.straight_runs import Run, find_runs, line_through
from respray.imaging.arrays import AnyArray, BoolArray, Float64Array, FloatArray, IntArray


@dataclass(frozen=True)
class RidgeParameters:
    """What is a ridge. Lengths in cells (pixels of the network's mask), if nothing else is said.

    Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md).
    """

    likely: float = 0.4
    """A ridge begins with places of this probability. ..."""
    near: float = 2.25
    """... Outlines of such places that are no further than this from one line are of one ridge, ..."""
    max_gap: float = 20.0
    """... if no more than this lies between them along it, where the network ..."""
    possible: float = 0.06
    """... gives at least this probability, ..."""
    max_fade: float = 4.0
    """... but for gaps of so much."""
    told: float = 0.25
    """A ridge of this height tells where its sides are: at half of it."""
    beyond: float = 15.0
    """A ridge is followed so far beyond its outlines."""
    leaves: float = 1.25
    """Its highest place is no further from the line there."""
    max_width: float = 3.5
    """What is wider in the middle (median) is no ridge, ..."""
    min_length: float = 5.0
    """... nor is what is shorter."""
    max_places: int = 320
    """A ridge is looked at in so many places along it, at most. Bounds the time, ..."""
    max_ridges: int = 24
    """... and so does their number, the longest first."""


@dataclass(frozen=True)
class Ridge:
    """A ridge, in pixels of the work size.

    Attributes:
        origin: (x, y) of its beginning; along: unit vector; across: unit vector to its right-hand side (x right, y down).
        spacing: pixels from one place along it to the next.
        sides: float32 [2,n], how far across both sides are, half its height; on a line where the ridge is too low to tell.
        strong: bool [n], where its height is `likely` and more, and sides are told.
    """

    origin: Float64Array
    along: Float64Array
    across: Float64Array
    spacing: float
    sides: FloatArray
    strong: BoolArray


def find_ridges(likely: FloatArray, cell: float, parameters: RidgeParameters = RidgeParameters()) -> list[Ridge]:
    """Find the straight ridges of a probability.

    Args:
        likely: float32 [h,w], 0..1, at the work size.
        cell: a pixel of the network's mask, in pixels of `likely`.
        parameters: what is a ridge.
    """
    waiting, lines = find_runs(likely >= parameters.likely, cell), list[Run]()
    while waiting and len(lines) < parameters.max_ridges:
        run = waiting.pop(0)
        while (other := next((item for item in waiting if _of_one(run, item, likely, cell, parameters)), None)) is not None:
            waiting = [item for item in waiting if item is not other]
            run = replace(run, points=np.concatenate([run.points, other.points]))
        lines.append(run)
    ridges = (_ridge(run.points, likely, cell, parameters) for run in lines)
    return [ridge for ridge in ridges if ridge is not None]


def _of_one(run: Run, other: Run, likely: FloatArray, cell: float, parameters: RidgeParameters) -> bool:
    """Whether two outlines are of one ridge: its sides, or parts of it with less in between."""
    p = parameters
    middle, along = line_through(np.concatenate([run.points, other.points]))
    across = np.array([-along[1], along[0]])
    if max(np.abs((item.points - middle) @ across).max() for item in (run, other)) > p.near * cell:
        return False
    spans = [(item.points - middle) @ along for item in (run, other)]
    begin, end = min(float(span.max()) for span in spans), max(float(span.min()) for span in spans)
    if end - begin <= 1.0 or end - begin > p.max_gap * cell:
        return end - begin <= 1.0
    offset = np.linspace(-p.near, p.near, 15)[:, None] * cell
    height = _sampled(likely, middle, along, np.arange(begin, end), offset).max(axis=0)
    return _longest(height < p.possible) <= p.max_fade * cell


def _ridge(points: Float64Array, likely: FloatArray, cell: float, parameters: RidgeParameters) -> Ridge | None:
    """The ridge along the line of points [n,2]; None where it is too wide or short."""
    p = parameters
    middle, along = line_through(points)
    across = np.array([-along[1], along[0]])
    distance = (points - middle) @ along
    begin, end = float(distance.min()) - p.beyond * cell, float(distance.max()) + p.beyond * cell
    spacing = max(1.0, (end - begin) / p.max_places)
    u = np.arange(begin, end, spacing)
    rows = np.arange(-np.ceil(2.0 * p.near * cell), np.ceil(2.0 * p.near * cell) + 1)
    profile = _sampled(likely, middle, along, u, rows[:, None])
    near = np.flatnonzero(np.abs(rows) <= p.near * cell)
    top = near[profile[near].argmax(axis=0)]
    height = profile[top, np.arange(len(u))]
    sides = _sides(profile, rows, top, height)
    told = (height >= p.told) & np.isfinite(sides).all(axis=0)
    if told.sum() * spacing < p.min_length * cell or np.median((sides[1] - sides[0])[told]) > p.max_width * cell:
        return None
    along_it = (height >= p.possible) & (np.abs(rows[top]) < p.leaves * cell)
    strong = told & (height >= p.likely)
    within = np.flatnonzero((u >= begin + p.beyond * cell) & (u <= end - p.beyond * cell))
    first, last = _followed(along_it, within[0], within[-1], strong, p.max_fade * cell / spacing)
    if last - first < 4:
        return None
    part = slice(first, last + 1)
    if told[part].sum() < 2:
        return None
    straight = np.stack([_filled(side[part], told[part]) for side in sides])
    return Ridge(middle + u[first] * along, along, across, spacing, straight, strong[part])


def _sampled(values: FloatArray, origin: Float64Array, along: Float64Array, u: AnyArray, v: AnyArray) -> FloatArray:
    """`values` float32 [h,w] at `u` [n] along a line and `v` [m,1] across it: [m,n]; 0 outside the picture."""
    # OpenCV counts pixel centres as integers.
    x, y = origin[0] + along[0] * u - along[1] * v - 0.5, origin[1] + along[1] * u + along[0] * v - 0.5
    places = x.astype(np.float32), y.astype(np.float32)
    return cast(FloatArray, cv2.remap(values, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def _sides(profile: FloatArray, rows: AnyArray, top: IntArray, height: FloatArray) -> Float64Array:
    """Where a ridge falls to half its `height` [n] before and after its `top` (index into `rows` [m]): [2,n]; NaN where it does not."""
    count = profile.shape[1]
    sides = np.full((2, count), np.nan)
    for place in range(count):
        half = height[place] / 2.0
        for side, step in enumerate((-1, 1)):
            k = int(top[place])
            while 0 <= k < len(rows) and profile[k, place] > half:
                k += step
            if 0 <= k < len(rows) and k != top[place]:
                low, high = profile[k, place], profile[k - step, place]
                sides[side, place] = rows[k] - step * (half - low) / max(1e-6, float(high - low))
    return sides


def _followed(along_it: BoolArray, first: int, last: int, strong: BoolArray, fade: float) -> tuple[int, int]:
    """First and last place of a ridge: as far as it can be followed where it fades, and where it only ends, its strong places."""

    def to(place: int, step: int) -> int:
        end = place
        while 0 <= place + step < len(along_it) and abs(place - end) <= fade:
            place += step
            end = place if along_it[place] else end
        return end

    ends = np.flatnonzero(strong)
    if not len(ends):
        return 0, 0
    first, last = to(first, -1), to(last, 1)
    return int(ends[0]) if ends[0] - first < fade else first, int(ends[-1]) if last - ends[-1] < fade else last


def _filled(side: Float64Array, told: BoolArray) -> FloatArray:
    """One side [n] of a ridge, from the line through what is `told` of it where nothing is."""
    place = np.arange(len(side))
    weight = np.ones(int(told.sum()))
    for _ in range(4):  # least absolute differences, by least squares
        line = np.polyfit(place[told], side[told], 1, w=np.sqrt(weight))
        weight = 1.0 / np.maximum(np.abs(side[told] - np.polyval(line, place[told])), 0.5)
    return np.where(told, side, np.polyval(line, place)).astype(np.float32)


def _longest(flags: BoolArray) -> int:
    """Length of the longest stretch of True."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((steps[1::2] - steps[::2]).max(initial=0))
