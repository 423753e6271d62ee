"""Which straight line a nearly straight border is: the one that the photo's own edges and the network's border agree on best.

The photo around the border is laid out as a strip, along and across it. A line is judged by the photo's change across it, averaged over
pieces of it before its size is taken: noise and JPEG blocks change sign within a piece, an edge that is all but invisible does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import boolean, float32, int64, void
from numba.core.types import UniTuple

from respray.editing.core.compiled import compiled, compiled_for
from respray.editing.mask.straight_runs import Run, line_through
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray


@dataclass(frozen=True)
class LineParameters:
    """How a line is looked for. Chosen on rooms 9000-9007 (docs/log/edges-and-borders.md)."""

    reach: float = 2.5
    """A line is looked for so far off the border, in cells (pixels of the network's mask)."""
    max_columns: int = 256
    """A strip has at most so many places along the border. Bounds the time."""
    piece: float = 2.0
    """Pieces over which the photo's change is averaged, in cells ..."""
    min_piece: float = 16.0
    """... and at least so many pixels."""
    half_seen: float = 5.0
    """A change of so many codes (0..255) across two pixels is half believed."""
    prior: float = 0.15
    """What a line loses for each square cell that it is off the network's border, against 1 for an edge all along it."""
    max_off: float = 1.5
    """... up to so many cells: what is further off is something else that stands there."""
    step: float = 1.5
    """Lines are first tried so many pixels apart at their ends, then finer."""


@dataclass(frozen=True)
class Strip:
    """A border laid out straight.

    Attributes:
        origin: (x, y) of its beginning; along: unit vector; across: unit vector to its right-hand side (x right, y down).
        spacing: pixels from one place along it to the next.
        reach: the rows are the places -reach..reach across it, a pixel apart.
        change: float32 [2 reach + 1, places, 3], the photo's change across it, codes in two pixels.
        border: float32 [places], how far across the network's border lies.
        side: 1.0 where the mask is across, -1.0 where it is on the other side.
        piece: places of a piece.
    """

    origin: Float64Array
    along: Float64Array
    across: Float64Array
    spacing: float
    reach: int
    change: FloatArray
    border: FloatArray
    side: float
    piece: int

    @property
    def places(self) -> int:
        """How many there are along it."""
        return len(self.border)

    def layout(self) -> tuple[FloatArray, FloatArray]:
        """x and y, float32 [rows, places], of every place of the strip, as OpenCV counts pixels."""
        return _layout(self.origin, self.along, self.across, self.spacing, self.places, self.reach)

    def at(self, across: FloatArray) -> tuple[FloatArray, FloatArray]:
        """x and y, float32 [m, places], of points so far (float32 [m, places], pixels) across each place, as OpenCV counts pixels."""
        u = np.arange(self.places) * self.spacing
        x, y = (self.origin[i] + self.along[i] * u + self.across[i] * across - 0.5 for i in (0, 1))
        return x.astype(np.float32), y.astype(np.float32)


def strip_of(photo: FloatArray, inside: BoolArray, run: Run, cell: float, parameters: LineParameters = LineParameters()) -> Strip:
    """Lay out the photo (float32 [h,w,3], codes) around a run."""
    p = parameters
    middle, along = line_through(run.points)
    across = np.array([-along[1], along[0]])
    distance = (run.points - middle) @ along
    begin, end = float(distance.min()), float(distance.max())
    spacing = max(1.0, (end - begin) / p.max_columns)
    places = max(2, int((end - begin) / spacing) + 1)
    origin, reach = middle + begin * along, _reach(cell, p)
    x, y = _layout(origin, along, across, spacing, places, reach + 1)
    order = np.argsort(distance, kind="stable")
    known = cv2.remap(inside.astype(np.uint8), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    side = 1.0 if cv2.mean(known[reach + 1 :])[0] >= cv2.mean(known[: reach + 2])[0] else -1.0
    # A contour goes through the middles of the mask's outermost pixels.
    rim = np.float32(-0.5 * side)
    border = rim + np.interp(np.arange(places) * spacing + begin, distance[order], ((run.points - middle) @ across)[order])
    return strip_along(photo, origin, along, spacing, border.astype(np.float32), side, cell, p)


def strip_along(
    photo: FloatArray,
    origin: Float64Array,
    along: Float64Array,
    spacing: float,
    border: FloatArray,
    side: float,
    cell: float,
    parameters: LineParameters = LineParameters(),
) -> Strip:
    """Lay out the photo (float32 [h,w,3], codes) around a border that is known at every place; see `Strip`."""
    p = parameters
    across, reach = np.array([-along[1], along[0]]), _reach(cell, p)
    pixels = cv2.remap(
        photo, *_layout(origin, along, across, spacing, len(border), reach + 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    piece = max(1, round(max(p.piece * cell, p.min_piece) / spacing))
    return Strip(origin, along, across, spacing, reach, pixels[2:] - pixels[:-2], border, side, piece)


def _reach(cell: float, parameters: LineParameters) -> int:
    """Pixels to both sides that a strip has."""
    return int(np.ceil(parameters.reach * cell)) + 1


def best_line(strip: Strip, cell: float, parameters: LineParameters = LineParameters()) -> tuple[float, float]:
    """How far across a strip the best line lies at its first and its last place (pixels)."""
    p = parameters
    bound = p.reach * cell
    prior, most = np.float32(p.prior / cell**2), np.float32((p.max_off * cell) ** 2)
    ends = np.linspace(-bound, bound, 2 * int(np.ceil(bound / p.step)) + 1).astype(np.float32)
    first, last = _search(strip.change, strip.border, ends, ends, strip.reach, strip.piece, np.float32(p.half_seen), prior, most)
    for finer in (p.step / 2, 0.25):
        # An edge that is fully believed is wide; the line goes where it is strongest.
        strength = _strengths(strip.change, np.linspace(first, last, strip.places, dtype=np.float32), strip.reach, strip.piece)
        half = np.float32(max(p.half_seen, float(strength.mean())))
        near = np.arange(-2, 3, dtype=np.float32) * np.float32(finer)
        first, last = _search(strip.change, strip.border, first + near, last + near, strip.reach, strip.piece, half, prior, most)
    return float(first), float(last)


def worth_of_lines(strip: Strip, lines: FloatArray, cell: float, parameters: LineParameters = LineParameters()) -> FloatArray:
    """What photo and border say for lines, float32 [n], as `best_line` weighs them: at most 1. `lines`: float32 [2,n], how far across the
    strip they lie at its first and its last place (pixels)."""
    p = parameters
    worth = np.empty(lines.shape[1], np.float32)
    prior, most = np.float32(p.prior / cell**2), np.float32((p.max_off * cell) ** 2)
    _worths(strip.change, strip.border, lines, strip.reach, strip.piece, np.float32(p.half_seen), prior, most, worth)
    return worth


def seen_along(strip: Strip, place: FloatArray, parameters: LineParameters = LineParameters()) -> FloatArray:
    """How well the photo shows an edge at places across a strip (float32 [places], pixels): 0..1 for the piece around each."""
    square = _strengths(strip.change, place, strip.reach, strip.piece) ** 2
    seen: FloatArray = square / (square + np.float32(parameters.half_seen**2))
    return seen


def best_stretches(gain: FloatArray, step: FloatArray, free: tuple[bool, bool]) -> BoolArray:
    """Where to be on a line, and where on the border's own course, when a change from one to the other makes a step in the border.

    Args:
        gain: float32 [n], what each place on the line gains.
        step: float32 [n], what a change there loses.
        free: whether the line may begin, and end, without such a loss.

    Returns:
        bool [n]: on the line. The best of all choices (Viterbi).
    """
    return _best_stretches(gain, step, *free)


def _layout(
    origin: Float64Array, along: Float64Array, across: Float64Array, spacing: float, places: int, reach: int
) -> tuple[FloatArray, FloatArray]:
    u, v = np.arange(places) * spacing, np.arange(-reach, reach + 1)[:, None]
    x, y = (origin[i] + along[i] * u + across[i] * v for i in (0, 1))
    # OpenCV counts pixel centres as integers; here pixel i covers [i, i+1).
    return (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)


@compiled_for(UniTuple(float32, 2)(float32[:, :, ::1], float32[::1], float32[::1], float32[::1], int64, int64, float32, float32, float32))
def _search(
    change: FloatArray,
    border: FloatArray,
    firsts: FloatArray,
    lasts: FloatArray,
    reach: int,
    piece: int,
    half_seen: np.float32,
    prior: np.float32,
    most: np.float32,
) -> tuple[np.float32, np.float32]:
    """The best of all lines from one of `firsts` to one of `lasts`; arrays as in `Strip`."""
    best, best_first, best_last = np.float32(-1e30), firsts[0], lasts[0]
    for first in firsts:
        for last in lasts:
            total = _worth(change, border, first, last, reach, piece, half_seen, prior, most)
            if total > best:
                best, best_first, best_last = total, first, last
    return best_first, best_last


@compiled_for(void(float32[:, :, ::1], float32[::1], float32[:, ::1], int64, int64, float32, float32, float32, float32[::1]))
def _worths(
    change: FloatArray,
    border: FloatArray,
    lines: FloatArray,
    reach: int,
    piece: int,
    half_seen: np.float32,
    prior: np.float32,
    most: np.float32,
    worth: FloatArray,
) -> None:
    """See `worth_of_lines`, per place; arrays as in `Strip`."""
    for i in range(lines.shape[1]):
        worth[i] = _worth(change, border, lines[0, i], lines[1, i], reach, piece, half_seen, prior, most) / np.float32(len(border))


@compiled
def _worth(
    change: FloatArray,
    border: FloatArray,
    first: np.float32,
    last: np.float32,
    reach: int,
    piece: int,
    half_seen: np.float32,
    prior: np.float32,
    most: np.float32,
) -> np.float32:
    """What the photo and the network's border say for a line, summed over its places."""
    places = len(border)
    slope = (last - first) / np.float32(places - 1)
    total = np.float32(0)
    for begin in range(0, places, piece):
        end = min(places, begin + piece)
        r = g = b = np.float32(0)
        for u in range(begin, end):
            v = first + slope * np.float32(u)
            row = int(v + np.float32(reach) + np.float32(0.5))
            row = min(max(row, 0), 2 * reach)
            r += change[row, u, 0]
            g += change[row, u, 1]
            b += change[row, u, 2]
            off = v - border[u]
            total -= prior * min(off * off, most)
        square = (r * r + g * g + b * b) / np.float32((end - begin) * (end - begin) * 3)
        total += np.float32(end - begin) * square / (square + half_seen * half_seen)
    return total


@compiled_for(float32[::1](float32[:, :, :], float32[::1], int64, int64))
def _strengths(change: FloatArray, place: FloatArray, reach: int, piece: int) -> FloatArray:
    """The change (codes) across a strip at `place` float32 [places], averaged over the piece around each."""
    places = len(place)
    strength = np.zeros(places, np.float32)
    for u in range(places):
        begin, end = max(0, u - piece // 2), min(places, u + piece // 2 + 1)
        r = g = b = np.float32(0)
        for i in range(begin, end):
            row = int(place[i] + np.float32(reach) + np.float32(0.5))
            row = min(max(row, 0), 2 * reach)
            r += change[row, i, 0]
            g += change[row, i, 1]
            b += change[row, i, 2]
        strength[u] = np.sqrt((r * r + g * g + b * b) / np.float32(3)) / np.float32(end - begin)
    return strength


@compiled_for(boolean[::1](float32[::1], float32[::1], boolean, boolean))
def _best_stretches(gain: FloatArray, step: FloatArray, free_begin: bool, free_end: bool) -> BoolArray:
    """See `best_stretches`."""
    count = len(gain)
    came_own, came_line = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    own, line = np.float32(0), gain[0] - (np.float32(0) if free_begin else step[0])
    for u in range(1, count):
        came_own[u], came_line[u] = line - step[u] > own, line >= own - step[u]
        own, line = max(own, line - step[u]), gain[u] + max(line, own - step[u])
    on = line - (np.float32(0) if free_end else step[count - 1]) > own
    result = np.zeros(count, np.bool_)
    for back in range(count):
        u = count - 1 - back
        result[u] = on
        on = came_line[u] if on else came_own[u]
    return result
