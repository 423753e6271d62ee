"""How far JPEG may have moved the pixels of a surface: by its own quantisation, block by block.

Every stored frequency is off by up to half its step, evenly spread (Bennett, "Spectra of quantized signals", 1948: variance step^2 / 12).
A frequency that was stored as zero brought nothing with it, but was lost: that only shows where it is low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import boolean, float32, int64, uint8, void

from respray.contract.photo_facts import JpegTables
from respray.editing.core.compiled import compiled, compiled_for, read_only
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

BLOCK = 8
# Of the blocks' variation: the calmest show noise, others texture; and what is stronger than this (codes) is texture in any case.
CALM_PERCENTILE = 25.0
MAX_GRAIN = 1.0
# At most about so many blocks say how calm a surface is and how far it usually is off, evenly spread. Bounds the time.
MAX_BLOCKS = 8192
# What one code of Cb and of Cr is worth in red, green and blue (JPEG File Interchange Format 1.02).
FROM_CB, FROM_CR = np.array([0.0, -0.344136, 1.772]), np.array([1.402, -0.714136, 0.0])


@dataclass(frozen=True)
class JpegError:
    """JPEG's errors on one surface.

    Attributes:
        crop: uint8 [h,w,3], sRGB, the surface's box.
        steps: float32 [8,8], of the photo's quantisation of luma.
        corner: x and y in the box of the first block, -7 to 0.
        usual: standard deviation of luma in the median block, 8-bit codes.
        chroma: float32 [3], standard deviation of the mean chroma of a block, as codes of red, green and blue.
        grain: what is left of the camera's noise in the calmest blocks, standard deviation in codes. JPEG takes its fine part away, by
            which `surface.noise` would know it, and cuts the rest at the borders of blocks.
    """

    crop: UInt8Array
    steps: FloatArray
    corner: tuple[int, int]
    usual: float
    chroma: FloatArray
    grain: float

    def luma(self, within: tuple[int, int, int, int] | None = None) -> FloatArray:
        """Standard deviation of luma in every block of the surface's box, float32 [bh,bw], 8-bit codes. Takes a while for many: outside
        `within` (x0, y0, x1, y1, pixels of the box; None: all of it) the usual one stands."""
        height, width = self.crop.shape[:2]
        rows, columns = (-(-(size - first) // BLOCK) for size, first in zip((height, width), self.corner[::-1], strict=True))
        luma = np.full((rows, columns), self.usual, np.float32)
        x0, y0, x1, y1 = (0, 0, width, height) if within is None else within
        left, top = (max(0, (start - first) // BLOCK) for start, first in zip((x0, y0), self.corner, strict=True))
        right, bottom = (-(-(end - first) // BLOCK) for end, first in zip((x1, y1), self.corner, strict=True))
        # From a block's first pixel on, or from the box's.
        pixels = [
            slice(max(0, first + BLOCK * start), first + BLOCK * end)
            for first, start, end in zip(self.corner[::-1], (top, left), (bottom, right), strict=True)
        ]
        corner = self.corner[0] if left == 0 else 0, self.corner[1] if top == 0 else 0
        luma[top:bottom, left:right], _ = _block_errors(self.crop[pixels[0], pixels[1]], corner, self.steps)
        return luma

    def in_cells(self, luma: FloatArray, left: int, top: int, shape: tuple[int, ...], cell: int) -> FloatArray:
        """`luma()` in the middles of cells of the surface's box, smooth between the middles of blocks: float32 `shape`, codes.

        Args:
            luma: float32 [bh,bw].
            left: where the first cell begins in the box, pixels.
            top: the same.
            shape: rows and columns of cells.
            cell: pixels of one each way.
        """
        shift = [(start - corner + cell / 2) / BLOCK - 0.5 for start, corner in ((left, self.corner[0]), (top, self.corner[1]))]
        matrix = np.array([[cell / BLOCK, 0.0, shift[0]], [0.0, cell / BLOCK, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(luma, matrix, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE))


def estimate_jpeg_error(crop: UInt8Array, alpha: UInt8Array, place: tuple[int, int], tables: JpegTables) -> JpegError:
    """Estimate JPEG's errors.

    Args:
        crop: uint8 [h,w,3], sRGB, the surface's box in the photo.
        alpha: uint8 [h,w], the surface's matte in it.
        place: x and y of the box in the photo.
        tables: of the photo's file.
    """
    corner = tuple(-((start - first) % BLOCK) for start, first in zip(place, tables.origin, strict=True))
    steps = np.array(tables.luma, np.float32).reshape(BLOCK, BLOCK)
    spread = max(1, math.ceil((crop.shape[0] * crop.shape[1] / BLOCK**2 / MAX_BLOCKS) ** 0.5))
    luma, grain = _block_errors(crop, (corner[0], corner[1]), steps, spread)
    whole = np.empty(grain.shape, np.bool_)
    _whole_blocks(alpha, corner[0], corner[1], spread, whole)
    calm = float(np.percentile(grain[whole], CALM_PERCENTILE)) if whole.any() else 0.0
    step = tables.chroma[0] / BLOCK  # of a block's mean
    chroma = step / 12.0**0.5 * np.hypot(FROM_CB, FROM_CR)
    return JpegError(crop, steps, (corner[0], corner[1]), float(np.median(luma)), chroma.astype(np.float32), min(calm, MAX_GRAIN))


def _block_errors(crop: UInt8Array, corner: tuple[int, int], steps: FloatArray, spread: int = 1) -> tuple[FloatArray, FloatArray]:
    """What `_luma_errors` says of every `spread`th block each way, float32 [bh,bw] each."""
    rows, columns = (-(-(size - first) // (BLOCK * spread)) for size, first in zip(crop.shape[:2], corner[::-1], strict=True))
    luma, grain = np.empty((2, rows, columns), np.float32)
    _luma_errors(crop, corner[0], corner[1], spread, steps, _cosines(), luma, grain)
    return luma, grain


@compiled_for(void(uint8[:, :], int64, int64, int64, boolean[:, ::1]))
def _whole_blocks(alpha: UInt8Array, left: int, top: int, spread: int, whole: BoolArray) -> None:
    """Which blocks (as in `_luma_errors`) a matte uint8 [h,w] has wholly, bool [bh,bw]."""
    height, width = alpha.shape
    for row in range(whole.shape[0]):
        for column in range(whole.shape[1]):
            y0, x0 = top + row * spread * 8, left + column * spread * 8
            inside = y0 >= 0 and x0 >= 0 and y0 + 8 <= height and x0 + 8 <= width
            if inside:
                for y in range(y0, y0 + 8):
                    for x in range(x0, x0 + 8):
                        inside = inside and alpha[y, x] == 255
            whole[row, column] = inside


def _cosines() -> FloatArray:
    """The orthonormal DCT of eight values, float32 [frequency, place] (ITU-R T.81, A.3.3)."""
    frequency, place = np.mgrid[0:BLOCK, 0:BLOCK]
    basis = np.cos((2 * place + 1) * frequency * np.pi / (2 * BLOCK)) * (2.0 / BLOCK) ** 0.5
    basis[0] /= 2.0**0.5
    cosines: FloatArray = basis.astype(np.float32)
    return cosines


@compiled_for(void(read_only(uint8[:, :, :]), int64, int64, int64, float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1]))
def _luma_errors(
    crop: UInt8Array, left: int, top: int, spread: int, steps: FloatArray, basis: FloatArray, errors: FloatArray, grain: FloatArray
) -> None:
    """Standard deviation of the error of every `spread`th block, and of all that is no slope in it, codes. Blocks that leave the crop are
    continued by its border.

    Counted are the mean, the first frequency each way, whose loss makes steps between blocks, and whatever was stored.
    """
    rows, columns = errors.shape
    # The blocks of a row side by side, innermost: so every step is one vector instruction for eight of them.
    block, half = np.empty((8, 8, columns), np.float32), np.empty((8, 8, columns), np.float32)
    value, faint, stored = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.int32)
    for row in range(rows):
        _take_luma(crop, top + row * spread * 8, left, spread, block)
        half[:] = 0
        for y in range(8):
            for k in range(8):
                for x in range(8):
                    _add(basis[k, x], block[y, x], half[y, k])
        variance, rough = errors[row], grain[row]
        variance[:] = steps[0, 0] ** 2 + steps[0, 1] ** 2 + steps[1, 0] ** 2
        rough[:], faint[:], stored[:] = 0, 0, 0
        for k in range(8):
            for m in range(8):
                if k + m <= 1:
                    continue
                value[:] = 0
                for y in range(8):
                    _add(basis[m, y], half[y, k], value)
                step = steps[m, k]
                for i in range(columns):
                    square, size = value[i] * value[i], abs(value[i])
                    rough[i] += square
                    kept = size > np.float32(0.5) * step
                    stored[i] += np.int32(kept)
                    variance[i] += step**2 if kept else np.float32(0)
                    faint[i] += np.float32(12) * square if kept and size < np.float32(1.5) * step else np.float32(0)
        for i in range(columns):
            # One or two single steps in a calm block are as likely noise that just passed half a step: then all of them is error.
            if stored[i] <= 8:
                variance[i] += faint[i]
            variance[i] = np.sqrt(variance[i] / np.float32(12 * 64))
            rough[i] = np.sqrt(rough[i] / np.float32(64))


@compiled
def _take_luma(crop: UInt8Array, top: int, left: int, spread: int, block: FloatArray) -> None:
    """Luma of a row of blocks (as in `_luma_errors`) into `block` float32 [8,8,bw]."""
    height, width = crop.shape[:2]
    for y in range(8):
        line = crop[min(max(top + y, 0), height - 1)]
        for i in range(block.shape[2]):
            for x in range(8):
                at = np.uint64(min(max(left + i * spread * 8 + x, 0), width - 1))
                block[y, x, i] = np.float32(0.299) * line[at, 0] + np.float32(0.587) * line[at, 1] + np.float32(0.114) * line[at, 2]


@compiled
def _add(factor: np.float32, values: FloatArray, sums: FloatArray) -> None:
    """Add values [n], each times a factor, to sums [n]."""
    for i in range(len(sums)):
        sums[i] += factor * values[i]
