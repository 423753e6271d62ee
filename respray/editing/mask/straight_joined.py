"""Runs that are one line in the photo.

A network's border that wanders from one edge of a moulding to the other and back is taken apart into several runs, each of which would
find an edge of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from respray.editing.mask.straight_line import Strip, best_line, seen_along, strip_of
from respray.editing.mask.straight_runs import Run, is_bowed, line_through
from respray.imaging.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class JoinParameters:
    """When two runs that follow one another are one. Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md)."""

    max_gap: float = 6.0
    """So many cells (pixels of the network's mask) may lie between them ..."""
    max_turn: float = 0.25
    """... and so much may they turn (sine of the angle)."""
    max_off: float = 1.5
    """Their points are no further off the line that both have than this (cells, root mean square), ..."""
    max_reach: float = 2.25
    """... and each no further than this: so far off a border its line is looked for."""
    less_seen: float = 0.1
    """The photo shows that line by so much less (0..1) than each one's own, at most, ..."""
    more_seen: float = 0.03
    """... or by so much more where together they are bowed: two sides of an arch, or a border that left its edge and came back."""


@dataclass(frozen=True)
class FittedRun:
    """A run, laid out straight.

    Attributes:
        run: the run.
        strip: of it.
        line: its best line, how far across the strip it lies at the first and the last place (pixels).
        seen: how well the photo shows that line, 0..1.
    """

    run: Run
    strip: Strip
    line: tuple[float, float]
    seen: float


def join_runs(
    photo: FloatArray, inside: BoolArray, runs: list[Run], cell: float, parameters: JoinParameters = JoinParameters()
) -> list[FittedRun]:
    """Join runs that follow one another where the photo shows one line for both about as well as one for each.

    Args:
        photo: float32 [h,w,3], codes, at the size of `inside`.
        inside: bool [h,w], the mask whose border the runs are.
        runs: of that border.
        cell: a pixel of the network's mask, in pixels of `inside`.
        parameters: of the decision.

    Returns:
        The runs, the longest first.
    """
    waiting = [_fitted(photo, inside, run, cell) for run in sorted(runs, key=lambda run: (run.contour, run.first))]
    done: list[FittedRun] = []
    while waiting:
        one = waiting.pop(0)
        while (index := next((i for i, other in enumerate(waiting) if _follows(one.run, other.run, cell, parameters)), None)) is not None:
            after = waiting[index]
            both = _joined(one.run, after.run, cell, parameters)
            if both is None:
                break
            fitted = _fitted(photo, inside, both, cell)
            count, more = len(one.run.points), len(after.run.points)
            needed = parameters.more_seen if both.bowed else -parameters.less_seen
            if fitted.seen < (count * one.seen + more * after.seen) / (count + more) + needed:
                break
            del waiting[index]
            one = replace(fitted, run=replace(both, bowed=False))
        done.append(one)
    return sorted(done, key=lambda fitted: -len(fitted.run.points))


def _fitted(photo: FloatArray, inside: BoolArray, run: Run, cell: float) -> FittedRun:
    strip = strip_of(photo, inside, run, cell)
    first, last = best_line(strip, cell)
    seen = float(seen_along(strip, np.linspace(first, last, strip.places, dtype=np.float32)).mean())
    return FittedRun(run, strip, (first, last), seen)


def _follows(run: Run, other: Run, cell: float, parameters: JoinParameters) -> bool:
    gap = run.gap_to(other)
    return gap is not None and gap <= parameters.max_gap * cell


def _joined(run: Run, other: Run, cell: float, parameters: JoinParameters) -> Run | None:
    """Both as one; None where they turn too much."""
    (_, first), (_, second) = line_through(run.points), line_through(other.points)
    points = np.concatenate([run.points, other.points])
    middle, along = line_through(points)
    off = (points - middle) @ np.array([-along[1], along[0]])
    turn = abs(float(first[0] * second[1] - first[1] * second[0]))
    if turn > parameters.max_turn or float(first @ second) < 0.0:
        return None
    if float(np.sqrt(np.mean(off**2))) > parameters.max_off * cell or float(np.abs(off).max()) > parameters.max_reach * cell:
        return None
    return replace(run, points=points, last=other.last, bowed=is_bowed(points, cell))
