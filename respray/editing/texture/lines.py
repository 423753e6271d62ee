"""Line segments of a photo: the raw material of its vanishing points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.imaging.arrays import FloatArray, UInt8Array

# Lines are looked for at this size (longest side, pixels): long straight edges survive, texture does not.
WORK_SIDE = 900
# Shorter segments than this share of the diagonal have no reliable direction.
LEAST_LENGTH = 0.02
MAX_SEGMENTS = 400


@dataclass(frozen=True)
class Segments2D:
    """Segments in photo pixels: `ends` float64 [n,4] (x0,y0,x1,y1), `lengths` [n] in pixels, longest first."""

    ends: FloatArray
    lengths: FloatArray

    @property
    def middles(self) -> FloatArray:
        """Midpoints float64 [n,2]."""
        return (self.ends[:, :2] + self.ends[:, 2:]) / 2.0

    @property
    def directions(self) -> FloatArray:
        """Unit directions float64 [n,2]."""
        return (self.ends[:, 2:] - self.ends[:, :2]) / self.lengths[:, None]


def find_segments(photo: UInt8Array) -> Segments2D:
    """Straight edges of a photo (uint8 [H,W,3]) by OpenCV's LSD (von Gioi et al., IPOL 2012), longest first, at most MAX_SEGMENTS."""
    height, width = photo.shape[:2]
    scale = min(1.0, WORK_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else photo
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))[0]
    if found is None:
        return Segments2D(np.zeros((0, 4)), np.zeros(0))
    # LSD counts pixel centres as integers; here pixel i covers [i, i+1).
    ends = (found.reshape(-1, 4).astype(np.float64) + 0.5) / np.array([small.shape[1] / width, small.shape[0] / height] * 2)
    lengths = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    order = np.argsort(-lengths)
    order = order[lengths[order] >= LEAST_LENGTH * np.hypot(height, width)][:MAX_SEGMENTS]
    return Segments2D(ends[order], lengths[order])
