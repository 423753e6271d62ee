"""Moves a coarse mask's edge to the photo's edge: a colour-guided filter in a narrow band, tile by tile.

The filter (see `guided_filter`) is solved at a reduced size and its linear coefficients are applied to the photo at full size (He, Sun,
"Fast Guided Filter", 2015): the edge is as sharp as the photo, and the cost depends on the edge's length only. A mask that is undecided
everywhere is all edge; its band is worked on at the size at which it has at most so many pixels (`UpsampleParameters.max_pixels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import cv2
import numpy as np
from numba import float32, float64, int64, uint8, void
from numba.core.types import UniTuple

from respray.editing.core.compiled import CORES, compiled_for, read_only
from respray.editing.core.field import between_cells
from respray.editing.core.reduce import Reduced, average
from respray.editing.mask.guided_filter import FilterParameters, coefficients
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# x0, y0, x1, y1, half open.
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class UpsampleParameters:
    """At which size and in which pieces an edge is solved.

    Not refitted: chosen by hand, the first three and the steepness on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md),
    the tiles and the limit by time.
    """

    work_radius: float = 5.0
    """The filter is solved at the size where the band is about this many pixels wide on each side."""
    window_ratio: float = 2.2
    """Its windows are wider than the band by this factor, so that they see both sides of an edge that is off."""
    steepness: float = 3.0
    """The filter's answer is made steeper by this factor: a photo's edge is one or two pixels wide."""
    dust: int = 6
    """Alpha (0..255) this close to 0 or 255 is rounded to it, so that "outside" means untouched."""
    tile_side: int = 64
    """Tiles have this many work pixels a side ..."""
    max_joined: int = 4
    """... and up to so many of them side by side are solved as one, which spares the margins between them."""
    max_pixels: int = 6_000_000
    """Pixels of the photo that one matte may work on, whatever the mask and the photo's size. A decided mask of a 12-megapixel room has two
    to four million, which take 0.15 to 0.3 seconds on two cores."""
    spare: float = 0.95
    """A reduced band is aimed at this share of the limit: tiles have whole pixels."""
    filter: FilterParameters = field(default_factory=FilterParameters)
    """Of the guided filter."""


@dataclass(frozen=True)
class Upsampled:
    """What `guided_upsample` answers.

    Attributes:
        alpha: uint8 [H,W], 0..255.
        pixels: how many pixels of the photo were worked on.
        detail: the size they were worked on at, over the photo's, 0..1.
        edges: parts of the photo outside which there is no edge.
    """

    alpha: UInt8Array
    pixels: int = 0
    detail: float = 1.0
    edges: Sequence[Rectangle] = ()


@dataclass(frozen=True)
class _Plan:
    """What the tiles share: photo, low-resolution fields at work size (see `guided_upsample`), window radius; tiles with an edge and those
    that are wholly inside, in work pixels."""

    photo: UInt8Array
    small: UInt8Array
    coarse: UInt8Array
    limits: UInt8Array
    radius: int
    tiles: list[Rectangle]
    inside: list[Rectangle]
    parameters: UpsampleParameters

    def full(self, tile: Rectangle) -> Rectangle:
        """A tile in pixels of the photo."""
        (height, width), (work_h, work_w) = self.photo.shape[:2], self.coarse.shape
        x0, y0, x1, y1 = tile
        return x0 * width // work_w, y0 * height // work_h, x1 * width // work_w, y1 * height // work_h

    @property
    def pixels(self) -> int:
        """Pixels of the photo under the tiles."""
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in map(self.full, self.tiles))


def guided_upsample(
    low: UInt8Array,
    photo: UInt8Array,
    band: float,
    parameters: UpsampleParameters = UpsampleParameters(),
    reduced: Reduced | None = None,
) -> Upsampled:
    """Enlarge coarse probabilities to the photo's size, and move their edge to the photo's.

    Args:
        low: uint8 [h,w], 255 = certainly inside.
        photo: uint8 [H,W,3], sRGB.
        band: how far the edge (probability 128) may move, in pixels of `low`; beyond it alpha is 0 or 255.
        parameters: of the work.
        reduced: of the photo, where several masks of it are enlarged.

    Returns:
        Alpha at the photo's size, and what it took.
    """
    p = parameters
    height, width = photo.shape[:2]
    hard = (low >= 128).astype(np.uint8)
    size = 2 * max(1, round(band)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inside, outside = cast(UInt8Array, cv2.erode(hard, kernel)), cast(UInt8Array, cv2.dilate(hard, kernel))
    if not outside.any():
        return Upsampled(np.zeros((height, width), np.uint8))
    picture = photo
    plan = _plan(low, (inside, outside), reduced or Reduced(photo), band, p)
    while plan.pixels > p.max_pixels:
        shrink = p.spare * (p.max_pixels / plan.pixels) ** 0.5
        # Never as far down as the mask: there it needs no photo.
        smaller = (max(8, round(picture.shape[1] * shrink)), max(8, round(picture.shape[0] * shrink)))
        if smaller[0] >= picture.shape[1] and smaller[1] >= picture.shape[0]:
            break
        picture = average(photo, smaller)
        plan = _plan(low, (inside, outside), Reduced(picture), band, p)
    alpha, edges = _solve(plan), [plan.full(tile) for tile in plan.tiles]
    if picture is not photo:
        alpha, edges = cast(UInt8Array, cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR)), [(0, 0, width, height)]
        alpha[alpha < p.dust] = 0
    return Upsampled(alpha, plan.pixels, picture.shape[1] / width, edges)


def _plan(low: UInt8Array, sides: tuple[UInt8Array, UInt8Array], reduced: Reduced, band: float, parameters: UpsampleParameters) -> _Plan:
    p, photo = parameters, reduced.picture
    height, width = photo.shape[:2]
    reach = band * max(width / low.shape[1], height / low.shape[0])
    factor = reach / p.work_radius if reach > 1.5 * p.work_radius else 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = reduced.at(size)
    coarse = cast(UInt8Array, cv2.resize(low, size, interpolation=cv2.INTER_LINEAR))
    limits = cast(UInt8Array, cv2.resize(cv2.merge(sides) * np.uint8(255), size, interpolation=cv2.INTER_LINEAR))
    return _Plan(photo, small, coarse, limits, max(1, round(p.window_ratio * reach / factor)), *_tiles(limits, p), p)


def _tiles(limits: UInt8Array, parameters: UpsampleParameters) -> tuple[list[Rectangle], list[Rectangle]]:
    """Tiles that the edge may lie in, of which some side by side are one; and those that are wholly inside."""
    side = parameters.tile_side
    height, width = limits.shape[:2]
    tiles: list[Rectangle] = []
    whole: list[Rectangle] = []
    mixed, inside = _mixed(limits, side)
    for row, (y0, y1) in enumerate(pairwise(_bounds(height, side))):
        for column, (x0, x1) in enumerate(pairwise(_bounds(width, side))):
            if inside[row, column]:
                whole.append((x0, y0, x1, y1))
            if not mixed[row, column]:
                continue
            if tiles and tiles[-1][1:3] == (y0, x0) and x0 - tiles[-1][0] < parameters.max_joined * side:
                tiles[-1] = (tiles[-1][0], y0, x1, y1)
            else:
                tiles.append((x0, y0, x1, y1))
    trimmed = [_trimmed(limits, tile) for tile in tiles]
    for tile, (left, top, right, bottom) in zip(tiles, trimmed, strict=True):
        x0, y0, x1, y1 = tile
        strips = (x0, y0, x1, top), (x0, bottom, x1, y1), (x0, top, left, bottom), (right, top, x1, bottom)
        whole += [strip for strip in strips if strip[0] < strip[2] and strip[1] < strip[3] and limits[strip[1], strip[0], 0] == 255]
    return trimmed, whole


def _trimmed(limits: UInt8Array, tile: Rectangle) -> Rectangle:
    """The part of a tile in which there is an edge, and a pixel around it: what is left of it lies inside or outside."""
    x0, y0, x1, y1 = tile
    part = limits[y0:y1, x0:x1]
    mixed = (part[..., 0] < 255) & (part[..., 1] > 0)
    x, y, width, height = cv2.boundingRect(mixed.view(np.uint8))
    return max(x0, x0 + x - 1), max(y0, y0 + y - 1), min(x1, x0 + x + width + 1), min(y1, y0 + y + height + 1)


def _bounds(length: int, side: int) -> list[int]:
    return [*range(0, length, side), length]


def _mixed(limits: UInt8Array, side: int) -> tuple[BoolArray, BoolArray]:
    """Which tiles of so many pixels a side are neither wholly inside nor wholly outside, and which are inside: bool [rows,columns] each."""
    # Down first and row by row, which are vector instructions: `reduceat` alone takes twenty times as long.
    bands, lefts = [limits[top : top + side] for top in range(0, limits.shape[0], side)], np.arange(0, limits.shape[1], side)
    least = np.minimum.reduceat(np.stack([band.min(axis=0) for band in bands]), lefts, axis=1)
    most = np.maximum.reduceat(np.stack([band.max(axis=0) for band in bands]), lefts, axis=1)
    inside: BoolArray = least[..., 0] == 255
    return ~inside & (most[..., 1] > 0), inside


def _solve(plan: _Plan) -> UInt8Array:
    alpha = np.zeros(plan.photo.shape[:2], np.uint8)
    for x0, y0, x1, y1 in map(plan.full, plan.inside):
        alpha[y0:y1, x0:x1] = 255

    def work(tile: Rectangle) -> None:
        _tile(plan, tile, alpha)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, plan.tiles))
    return alpha


def _tile(plan: _Plan, tile: Rectangle, alpha: UInt8Array) -> None:
    """Solve one tile at work size and write its alpha at full size."""
    work_h, work_w = plan.coarse.shape
    height, width = alpha.shape
    x0, y0, x1, y1 = tile
    # Half of what the last pixel depends on: the rest has no weight worth computing.
    margin = 2 * plan.radius + 2
    left, top, right, bottom = max(0, x0 - margin), max(0, y0 - margin), min(work_w, x1 + margin), min(work_h, y1 + margin)
    guide, values = (
        np.multiply(field[top:bottom, left:right], np.float32(1 / 255), dtype=np.float32) for field in (plan.small, plan.coarse)
    )
    model = coefficients(guide, values, plan.radius, plan.parameters.filter)
    scales = (work_h / height, work_w / width)
    steepness = np.float32(255 * plan.parameters.steepness)
    limits = plan.limits[top:bottom, left:right]
    _enlarge(model, limits, (top, left), scales, plan.photo, plan.full(tile), steepness, plan.parameters.dust, alpha)


@compiled_for(
    void(
        float32[:, :, ::1],
        uint8[:, :, :],
        UniTuple(int64, 2),
        UniTuple(float64, 2),
        read_only(uint8[:, :, :]),
        UniTuple(int64, 4),
        float32,
        int64,
        uint8[:, ::1],
    )
)
def _enlarge(
    model: FloatArray,
    limits: UInt8Array,
    corner: tuple[int, int],
    scales: tuple[float, float],
    photo: UInt8Array,
    tile: Rectangle,
    steepness: np.float32,
    dust: int,
    alpha: UInt8Array,
) -> None:
    """Apply a model at full size: alpha of `tile` (in pixels of the photo uint8 [H,W,3]) into `alpha` uint8 [H,W].

    `model` float32 [4,h,w]: three colour weights and offset at work size, `limits` uint8 [h,w,2] between which they count; `corner` (row,
    column) their place there, `scales` (down, across) the work size over the photo's. They are stretched bilinearly. `steepness`: in
    codes; `dust`: see `UpsampleParameters`.
    """
    rows, columns = limits.shape[:2]
    x0, y0, x1, y1 = tile
    first, _, _ = between_cells((x0 + 0.5) * scales[1] - 0.5 - corner[1], columns)
    _, last, _ = between_cells((x1 - 0.5) * scales[1] - 0.5 - corner[1], columns)
    line = np.empty((last - first + 1, 6), np.float32)
    count = x1 - x0
    befores, afters, ways = np.empty(count, np.uint32), np.empty(count, np.uint32), np.empty(count, np.float32)
    for i in range(count):
        left, right, over = between_cells((x0 + i + 0.5) * scales[1] - 0.5 - corner[1], columns)
        befores[i], afters[i], ways[i] = left - first, right - first, over
    for y in range(y0, y1):
        upper, lower, way = between_cells((y + 0.5) * scales[0] - 0.5 - corner[0], rows)
        down = np.float32(way)
        for i in range(len(line)):
            for k in range(4):
                value = model[k, upper, first + i]
                line[i, k] = value + (model[k, lower, first + i] - value) * down
            for k in range(2):
                limit = np.float32(limits[upper, first + i, k])
                line[i, 4 + k] = limit + (np.float32(limits[lower, first + i, k]) - limit) * down
        seen, shown = photo[y, x0:x1], alpha[y, x0:x1]
        for x in range(count):
            before, after, over = befores[x], afters[x], ways[x]
            if line[before, 4] + (line[after, 4] - line[before, 4]) * over >= np.float32(127.5):
                shown[x] = 255
                continue
            if line[before, 5] + (line[after, 5] - line[before, 5]) * over < np.float32(127.5):
                shown[x] = 0
                continue
            answer = line[before, 3] + (line[after, 3] - line[before, 3]) * over
            for c in range(3):
                weight = line[before, c] + (line[after, c] - line[before, c]) * over
                answer += weight * (seen[x, c] * np.float32(1 / 255))
            answer = (answer - np.float32(0.5)) * steepness + np.float32(127.5)
            if answer < dust:
                shown[x] = 0
            elif answer > 255 - dust:
                shown[x] = 255
            else:
                shown[x] = int(answer)
