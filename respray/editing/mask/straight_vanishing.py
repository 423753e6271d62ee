"""Lines of a room: where the photo shows about as much of it, a border runs to one of the room's vanishing points.

Walls, floors and ceilings end in upright and level lines, along one of the room's three directions. A line that is fitted to a wavering
border and to an edge that is all but invisible may be off by some degrees; the camera that other lines of the photo tell is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.mask.straight_line import Strip, seen_along, worth_of_lines
from respray.editing.texture.camera import CameraParameters, estimate_camera
from respray.editing.texture.lines import LineParameters, find_segments
from respray.imaging.arrays import Float64Array, UInt8Array


@dataclass(frozen=True)
class VanishingParameters:
    """When a line is turned to a vanishing point. Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md)."""

    min_confidence: float = 0.3
    """Of the camera."""
    sure: float = 0.9
    """A line that the photo shows so well (0..1) needs no help."""
    max_turn: float = float(np.radians(8.0))
    """It is turned by no more than this ..."""
    max_move: float = 2.0
    """... and its middle moved by no more than so many cells (pixels of the network's mask), ..."""
    reach: float = 2.5
    """... its ends by no more than so many from the network's border, ..."""
    less: float = 0.03
    """... and together photo and border speak for it by no more than this (0..1) less."""
    step: float = 0.5
    """Pixels from one line that is tried to the next."""


LINES = LineParameters(max_segments=120)
"""The longest lines tell the directions within half a degree of what all do, in a third of the time, ..."""
CAMERA = CameraParameters(shifts=(0.0,))
"""... from one lens shift to begin with."""


def vanishing_points(work: UInt8Array, parameters: VanishingParameters = VanishingParameters()) -> Float64Array | None:
    """The room's three vanishing points, float64 [3,3] (rows homogeneous), in pixels of a picture uint8 [h,w,3]; None where its lines do
    not tell."""
    camera = estimate_camera(find_segments(work, LINES), work.shape[1], work.shape[0], CAMERA)
    if camera.confidence < parameters.min_confidence:
        return None
    points: Float64Array = camera.axes @ camera.matrix.T
    return points


def directed_line(
    strip: Strip, line: tuple[float, float], cell: float, points: Float64Array, parameters: VanishingParameters = VanishingParameters()
) -> tuple[float, float]:
    """Turn a line to a vanishing point.

    Args:
        strip: the border laid out straight.
        line: how far across the strip the best line lies at its first and its last place (pixels).
        cell: a pixel of the network's mask, in pixels of the strip.
        points: see `vanishing_points`.
        parameters: of the decision.

    Returns:
        The best line to one of the points, as `line` is given; `line` itself where that is worse by more than `less`, or it needs no help.
    """
    p = parameters
    first, last = line
    if float(seen_along(strip, np.linspace(first, last, strip.places, dtype=np.float32)).mean()) > p.sure:
        return line
    half, own = (strip.places - 1) * strip.spacing / 2.0, (last - first) / ((strip.places - 1) * strip.spacing)
    across = (first + last) / 2.0 + np.arange(-p.max_move * cell, p.max_move * cell + 0.1, p.step)
    middles = strip.origin + strip.along * half + across[:, None] * strip.across
    ways = points[:, None, :2] - points[:, None, 2:] * middles
    along, slope = ways @ strip.along, ways @ strip.across
    runs = np.abs(along) > 1e-9 * np.abs(points).max()
    slope = slope / np.where(runs, along, 1.0)
    firsts, lasts = across - slope * half, across + slope * half
    runs &= np.abs(np.arctan(slope) - np.arctan(own)) <= p.max_turn
    runs &= np.maximum(np.abs(firsts), np.abs(lasts)) <= p.reach * cell
    if not runs.any():
        return line
    tried = np.stack([np.append(firsts[runs], first), np.append(lasts[runs], last)]).astype(np.float32)
    worth = worth_of_lines(strip, tried, cell)
    best = int(worth[:-1].argmax())
    return (float(tried[0, best]), float(tried[1, best])) if worth[best] > worth[-1] - p.less else line
