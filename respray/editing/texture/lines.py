"""Line segments of a photo: the raw material of its vanishing points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.core.reduce import average
from respray.imaging.arrays import Float64Array, UInt8Array


@dataclass(frozen=True)
class LineParameters:
    """Which lines are looked for. None is fitted: chosen on the tuning rooms (9000-9019) and by time."""

    work_side: int = 900
    """Longest side, pixels, of the picture that is searched: long straight edges survive, texture does not."""
    min_length: float = 0.02
    """Share of the photo's diagonal: shorter segments have no reliable direction."""
    max_segments: int = 400
    """So many are kept, the longest. Bounds the time of the camera's fit."""


@dataclass(frozen=True)
class Segments2D:
    """Straight segments of a photo, longest first.

    Attributes:
        ends: float64 [n,4], x0, y0, x1, y1 in pixels.
        lengths: float64 [n], pixels.
    """

    ends: Float64Array
    lengths: Float64Array

    @property
    def middles(self) -> Float64Array:
        """Midpoints, float64 [n,2], pixels."""
        middles: Float64Array = (self.ends[:, :2] + self.ends[:, 2:]) / 2.0
        return middles

    @property
    def directions(self) -> Float64Array:
        """Unit directions, float64 [n,2]."""
        directions: Float64Array = (self.ends[:, 2:] - self.ends[:, :2]) / self.lengths[:, None]
        return directions


def find_segments(photo: UInt8Array, parameters: LineParameters = LineParameters()) -> Segments2D:
    """Find straight edges with OpenCV's LSD (von Gioi et al., "LSD: a Line Segment Detector", IPOL 2012).

    Args:
        photo: uint8 [H,W,3], sRGB.
        parameters: which lines are kept.

    Returns:
        Segments in photo pixels (pixel i covers [i, i+1)), longest first.
    """
    p = parameters
    height, width = photo.shape[:2]
    scale = min(1.0, p.work_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = average(photo, size)
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))[0]
    if found is None:
        return Segments2D(np.zeros((0, 4)), np.zeros(0))
    # LSD counts pixel centres as integers; here pixel i covers [i, i+1).
    ends = (found.reshape(-1, 4).astype(np.float64) + 0.5) / np.array([small.shape[1] / width, small.shape[0] / height] * 2)
    lengths = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    order = np.argsort(-lengths)
    order = order[lengths[order] >= p.min_length * np.hypot(height, width)][: p.max_segments]
    return Segments2D(ends[order], lengths[order])
