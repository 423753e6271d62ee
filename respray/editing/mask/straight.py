"""Straight borders for planes: where the photo does not show where a wall ends, a straight line does.

The network's border is taken apart into runs that are nearly straight (`straight_runs`), and each is given the line that it and the photo
agree on best (`straight_line`). Only where the matte's own edge is off that line, and the photo shows no more of an edge there than along
the line, the matte is decided again, in the narrow band between both. Lines that meet are continued to their corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from respray.editing.core.compiled import compiled
from respray.editing.mask.specks import Settled, settle_specks
from respray.editing.mask.straight_line import Strip, best_line, best_stretches, seen_along, strip_of
from respray.editing.mask.straight_runs import Run, find_runs
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray, UInt8Array


# Edges that turn by less than this (sine of the angle) have no corner.
MIN_TURN = 0.15


@dataclass(frozen=True)
class StraightParameters:
    """When a line takes the place of a matte's own edge. Chosen on rooms 9000-9007 (docs/log/edges-and-borders.md)."""

    work_side: int = 1000
    """Longest side, pixels, of the picture in which lines are looked for."""
    blur: float = 0.7
    """Standard deviation, pixels of that picture: a change across it is one across two pixels."""
    margin: float = 0.05
    """The photo may show the matte's own edge by so much better (0..1) than the line, for an edge that follows noise always looks good; and
    must show the line by so much better where both are next to each other, ..."""
    near: float = 1.5
    """... nearer than this (pixels)."""
    step_loss: float = 2.0
    """A step of one pixel between the matte's own edge and the line is worth so many pixels of seen edge."""
    bowed_seen: float = 0.6
    """A bowed border is straight only where the photo shows the line along so much of it."""
    window: float = 1.75
    """The matte's own edge is looked for so far off the network's border, in cells: it may move by 1.5."""
    max_move: float = 2.25
    """An edge that is further off the line than this (cells) is another thing's."""
    min_move: float = 0.75
    """One that is nearer than this (pixels) stays."""
    corner: float = 4.0
    """Lines are continued so far to where they meet, in cells ..."""
    around: float = 2.0
    """... and so much around that corner is decided again."""


@dataclass(frozen=True)
class Edge:
    """A straight edge that a run may be, in pixels of the work size.

    Attributes:
        run: what it stands for.
        origin: its first point; along: its direction; end: how far its last point is from there.
        normal: unit vector to the inside.
        gain: float32 [n], what each place along it gains by being on it.
        off: float32 [n], how far the matte's own edge is from it.
    """

    run: Run
    origin: Float64Array
    along: Float64Array
    end: float
    normal: Float64Array
    gain: FloatArray
    off: FloatArray


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


def settle_plane(
    alpha: UInt8Array, probability: UInt8Array, photo: UInt8Array, parameters: StraightParameters = StraightParameters()
) -> Settled:
    """Make the border of a plane straight where the photo leaves it open, and settle the specks that it shows nothing of.

    Args:
        alpha: uint8 [H,W], its matte, which follows the photo's edges.
        probability: uint8 [h,w], the network's answer that it was made of.
        photo: uint8 [H,W,3], sRGB.
        parameters: of the decision.

    Returns:
        The matte, and how many specks it had.
    """
    height, width = alpha.shape
    scale = min(1.0, parameters.work_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cast(UInt8Array, cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR))
    smooth = cast(FloatArray, cv2.GaussianBlur(small, (0, 0), parameters.blur).astype(np.float32))
    cell = float(np.sqrt(size[0] * size[1] / probability.size))
    return settle_specks(_straightened(alpha, probability, smooth, cell, parameters), smooth, cell)


