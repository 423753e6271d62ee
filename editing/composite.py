"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import cv2
import numpy as np

from editing.color import decode_scene, encode_scene
from editing.field import Tile, upsample
from editing.surface import Surface
from imaging.arrays import BoolArray, FloatArray, UInt8Array

# Small enough that a tile's working arrays stay in the core's cache.
TILE_SIDE = 192
# A small photo has more edge for its area: smaller tiles leave more of them without one.
SMALL_BOX, SMALL_TILE_SIDE = 1_500_000, 80


class Painter(Protocol):
    """A rule prepared for one surface. It is given `margin` more pixels on every side than are used of its answer."""

    margin: int

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """The surface's own colours in `tile`, scene-linear float32 [h,w,3] -> their new colours."""

    def paint_solid(self, tile: Tile, codes: UInt8Array) -> UInt8Array:
        """The same for a tile without edges: uint8 sRGB [h,w,3] -> uint8 sRGB."""


def for_tiles(width: int, height: int, work: Callable[[Tile], None]) -> None:
    """Call `work` for tiles that cover a box, on all cores. Exceptions pass through."""
    side = SMALL_TILE_SIDE if width * height < SMALL_BOX else TILE_SIDE
    starts = [(x, y) for y in range(0, height, side) for x in range(0, width, side)]
    tiles = [Tile(x, y, min(width, x + side), min(height, y + side), width, height) for x, y in starts]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(work, tiles))


def composite(photo: UInt8Array, target: UInt8Array, surface: Surface, painter: Painter) -> None:
    """Paint `surface` of `photo` (uint8 [H,W,3]) into `target` (same shape, in place). Pixels with alpha 0 are not written."""
    x0, y0, x1, y1 = surface.box
    source, result = photo[y0:y1, x0:x1], target[y0:y1, x0:x1]
    inner, outer = surroundings(surface)

    def work(tile: Tile) -> None:
        alpha = surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1]
        least, most = int(alpha.min()), int(alpha.max())
        if most == 0:
            return
        wide = tile.grown(painter.margin)
        kept = (slice(tile.y0 - wide.y0, tile.y1 - wide.y0), slice(tile.x0 - wide.x0, tile.x1 - wide.x0))
        codes = source[wide.y0 : wide.y1, wide.x0 : wide.x1]
        view = result[tile.y0 : tile.y1, tile.x0 : tile.x1]
        if least == 255:
            view[:] = painter.paint_solid(wide, codes)[kept]
            return
        linear = decode_scene(codes)
        share = surface.alpha[wide.y0 : wide.y1, wide.x0 : wide.x1].astype(np.float32)[..., None] * np.float32(1 / 255)
        own = foreground(linear, share, upsample(inner, wide), upsample(outer, wide))
        new = painter.paint(wide, own)
        mixed = (linear + (new - own) * share)[kept]
        np.copyto(view, encode_scene(mixed), where=(alpha > 0)[..., None])

    for_tiles(x1 - x0, y1 - y0, work)


def foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray) -> FloatArray:
    """The surface's own colour where pixels are mixed (Forte, "Approximate fast foreground colour estimation", 2021), else the pixel.

    All scene-linear float32 [h,w,3], `share` [h,w,1]: matte 0..1; `fore` and `back`: smooth colours of surface and surroundings.
    """
    mixed = (share > 0.0) & (share < 1.0)
    return np.where(mixed, np.maximum(fore + share * (linear - share * fore - (1.0 - share) * back), 0.0), linear)


def surroundings(surface: Surface) -> tuple[FloatArray, FloatArray]:
    """The surface's colour and its surroundings' near the edge, extended over it: float32 [hs/2,ws/2,3] scene-linear each."""
    hs, ws = surface.small.shape[:2]
    # These fields are smooth, so half the work resolution is enough.
    size = (max(1, ws // 2), max(1, hs // 2))
    small = cv2.resize(surface.small, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(surface.alpha, size, interpolation=cv2.INTER_AREA)
    return _extend(small, alpha >= 250), _extend(small, alpha <= 5)


def _extend(small: FloatArray, known: BoolArray) -> FloatArray:
    weight = known.astype(np.float32)
    total = np.zeros_like(small)
    mass = np.full(weight.shape, 1e-6, np.float32)
    for size, share in ((3, 1.0), (9, 1e-2), (31, 1e-4)):
        mass += share * cv2.blur(weight, (size, size))
        total += share * cv2.blur(small * weight[..., None], (size, size))
    return total / mass[..., None]
