"""The light on a surface without what JPEG put into it, where a new colour would bring that up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.codes import worth_of_code
from respray.editing.core.field import Tile
from respray.editing.surface.jpeg_error import JpegError
from respray.imaging.arrays import FloatArray, UInt8Array

# Less of the surface in a window is none.
MIN_WEIGHT = 1e-5


@dataclass(frozen=True)
class JpegLightParameters:
    """Parameters of that smoothing, chosen on `benchmarks.quality.dark_jpeg`."""

    radius: int = 12
    """Of a window, pixels. 25 of them hold three blocks, so that the steps between those become slopes."""
    max_shown: float = 0.3
    """So much of JPEG's error may be left in the new picture, standard deviation in 8-bit codes ..."""
    strength: float = 3.0
    """... where that takes no variation along that is more than so many times JPEG's error."""


class JpegLight:
    """Prepared for one surface; may be used from several threads.

    Attributes:
        margin: pixels that are needed around what is used of `smooth`'s answer.
    """

    def __init__(
        self, error: JpegError, alpha: UInt8Array, luminance: float, new: float, parameters: JpegLightParameters = JpegLightParameters()
    ) -> None:
        """Prepare for a surface.

        Args:
            error: JPEG's, on the surface.
            alpha: uint8 [h,w] of the surface's box, its matte.
            luminance: of the surface at shading 1, scene-linear.
            new: the same of the new paint.
            parameters: of the smoothing.
        """
        self._error, self._luma, self._alpha, self._parameters = error, error.luma(), alpha, parameters
        self._luminance, self._new = np.float32(luminance), np.float32(new)
        self.margin = 2 * parameters.radius

    def smooth(self, tile: Tile, shading: FloatArray) -> FloatArray:
        """Smooth a tile's shading: a guided filter in which only the surface's own pixels have a say, and slopes are no variation.

        Args:
            tile: where it lies in the surface's box.
            shading: float32 [h,w], 1 = the surface's reference.

        Returns:
            Float32 [h,w].
        """
        p = self._parameters
        weight = self._alpha[tile.window].astype(np.float32) * np.float32(1 / 255)
        side = 2 * p.radius + 1
        total = np.maximum(_box(weight, side), np.float32(1e-6))
        mean = _box(shading * weight, side) / total
        variance = _box(shading * shading * weight, side) / total - mean * mean
        variance -= _slopes(mean, p.radius) * np.float32((side * side - 1) / 12)
        codes = np.hypot(self._error.in_window(self._luma, tile.x0, tile.y0, tile.x1, tile.y1), np.float32(self._error.grain))
        # What one code of the photo is worth in shading, and what that makes in codes of the new picture.
        worth = worth_of_code(mean * self._luminance) / self._luminance
        shown = codes * worth * self._new / worth_of_code(mean * self._new)
        # A share keep of variation stays, keep = variance / (variance + epsilon).
        epsilon = (codes * worth) ** 2 * np.clip(shown / np.float32(p.max_shown) - 1, np.float32(1e-3), np.float32(p.strength**2))
        keep = np.maximum(variance, np.float32(0))
        keep /= keep + epsilon
        base = _box((1 - keep) * mean * weight, side) / total
        smooth: FloatArray = np.where(total > MIN_WEIGHT, (_box(keep * weight, side) / total) * shading + base, shading)
        return smooth


def _box(values: FloatArray, side: int) -> FloatArray:
    return cast(FloatArray, cv2.boxFilter(values, -1, (side, side)))


def _slopes(mean: FloatArray, reach: int) -> FloatArray:
    """Square of the slope of windows' means, per pixel."""
    wide = cv2.copyMakeBorder(mean, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    across = wide[reach:-reach, 2 * reach :] - wide[reach:-reach, : -2 * reach]
    down = wide[2 * reach :, reach:-reach] - wide[: -2 * reach, reach:-reach]
    slopes: FloatArray = (across * across + down * down) / np.float32(4 * reach * reach)
    return slopes
