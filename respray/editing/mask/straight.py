"""Straight borders for planes: where the photo does not show where a wall ends, a straight line does.

The network's border is taken apart into runs that are nearly straight (`straight_runs`), and each is given the line that it and the photo
agree on best (`straight_line`), turned to one of the room's vanishing points where that is as good (`straight_vanishing`). Only where the
matte's own edge is off that line, and the photo shows no more of an edge there than along the line, the matte is decided again, in the
narrow band between both. Lines that meet are continued to their corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.reduce import average, shrink
from respray.editing.mask.slender import leave_out_slender
from respray.editing.mask.specks import Settled, settle_specks
from respray.editing.mask.straight_edge import Edge, end_of, lay_edge
from respray.editing.mask.straight_joined import FittedRun, join_runs
from respray.editing.mask.straight_line import Strip, best_stretches, seen_along
from respray.editing.mask.straight_runs import find_runs
from respray.editing.mask.straight_vanishing import directed_line
from respray.imaging.arrays import Float64Array, FloatArray, UInt8Array


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
    unseen: float = 0.2
    """Where the photo shows neither, the line gains this."""
    strange: float = 30.0
    """Another thing than the plane differs from it by this (codes, distance in RGB) ..."""
    strange_depth: float = 1.2
    """... more than so many cells beyond its own edge. ..."""
    strange_loss: float = 2.0
    """... A line that adds it to the plane loses this, against 1 for an edge."""
    step_loss: float = 2.0
    """A step of one pixel between the matte's own edge and the line is worth so many pixels of seen edge."""
    sure_within: float = 2.0
    """From so far inside its border to so far outside (cells) ..."""
    min_sure: float = 0.6
    """... the network's probability falls by this much where it means a border, and does not only waver."""
    bowed_seen: float = 0.6
    """A bowed border is straight only where the photo shows the line along so much of it."""
    window: float = 1.75
    """The matte's own edge is looked for so far off the network's border, in cells: it may move by 1.5."""
    max_move: float = 2.25
    """An edge that is further off the line than this (cells) is another thing's."""
    corner: float = 4.0
    """Lines are continued so far to where they meet, in cells ..."""
    around: float = 2.0
    """... and so much around that corner is decided again."""


def work_picture(photo: UInt8Array, parameters: StraightParameters = StraightParameters()) -> UInt8Array:
    """A photo uint8 [H,W,3] at the size at which its planes are worked on: made once for all of them."""
    return shrink(photo, parameters.work_side)


def settle_plane(
    alpha: UInt8Array,
    probability: UInt8Array,
    decided: UInt8Array,
    work: UInt8Array,
    points: Float64Array | None = None,
    parameters: StraightParameters = StraightParameters(),
) -> Settled:
    """Make the border of a plane straight where the photo leaves it open, and settle the specks that it shows nothing of.

    Args:
        alpha: uint8 [H,W], its matte, which follows the photo's edges.
        probability: uint8 [h,w], the network's answer.
        decided: uint8 [h2,w2], what `crf.decide` made of it, which the matte was made of.
        work: uint8 [h3,w3,3], the photo's `work_picture`.
        points: the room's `vanishing_points` in that picture; None: unknown.
        parameters: of the decision.

    Returns:
        The matte, and how many specks it had.
    """
    smooth = cast(FloatArray, cv2.GaussianBlur(work, (0, 0), parameters.blur).astype(np.float32))
    cell = float(np.sqrt(work.shape[0] * work.shape[1] / probability.size))
    straight = _straightened(alpha, probability, decided, smooth, points, cell, parameters)
    return settle_specks(leave_out_slender(straight, smooth, cell), smooth, cell)


def _straightened(
    alpha: UInt8Array,
    probability: UInt8Array,
    decided: UInt8Array,
    photo: FloatArray,
    points: Float64Array | None,
    cell: float,
    parameters: StraightParameters,
) -> UInt8Array:
    """`photo`: float32 [h,w,3], codes, at the work size; `points` in its pixels; `cell`: see `find_runs`."""
    p = parameters
    size = (photo.shape[1], photo.shape[0])
    likely = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) * np.float32(1 / 255)
    inside = cv2.resize(decided, size, interpolation=cv2.INTER_LINEAR) >= 128
    runs = join_runs(photo, inside, find_runs(inside, cell), cell)
    if not runs:
        return alpha
    matte = average(alpha, size)
    edges = [edge for run in runs if (edge := _edge(photo, likely, matte, run, points, cell, p)) is not None]
    ends = [tuple(end_of(edge, edges, back, p.corner * cell, size) for back in (True, False)) for edge in edges]
    chosen = [
        best_stretches(edge.gain, np.float32(p.step_loss) * edge.off, (a.free, b.free)) for edge, (a, b) in zip(edges, ends, strict=True)
    ]
    straight = {id(edge): on for edge, on in zip(edges, chosen, strict=True)}
    zoom = np.array([alpha.shape[1] / size[0], alpha.shape[0] / size[1]])
    result = alpha.copy()
    for edge, on, both in zip(edges, chosen, ends, strict=True):
        # An edge is continued around a corner only with another that is straight there, too.
        met = [end.without_turn() if end.other is not None and not straight[id(end.other)][0 if end.ahead else -1] else end for end in both]
        lay_edge(result, edge, on, met, p.around * cell, zoom)
    return result


