"""Where the floor goes on behind a removed object: its far border, continued in straight lines from both sides of the hole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.core.shapes import grown
from respray.imaging.arrays import BoolArray, FloatArray

# Columns and rows of points, float64 [n] each, and how much each counts.
Points = tuple[FloatArray, FloatArray, FloatArray]
# Pixels around a hole that count as its rim.
RIM = 2


@dataclass(frozen=True)
class BorderParameters:
    """When the far border of a floor is believed. Shares are of the longest side of the picture, if nothing else is said.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    max_points: int = 60
    """A line is fitted to at most so many border points on each side of the hole ..."""
    reach: float = 0.3
    """... and to those within this share of it."""
    fade: float = 0.4
    """A point's weight falls by e with this share of `reach` between it and the hole."""
    tolerance: float = 0.004
    """Points this near to a line, or within a pixel of it, lie on it."""
    min_points: int = 8
    """A line needs so many points ..."""
    min_width: float = 0.02
    """... over at least this width."""
    min_agreement: float = 0.75
    """What the lines say must agree with what is seen in this share of the hole's rim."""


@dataclass(frozen=True)
class FarBorder:
    """Straight lines below all of which there is floor.

    Attributes:
        lines: slope and offset of each: row = slope x column + offset, in pixels of a picture of this size.
        height: of the picture.
        width: of the picture.
    """

    lines: list[tuple[float, float]]
    height: int
    width: int

    @classmethod
    def nowhere(cls, height: int, width: int) -> FarBorder:
        """Of a picture that is all floor."""
        return cls([(0.0, -2.0)], height, width)

    def floor(self, height: int, width: int) -> FloatArray:
        """The floor's share of every pixel of the same picture at another size, float32 [h,w], 0..1.

        Example:
            >>> FarBorder([(0.0, 1.0)], height=4, width=2).floor(4, 2)[:, 0].tolist()
            [0.0, 0.5, 1.0, 1.0]
        """
        down, across = height / self.height, width / self.width
        y, x = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in (height, width))
        # Rows and columns count pixels' middles.
        depth = [y[:, None] - down * (slope * (x / across - 0.5) + offset + 0.5) for slope, offset in self.lines]
        share: FloatArray = np.clip(np.minimum.reduce(depth) + 0.5, 0.0, 1.0)
        return share


def far_border(floor: BoolArray, hole: BoolArray, parameters: BorderParameters = BorderParameters()) -> FarBorder | None:
    """Find where the floor ends behind what is taken out. A room's corner behind it is where the lines from left and right meet.

    Args:
        floor: bool [h,w], the floor that is seen.
        hole: bool [h,w], what is taken out.
        parameters: of the lines.

    Returns:
        The border; None where it is not seen beside the hole.
    """
    p = parameters
    floor = floor & ~hole
    columns, rows = _border(floor, hole)
    inside = np.flatnonzero(hole.any(axis=0))
    if not len(inside) or not len(columns):
        return None
    middle, reach = float(np.median(np.nonzero(hole)[1])), p.reach * max(hole.shape)
    tolerance = max(1.0, p.tolerance * max(hole.shape))
    sides = []
    for side in (columns < middle, columns > middle):
        near = np.maximum(np.maximum(inside[0] - columns, columns - inside[-1]), 0)
        chosen = np.flatnonzero(side & (near < reach))
        chosen = chosen[np.argsort(near[chosen], kind="stable")]
        chosen = chosen[:: max(1, len(chosen) // p.max_points)]
        sides.append((columns[chosen], rows[chosen], np.exp(-near[chosen] / (p.fade * reach))))
    corner = [line for side in sides if (line := _line(side, tolerance, p.min_width * max(hole.shape), p.min_points)) is not None]
    through = _line_through(sides[0], sides[1], tolerance, p.min_points)
    size, rim = (hole.shape[0], hole.shape[1]), grown(hole, RIM) & ~hole
    found = [FarBorder(lines, *size) for lines in ([through] if through else [], corner) if lines]
    agrees = [float(((border.floor(*size) >= 0.5) == floor)[rim].mean()) for border in found]
    best = max(range(len(found)), key=agrees.__getitem__, default=None) if rim.any() else None
    return None if best is None or agrees[best] < p.min_agreement else found[best]


def _border(floor: BoolArray, hole: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Columns and rows where the floor's far border is seen: its highest pixel in a column, with something else above and no hole near."""
    top = floor.argmax(axis=0)
    columns = np.flatnonzero(floor.any(axis=0) & (top > RIM))
    seen = ~grown(hole, RIM)[np.maximum(top[columns] - 1, 0), columns]
    columns = columns[seen]
    return columns.astype(np.float64), top[columns].astype(np.float64)


def _line_through(left: Points, right: Points, tolerance: float, min_points: int) -> tuple[float, float] | None:
    """Slope and offset of the line that has most of the points on both sides, or None: what is seen of a wall on both sides of the hole
    runs on behind it, whatever longer walls there are beside."""
    if min(len(left[0]), len(right[0])) < min_points:
        return None
    slope = (right[1][:, None] - left[1]) / (right[0][:, None] - left[0])
    slopes, offsets = slope.ravel(), (left[1] - slope * left[0]).ravel()
    on_line = [np.abs(slopes[:, None] * x + offsets[:, None] - y) <= tolerance for x, y, _ in (left, right)]
    enough = np.logical_and(*(on.sum(axis=1) >= min_points for on in on_line))
    score = np.minimum(*(on @ weight for on, (_, _, weight) in zip(on_line, (left, right), strict=True))) * enough
    best = int(score.argmax())
    if not score[best]:
        return None
    x, y, weight = (
        np.concatenate([part[on[best]] for part, on in zip(both, on_line, strict=True)]) for both in zip(left, right, strict=True)
    )
    fitted = np.polyfit(x, y, 1, w=weight)
    return float(fitted[0]), float(fitted[1])


def _line(points: Points, tolerance: float, min_width: float, min_points: int) -> tuple[float, float] | None:
    """Slope and offset of the line through most of the points (all pairs are tried), or None."""
    x, y, weight = points
    if len(x) < min_points:
        return None
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    usable = np.abs(apart) >= 2.0
    first, second, apart = first[usable], second[usable], apart[usable]
    if not len(first):
        return None
    slope = (y[second] - y[first]) / apart
    offset = y[first] - slope * x[first]
    on_line = np.abs(slope[:, None] * x + offset[:, None] - y) <= tolerance
    best = on_line[int((on_line @ weight).argmax())]
    if best.sum() < min_points or np.ptp(x[best]) < min_width:
        return None
    fitted = np.polyfit(x[best], y[best], 1, w=weight[best])
    return float(fitted[0]), float(fitted[1])
