"""The light on a surface without what JPEG put into it, where a new colour would bring that up.

Windows are told apart at a fifth of the size (He, Sun, "Fast Guided Filter", 2015), where their means and variances lose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.codes import worth_of_code
from respray.editing.core.field import Tile
from respray.editing.surface.jpeg_error import BLOCK, JpegError
from respray.imaging.arrays import FloatArray, UInt8Array

# Windows' means and variances are taken from cells of so many pixels each way.
CELL = 5
# Less of the surface in a cell is none.
MIN_WEIGHT = 1e-5


@dataclass(frozen=True)
class JpegLightParameters:
    """Parameters of that smoothing, chosen on `benchmarks.quality.dark_jpeg`."""

    radius: int = 2
    """Of a window, cells. 25 pixels hold three blocks, so that the steps between those become slopes; 28, which do not, leave ripples."""
    max_shown: float = 0.15
    """So much of JPEG's error may be left in the new picture, standard deviation in 8-bit codes ..."""
    strength: float = 4.5
    """... where that takes no variation along that is more than so many times JPEG's error."""
    line_strength: float = 3.0
    """The same of what runs level or upright through the whole window, such as a fold or a joint, over its error."""


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
        self._error, self._alpha, self._parameters = error, alpha, parameters
        self._luminance, self._new = np.float32(luminance), np.float32(new)
        self._side = 2 * parameters.radius + 1
        # Two windows, and a cell that a tile cuts.
        self.margin = (2 * parameters.radius + 1) * CELL
        x, y, width, height = cv2.boundingRect(alpha)
        # What lies further away than two blocks more tells nothing of the surface's pixels.
        reach = self.margin + 2 * BLOCK
        within = max(0, x - reach), max(0, y - reach), min(alpha.shape[1], x + width + reach), min(alpha.shape[0], y + height + reach)
        self._luma = error.luma(within)

    def smooth(self, tile: Tile, shading: FloatArray) -> FloatArray:
        """Smooth a tile's shading: a guided filter in which only the surface's own pixels have a say, and slopes are no variation.

        Lines are kept that run level or upright: along them JPEG's error is a mean of three blocks, and so smaller.

        Args:
            tile: where it lies in the surface's box.
            shading: float32 [h,w], 1 = the surface's reference.

        Returns:
            Float32 [h,w].
        """
        p, shape = self._parameters, shading.shape
        # Cells lie in the surface's box, not in the tile.
        grid = (tile.y0 % CELL, -(tile.y0 % CELL + shape[0]) % CELL, tile.x0 % CELL, -(tile.x0 % CELL + shape[1]) % CELL)
        light = cast(FloatArray, cv2.copyMakeBorder(shading, *grid, cv2.BORDER_REPLICATE))
        matte = cv2.copyMakeBorder(self._alpha[tile.window], *grid, cv2.BORDER_REPLICATE)
        weight = None if int(matte.min()) == 255 else matte.astype(np.float32) * np.float32(1 / 255)
        own = light if weight is None else light * weight
        cells = _Cells(weight, light.shape, self._side)
        mean = cells.mean(own)
        variance = cells.mean(own * light) - mean * mean
        variance -= _slopes(mean, p.radius) * np.float32((self._side * self._side - 1) / 12)
        top, left = tile.y0 - grid[0], tile.x0 - grid[2]
        codes = self._error.in_cells(self._luma, left, top, mean.shape, CELL)
        codes = np.hypot(codes, np.float32(self._error.grain))
        # What one code of the photo is worth in shading, and what that makes in codes of the new picture.
        worth = worth_of_code(mean * self._luminance) / self._luminance
        shown = codes * worth * self._new / worth_of_code(mean * self._new)
        error: FloatArray = np.square(codes * worth)
        share = shown / np.float32(p.max_shown) - 1
        # A share keep of variation stays, keep = variance / (variance + epsilon).
        keep = _kept(variance, error * np.clip(share, np.float32(1e-3), np.float32(p.strength**2)))
        base = cells.box((1 - keep) * mean)
        keep = cells.box(keep)
        smooth = _stretched(keep, light.shape)
        smooth *= light
        limit: FloatArray = (
            error * np.float32(BLOCK / (self._side * CELL)) * np.clip(share, np.float32(1e-3), np.float32(p.line_strength**2))
        )
        for size in ((self._side * CELL, 1), (1, self._side * CELL)):
            line = cast(FloatArray, cv2.blur(own, size))
            if weight is not None:
                line /= np.maximum(cv2.blur(weight, size), np.float32(MIN_WEIGHT))
            square = line * line
            along = np.maximum(cells.mean(square if weight is None else square * weight) - mean * mean, np.float32(0))
            stays = (1 - keep) * cells.box(_kept(along, limit))
            base -= stays * mean
            line *= _stretched(stays, light.shape)
            smooth += line
        smooth += _stretched(base, light.shape)
        if weight is not None:
            smooth = np.where(_stretched(cells.total, light.shape) > MIN_WEIGHT, smooth, light)
        return smooth[grid[0] : grid[0] + shape[0], grid[2] : grid[2] + shape[1]]


class _Cells:
    """Means over windows of cells, of pictures of one tile that are weighted already."""

    def __init__(self, weight: FloatArray | None, shape: tuple[int, ...], side: int) -> None:
        """`weight`: float32 [h,w] of its pixels, None: all 1; `shape`: of the tile; `side`: of a window, cells."""
        self._size, self._side = (shape[1] // CELL, shape[0] // CELL), side
        self._weight = None if weight is None else cast(FloatArray, cv2.resize(weight, self._size, interpolation=cv2.INTER_AREA))
        self.total = np.ones((1, 1), np.float32) if self._weight is None else _box(self._weight, side)

    def mean(self, values: FloatArray) -> FloatArray:
        """Of pixels, float32 [h,w]: float32 [h/5,w/5]."""
        return self._over_total(_box(cast(FloatArray, cv2.resize(values, self._size, interpolation=cv2.INTER_AREA)), self._side))

    def box(self, values: FloatArray) -> FloatArray:
        """Of cells, float32 [h/5,w/5]."""
        return self._over_total(_box(values if self._weight is None else values * self._weight, self._side))

    def _over_total(self, values: FloatArray) -> FloatArray:
        return values if self._weight is None else values / np.maximum(self.total, np.float32(1e-6))


def _kept(variance: FloatArray, epsilon: FloatArray) -> FloatArray:
    kept: FloatArray = np.maximum(variance, np.float32(0))
    kept /= kept + epsilon
    return kept


def _stretched(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    return cast(FloatArray, cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def _box(values: FloatArray, side: int) -> FloatArray:
    return cast(FloatArray, cv2.boxFilter(values, -1, (side, side)))


def _slopes(mean: FloatArray, reach: int) -> FloatArray:
    """Square of the slope of windows' means, per pixel."""
    wide = cv2.copyMakeBorder(mean, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    across = wide[reach:-reach, 2 * reach :] - wide[reach:-reach, : -2 * reach]
    down = wide[2 * reach :, reach:-reach] - wide[: -2 * reach, reach:-reach]
    slopes: FloatArray = (across * across + down * down) / np.float32(4 * reach * reach)
    return slopes