def _edge(
    photo: FloatArray,
    likely: FloatArray,
    matte: UInt8Array,
    fitted: FittedRun,
    points: Float64Array | None,
    cell: float,
    parameters: StraightParameters,
) -> Edge | None:
    """The straight edge that a run may be; None where it is bowed, or the network does not know."""
    p = parameters
    run, strip, (first, last) = fitted.run, fitted.strip, fitted.line
    if float(np.median(_sureness(likely, strip, p.sure_within * cell))) < p.min_sure:
        return None
    if points is not None:
        first, last = directed_line(strip, (first, last), cell, points)
    line = np.linspace(first, last, strip.places, dtype=np.float32)
    own = _own_edge(matte, strip, p.window * cell)
    seen_line, seen_own = seen_along(strip, line), seen_along(strip, own)
    if run.bowed and float(seen_line.mean()) < p.bowed_seen:
        return None
    inside = np.float32(strip.side) * (own - line)
    off = np.abs(inside)
    gain = preference(seen_line, seen_own, off, p)
    gain = gain - np.float32(p.strange_loss) * _strange(photo, strip, line, own, cell, p)
    gain = np.where(off > p.max_move * cell, np.float32(-1.0), gain) * np.float32(strip.spacing)
    begin = strip.origin + first * strip.across
    way = strip.origin + (strip.places - 1) * strip.spacing * strip.along + last * strip.across - begin
    end = float(np.hypot(*way))
    along = way / end
    return Edge(run, begin, along, end, strip.side * np.array([-along[1], along[0]]), gain.astype(np.float32), inside)


def preference(
    seen_line: FloatArray, seen_own: FloatArray, off: FloatArray, parameters: StraightParameters = StraightParameters()
) -> FloatArray:
    """What a line gains over the matte's own edge at each place, float32 [n], by how well the photo shows each (0..1) and how far apart
    both are (pixels). The own edge, which is finer, is favoured where both are next to each other, and the line where they are not."""
    p = parameters
    near = np.float32(p.near)
    gain = seen_line - seen_own + np.float32(p.margin) * np.clip((off - near) / near, -1.0, 1.0)
    gain = gain + np.float32(p.unseen) * (1.0 - np.maximum(seen_line, seen_own)) * np.minimum(off / near, 1.0)
    return cast(FloatArray, gain.astype(np.float32))


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


def _strange(photo: FloatArray, strip: Strip, line: FloatArray, own: FloatArray, cell: float, parameters: StraightParameters) -> FloatArray:
    """How little what the line would add to the plane has of its colour: 0..1 [places]; 0 where it adds next to nothing."""
    p = parameters
    side = np.float32(strip.side)
    depth = side * (own - line) / np.float32(p.strange_depth * cell) - 1.0
    if depth.max() <= 0.0:  # mostly
        return np.zeros_like(depth)
    within = own + side * np.float32(cell) * np.array([[1.0], [1.5], [2.0]], np.float32)
    shares = np.array([[0.1], [0.3], [0.5], [0.7], [0.9]], np.float32)
    inner, between = (_colours(photo, strip, across) for across in (within, line + (own - line) * shares))
    other = np.linalg.norm(between - inner, axis=1) / np.float32(p.strange) - 1.0
    result: FloatArray = np.clip(2.0 * other, 0.0, 1.0) * np.clip(2.0 * depth, 0.0, 1.0)
    return result


def _colours(photo: FloatArray, strip: Strip, across: FloatArray) -> FloatArray:
    """Mean colours (float32 [places, 3]) at places so far (float32 [m, places], pixels) across a strip, smoothed along it."""
    x, y = strip.at(across)
    seen = cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).mean(axis=0, keepdims=True)
    return cast(FloatArray, cv2.blur(seen, (max(1, strip.piece // 2), 1), borderType=cv2.BORDER_REPLICATE)[0])


def _sureness(likely: FloatArray, strip: Strip, within: float) -> FloatArray:
    """By how much the network's probability (float32 [h,w]) falls from `within` pixels inside its border to as much outside, [places]."""
    offset = strip.border + np.float32(within) * np.array([[strip.side], [-strip.side]], np.float32)
    x, y = strip.at(offset)
    inner, outer = cv2.remap(likely, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cast(FloatArray, inner - outer)
