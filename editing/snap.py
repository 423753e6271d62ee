"""Moves a coarse mask's edge to the photo's edge: a colour-guided filter in a narrow band, tile by tile.

The filter (He, Sun, Tang, "Guided Image Filtering", 2013) is solved at a reduced size and its linear coefficients are applied to the photo
at full size (He, Sun, "Fast Guided Filter", 2015): the edge is as sharp as the photo, and the cost depends on the edge's length only.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np

from imaging.arrays import FloatArray, UInt8Array

# The filter is solved at the size where the band is about this many pixels wide on each side.
WORK_RADIUS = 5.0
TILE = 64
# Regularisation: colour differences below its root (in 0..1) do not move the edge.
EPSILON = 1e-4
# The filter's answer is steeper than a box-filtered one: a photo's edge is one or two pixels wide.
STEEPNESS = 3.0
# Alpha this close to 0 or 255 is rounded to it, so that "outside" means untouched.
DUST = 6


def snap(low: UInt8Array, photo: UInt8Array, band: float) -> UInt8Array:
    """Coarse probabilities uint8 [h,w] + photo uint8 [H,W,3] -> alpha uint8 [H,W].

    `band` is how far the edge (probability 128) may move, in pixels of `low`; beyond it alpha is 0 or 255.
    """
    height, width = photo.shape[:2]
    low_h, low_w = low.shape
    hard = (low >= 128).astype(np.uint8)
    size = 2 * max(1, round(band)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inside, outside = cv2.erode(hard, kernel), cv2.dilate(hard, kernel)
    if not outside.any():
        return np.zeros((height, width), np.uint8)
    reach = band * max(width / low_w, height / low_h)
    factor = reach / WORK_RADIUS if reach > 1.5 * WORK_RADIUS else 1.0
    work_w, work_h = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(photo, (work_w, work_h), interpolation=cv2.INTER_AREA) if factor > 1.0 else photo
    alpha = cv2.resize(inside * np.uint8(255), (width, height), interpolation=cv2.INTER_NEAREST)
    coarse = cv2.resize(low, (work_w, work_h), interpolation=cv2.INTER_LINEAR)
    limits = cv2.resize(cv2.merge([inside, outside]) * np.uint8(255), (work_w, work_h), interpolation=cv2.INTER_LINEAR)
    radius = max(1, round(reach / factor))
    bounds_x, bounds_y = _bounds(work_w), _bounds(work_h)
    tiles = [(x0, y0, x1, y1) for y0, y1 in pairwise(bounds_y) for x0, x1 in pairwise(bounds_x) if _mixed(limits[y0:y1, x0:x1])]

    def work(tile: tuple[int, int, int, int]) -> None:
        _tile(tile, (small, coarse, limits), photo, alpha, radius)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(work, tiles))
    return alpha


def _bounds(length: int) -> list[int]:
    return [*range(0, length, TILE), length]


def _mixed(limits: UInt8Array) -> bool:
    return bool((limits[..., 0] < 255).any() and (limits[..., 1] > 0).any())


def _tile(
    tile: tuple[int, int, int, int], fields: tuple[UInt8Array, UInt8Array, UInt8Array], photo: UInt8Array, alpha: UInt8Array, radius: int
) -> None:
    """Solve one tile at work size and write its alpha at full size."""
    small, coarse, limits = fields
    work_h, work_w = coarse.shape
    height, width = alpha.shape
    x0, y0, x1, y1 = tile
    margin = 2 * radius + 2
    left, top, right, bottom = max(0, x0 - margin), max(0, y0 - margin), min(work_w, x1 + margin), min(work_h, y1 + margin)
    guide = small[top:bottom, left:right].astype(np.float32) * np.float32(1 / 255)
    values = coarse[top:bottom, left:right].astype(np.float32) * np.float32(1 / 255)
    coefficients = _coefficients(guide, values, radius)
    fx0, fx1, fy0, fy1 = x0 * width // work_w, x1 * width // work_w, y0 * height // work_h, y1 * height // work_h
    size = (fx1 - fx0, fy1 - fy0)
    scale_x, scale_y = work_w / width, work_h / height
    matrix = np.array([[scale_x, 0.0, (fx0 + 0.5) * scale_x - 0.5 - left], [0.0, scale_y, (fy0 + 0.5) * scale_y - 0.5 - top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(coefficients, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    bounds = cv2.warpAffine(limits[top:bottom, left:right], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    colours = photo[fy0:fy1, fx0:fx1].astype(np.float32) * np.float32(1 / 255)
    answer = np.einsum("ijk,ijk->ij", fine[..., :3], colours) + fine[..., 3]
    answer = (answer - 0.5) * np.float32(255 * STEEPNESS) + np.float32(127.5)
    answer[answer < DUST] = 0
    answer[answer > 255 - DUST] = 255
    result = np.clip(answer, 0, 255).astype(np.uint8)
    result[bounds[..., 0] > 127] = 255
    result[bounds[..., 1] <= 127] = 0
    alpha[fy0:fy1, fx0:fx1] = result


def _coefficients(guide: FloatArray, values: FloatArray, radius: int) -> FloatArray:
    """The guided filter's averaged linear model per pixel: float32 [h,w,4] (three colour weights, offset)."""
    box = (2 * radius + 1, 2 * radius + 1)
    red, green, blue = (np.ascontiguousarray(guide[..., c]) for c in range(3))
    stack = np.dstack(
        [
            guide,
            values,
            red * values,
            green * values,
            blue * values,
            red * red,
            red * green,
            red * blue,
            green * green,
            green * blue,
            blue * blue,
        ]
    )
    mean = np.dstack([cv2.blur(stack[..., c : c + 4], box) for c in (0, 4, 8)] + [cv2.blur(stack[..., 12], box)])
    mr, mg, mb, mp, rp, gp, bp, rr, rg, rb, gg, gb, bb = (mean[..., c] for c in range(13))
    cr, cg, cb = rp - mr * mp, gp - mg * mp, bp - mb * mp
    rr, gg, bb = rr - mr * mr + EPSILON, gg - mg * mg + EPSILON, bb - mb * mb + EPSILON
    rg, rb, gb = rg - mr * mg, rb - mr * mb, gb - mg * mb
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    inverse = 1.0 / (irr * rr + irg * rg + irb * rb)
    ar = (irr * cr + irg * cg + irb * cb) * inverse
    ag = (irg * cr + igg * cg + igb * cb) * inverse
    ab = (irb * cr + igb * cg + ibb * cb) * inverse
    return cv2.blur(np.dstack([ar, ag, ab, mp - ar * mr - ag * mg - ab * mb]), box)
