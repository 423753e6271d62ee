"""Small smooth fields (light, colours near an edge) that are stretched over a large image tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class Tile:
    """A rectangle of a surface's box, half open, in pixels of the box; `width`, `height` are the box's size."""

    x0: int
    y0: int
    x1: int
    y1: int
    width: int
    height: int

    def grown(self, margin: int) -> Tile:
        """The tile with `margin` more pixels on each side, cut at the box."""
        return Tile(
            max(0, self.x0 - margin),
            max(0, self.y0 - margin),
            min(self.width, self.x1 + margin),
            min(self.height, self.y1 + margin),
            self.width,
            self.height,
        )


def upsample(field: FloatArray, tile: Tile) -> FloatArray:
    """The part under `tile` of a small field [hs,ws(,c)] stretched bilinearly over the whole box."""
    scale_x, scale_y = field.shape[1] / tile.width, field.shape[0] / tile.height
    # warpAffine maps a destination pixel to a source pixel; pixel centres lie at +0.5.
    matrix = np.array([[scale_x, 0.0, (tile.x0 + 0.5) * scale_x - 0.5], [0.0, scale_y, (tile.y0 + 0.5) * scale_y - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, matrix, (tile.x1 - tile.x0, tile.y1 - tile.y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def smooth(values: FloatArray, radius: int, epsilon: float | FloatArray) -> FloatArray:
    """Edge-preserving smoothing of float32 [h,w] by itself: variation with a variance well below `epsilon` goes, well above stays
    (guided filter with itself as guide; He, Sun, Tang 2013). `epsilon` may differ from pixel to pixel. Rows and columns within 2 x `radius`
    of the border see less than they need.
    """
    box = (2 * radius + 1, 2 * radius + 1)
    mean: FloatArray = cv2.boxFilter(values, -1, box)
    squares: FloatArray = np.multiply(values, values)
    variance: FloatArray = np.maximum(cv2.boxFilter(squares, -1, box) - mean * mean, 0.0)
    slope: FloatArray = np.divide(variance, variance + np.asarray(epsilon, np.float32))
    offset: FloatArray = mean - slope * mean
    return cv2.boxFilter(slope, -1, box) * values + cv2.boxFilter(offset, -1, box)
