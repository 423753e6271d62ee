"""Moves a coarse mask's edge to the photo's edge: a colour-guided filter in a narrow band, tile by tile.

The filter (see `editing.guided`) is solved at a reduced size and its linear coefficients are applied to the photo at full size (He, Sun,
"Fast Guided Filter", 2015): the edge is as sharp as the photo, and the cost depends on the edge's length only. A mask that is undecided
everywhere is all edge; its band is worked on at the size at which it has at most BAND_PIXELS.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from editing.guided import coefficients
from imaging.arrays import UInt8Array

# The filter is solved at the size where the band is about this many pixels wide on each side.
WORK_RADIUS = 5.0
# Its windows are wider than the band, so that they see both sides of an edge that is off.
WINDOW = 2.2
TILE = 64
# The filter's answer is steeper than a box-filtered one: a photo's edge is one or two pixels wide.
STEEPNESS = 3.0
# Alpha this close to 0 or 255 is rounded to it, so that "outside" means untouched.
DUST = 6
# Pixels of the photo that one matte may work on. A decided mask of a 12-megapixel room has two to four million; at about 80 ns each (two
# cores) this is a third of a second at most, whatever the mask and the photo's size.
BAND_PIXELS = 6_000_000
# A reduced band is aimed this much below the limit: tiles have whole pixels.
SPARE = 0.95


@dataclass(frozen=True)
class Snapped:
    """`alpha` uint8 [H,W]; `pixels`: how many were worked on; `detail` 0..1: the size they were worked on at, over the photo's."""

    alpha: UInt8Array
    pixels: int = 0
    detail: float = 1.0


@dataclass(frozen=True)
class _Plan:
    """What the tiles share: photo, low-resolution fields at work size (see `snap`), tiles in work pixels, window radius."""

    photo: UInt8Array
    small: UInt8Array
    coarse: UInt8Array
    limits: UInt8Array
    radius: int
    tiles: list[tuple[int, int, int, int]]

    def full(self, tile: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """A tile in pixels of the photo."""
        (height, width), (work_h, work_w) = self.photo.shape[:2], self.coarse.shape
        x0, y0, x1, y1 = tile
        return x0 * width // work_w, y0 * height // work_h, x1 * width // work_w, y1 * height // work_h

    @property
    def pixels(self) -> int:
        """Pixels of the photo under the tiles."""
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in map(self.full, self.tiles))


def snap(low: UInt8Array, photo: UInt8Array, band: float) -> Snapped:
    """Coarse probabilities uint8 [h,w] + photo uint8 [H,W,3] -> alpha uint8 [H,W].

    `band` is how far the edge (probability 128) may move, in pixels of `low`; beyond it alpha is 0 or 255.
    """
    height, width = photo.shape[:2]
    hard = (low >= 128).astype(np.uint8)
    size = 2 * max(1, round(band)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inside, outside = cv2.erode(hard, kernel), cv2.dilate(hard, kernel)
    if not outside.any():
        return Snapped(np.zeros((height, width), np.uint8))
    picture = photo
    plan = _plan(low, (inside, outside), picture, band)
    while plan.pixels > BAND_PIXELS:
        shrink = SPARE * (BAND_PIXELS / plan.pixels) ** 0.5
        # Never as far down as the mask: there it needs no photo.
        smaller = (max(8, round(picture.shape[1] * shrink)), max(8, round(picture.shape[0] * shrink)))
        if smaller[0] >= picture.shape[1] and smaller[1] >= picture.shape[0]:
            break
        picture = cv2.resize(photo, smaller, interpolation=cv2.INTER_AREA)
        plan = _plan(low, (inside, outside), picture, band)
    alpha = _solve(plan, inside)
    if picture is not photo:
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)
        alpha[alpha < DUST] = 0
    return Snapped(alpha, plan.pixels, picture.shape[1] / width)


def _plan(low: UInt8Array, sides: tuple[UInt8Array, UInt8Array], photo: UInt8Array, band: float) -> _Plan:
    height, width = photo.shape[:2]
    reach = band * max(width / low.shape[1], height / low.shape[0])
    factor = reach / WORK_RADIUS if reach > 1.5 * WORK_RADIUS else 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if factor > 1.0 else photo
    coarse = cv2.resize(low, size, interpolation=cv2.INTER_LINEAR)
    limits = cv2.resize(cv2.merge(sides) * np.uint8(255), size, interpolation=cv2.INTER_LINEAR)
    columns, rows = pairwise(_bounds(size[0])), list(pairwise(_bounds(size[1])))
    tiles = [(x0, y0, x1, y1) for x0, x1 in columns for y0, y1 in rows if _mixed(limits[y0:y1, x0:x1])]
    return _Plan(photo, small, coarse, limits, max(1, round(WINDOW * reach / factor)), tiles)


def _bounds(length: int) -> list[int]:
    return [*range(0, length, TILE), length]


def _mixed(limits: UInt8Array) -> bool:
    return bool((limits[..., 0] < 255).any() and (limits[..., 1] > 0).any())


def _solve(plan: _Plan, inside: UInt8Array) -> UInt8Array:
    height, width = plan.photo.shape[:2]
    alpha = cv2.resize(inside * np.uint8(255), (width, height), interpolation=cv2.INTER_NEAREST)

    def work(tile: tuple[int, int, int, int]) -> None:
        _tile(plan, tile, alpha)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(work, plan.tiles))
    return alpha


def _tile(plan: _Plan, tile: tuple[int, int, int, int], alpha: UInt8Array) -> None:
    """Solve one tile at work size and write its alpha at full size."""
    work_h, work_w = plan.coarse.shape
    height, width = alpha.shape
    x0, y0, x1, y1 = tile
    # Half of what the last pixel depends on: the rest has no weight worth computing.
    margin = 2 * plan.radius + 2
    left, top, right, bottom = max(0, x0 - margin), max(0, y0 - margin), min(work_w, x1 + margin), min(work_h, y1 + margin)
    guide = plan.small[top:bottom, left:right].astype(np.float32) * np.float32(1 / 255)
    values = plan.coarse[top:bottom, left:right].astype(np.float32) * np.float32(1 / 255)
    model = coefficients(guide, values, plan.radius)
    fx0, fy0, fx1, fy1 = plan.full(tile)
    size = (fx1 - fx0, fy1 - fy0)
    scale_x, scale_y = work_w / width, work_h / height
    matrix = np.array([[scale_x, 0.0, (fx0 + 0.5) * scale_x - 0.5 - left], [0.0, scale_y, (fy0 + 0.5) * scale_y - 0.5 - top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(model, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    bounds = cv2.warpAffine(plan.limits[top:bottom, left:right], matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    *weights, offset = cv2.split(fine)
    for weight, colour in zip(weights, cv2.split(plan.photo[fy0:fy1, fx0:fx1]), strict=True):
        offset += cv2.multiply(weight, colour, scale=1 / 255, dtype=cv2.CV_32F)
    answer = (offset - np.float32(0.5)) * np.float32(255 * STEEPNESS) + np.float32(127.5)
    answer[answer < DUST] = 0
    answer[answer > 255 - DUST] = 255
    result = np.clip(answer, 0, 255).astype(np.uint8)
    result[bounds[..., 0] > 127] = 255
    result[bounds[..., 1] <= 127] = 0
    alpha[fy0:fy1, fx0:fx1] = result