def _straightened(alpha: UInt8Array, probability: UInt8Array, photo: FloatArray, cell: float, parameters: StraightParameters) -> UInt8Array:
    """`photo`: float32 [h,w,3], codes, at the work size; `cell`: see `find_runs`."""
    p = parameters
    size = (photo.shape[1], photo.shape[0])
    inside = cast(UInt8Array, cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR)) >= 128
    runs = find_runs(inside, cell)
    if not runs:
        return alpha
    matte = cast(UInt8Array, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    edges = [edge for run in runs if (edge := _edge(photo, matte, inside, run, cell, p)) is not None]
    ends = [tuple(_end(edge, edges, back, p.corner * cell, size) for back in (True, False)) for edge in edges]
    chosen = [
        best_stretches(edge.gain, np.float32(p.step_loss) * edge.off, (a.free, b.free)) for edge, (a, b) in zip(edges, ends, strict=True)
    ]
    straight = {id(edge): on for edge, on in zip(edges, chosen, strict=True)}
    zoom = np.array([alpha.shape[1] / size[0], alpha.shape[0] / size[1]])
    result = alpha.copy()
    for edge, on, both in zip(edges, chosen, ends, strict=True):
        # An edge is continued around a corner only with another that is straight there, too.
        met = [end.without_turn() if end.other is not None and not straight[id(end.other)][0 if end.ahead else -1] else end for end in both]
        _lay(result, edge, on, met, cell, zoom, p)
    return result


def _edge(photo: FloatArray, matte: UInt8Array, inside: BoolArray, run: Run, cell: float, parameters: StraightParameters) -> Edge | None:
    """The straight edge that a run may be; None where it is bowed."""
    p = parameters
    strip = strip_of(photo, inside, run, cell)
    first, last = best_line(strip, cell)
    line = np.linspace(first, last, strip.places, dtype=np.float32)
    own = _own_edge(matte, strip, p.window * cell)
    seen_line, seen_own = seen_along(strip, line), seen_along(strip, own)
    if run.bowed and float(seen_line.mean()) < p.bowed_seen:
        return None
    off = np.abs(line - own)
    # The matte's own edge, which is finer, is favoured where both are next to each other, and the line where they are not.
    gain = seen_line - seen_own + np.float32(p.margin) * np.clip((off - p.near) / np.float32(p.near), -1.0, 1.0)
    gain = np.where(off > p.max_move * cell, np.float32(-1.0), gain) * np.float32(strip.spacing)
    begin = strip.origin + first * strip.across
    way = strip.origin + (strip.places - 1) * strip.spacing * strip.along + last * strip.across - begin
    end = float(np.hypot(*way))
    along = way / end
    return Edge(run, begin, along, end, strip.side * np.array([-along[1], along[0]]), gain.astype(np.float32), off)


def _own_edge(matte: UInt8Array, strip: Strip, window: float) -> FloatArray:
    """Where the matte's own edge crosses a strip, float32 [places]: counted within `window` pixels of the network's border, for what is
    further off are other edges."""
    x, y = strip.layout()
    offset = np.arange(-strip.reach, strip.reach + 1, dtype=np.float32)[:, None] - strip.border
    selected = cv2.remap(matte, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / np.float32(255.0)
    weight = np.clip(np.float32(window + 0.5) - np.abs(offset), 0.0, 1.0)
    share = (selected * weight).sum(axis=0) / weight.sum(axis=0)
    own: FloatArray = strip.border + np.float32(strip.side * window) * (1.0 - 2.0 * share)
    return own.astype(np.float32)


def _stretches(flags: BoolArray) -> list[tuple[int, int]]:
    """First and last index of every stretch of True."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(steps[::2], steps[1::2], strict=True)]


def _lay(
    alpha: UInt8Array, edge: Edge, on: BoolArray, ends: Sequence[End], cell: float, zoom: Float64Array, parameters: StraightParameters
) -> None:
    """Decide the matte again along an edge where it is `on`, and on to its ends."""
    p = parameters
    # Work size and photo differ by less than a pixel in their aspect: lengths along an edge grow by the same factor.
    along = edge.along * zoom
    factor = float(np.hypot(*along))
    for first, last in _stretches(on):
        band = float(edge.off[first : last + 1].max()) + 2.0
        if band < p.min_move + 2.0:
            continue
        places = np.array([first, last]) * (edge.end / (len(on) - 1))
        met = [end if end.free and at_end else NO_END for end, at_end in zip(ends, (first == 0, last == len(on) - 1), strict=True)]
        limits = np.array([end.at if end.free else place for end, place in zip(met, places, strict=True)]) * factor
        # Beyond its corner with another edge both decide: nothing is inside where the one turns away, all is where it turns back.
        turns = [
            0.0 if end.other is None else way * float(np.sign(end.other.normal @ edge.along))
            for end, way in zip(met, (-1.0, 1.0), strict=True)
        ]
        beyond = [_half_plane(end.other, zoom) for end in met]
        wide = max(band, p.around * cell) * factor
        _paint(alpha, _half_plane(edge, zoom), edge.origin * zoom, along / factor, limits, band * factor, *beyond, *turns, wide)


def _end(edge: Edge, edges: list[Edge], back: bool, reach: float, size: tuple[int, int]) -> End:
    """How an edge goes on: to the corner with its neighbour on the border, or to the picture's (w, h) edge."""
    tip = edge.origin + (0.0 if back else edge.end) * edge.along
    if min(*tip, size[0] - tip[0], size[1] - tip[1]) < reach / 2.0:
        return End(True, -reach if back else edge.end + reach, None, not back)
    gaps = [(gap, index) for index, other in enumerate(edges) if (gap := _gap(edge.run, other.run, back)) is not None and gap <= reach]
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


def _half_plane(edge: Edge | None, zoom: Float64Array) -> Float64Array:
    """(a, b, c) such that a x + b y + c is how far a point of the photo is inside an edge, in pixels of the photo."""
    if edge is None:
        return np.zeros(3)
    normal = edge.normal / zoom
    length = float(np.hypot(*normal))
    return np.array([*(normal / length), -float(edge.normal @ edge.origin) / length])


@compiled
def _paint(
    alpha: UInt8Array,
    plane: Float64Array,
    origin: Float64Array,
    along: Float64Array,
    limits: Float64Array,
    band: float,
    before: Float64Array,
    after: Float64Array,
    turn_before: float,
    turn_after: float,
    wide: float,
) -> None:
    """Write the share of each pixel that is inside an edge into `alpha` uint8 [H,W], near it and from `limits[0]` to `limits[1]` along it.

    Half planes as `_half_plane` answers them; `origin`, `along` as in `Edge`, in pixels of the photo. Beyond a limit with a corner the
    other edge decides, too: of both the least (turn < 0) or the most (turn > 0); 0: there is no corner. `band`, and `wide` beyond a
    corner, are in pixels of the photo.
    """
    height, width = alpha.shape
    low = limits[0] - (wide if turn_before != 0.0 else 0.0)
    high = limits[1] + (wide if turn_after != 0.0 else 0.0)
    reach = max(band, wide) + 1.0
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
            if abs(inside) > (band if limits[0] <= u <= limits[1] else wide):
                continue
            for k in range(2):
                turn, other = (turn_before, before) if k == 0 else (turn_after, after)
                if turn != 0.0 and (u < limits[0] + wide if k == 0 else u > limits[1] - wide):
                    there = other[0] * (x + 0.5) + other[1] * (y + 0.5) + other[2]
                    inside = min(inside, there) if turn < 0.0 else max(inside, there)
            alpha[y, x] = int(min(max(inside + 0.5, 0.0), 1.0) * 255.0 + 0.5)
