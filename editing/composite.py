"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import cv2
import numpy as np

from editing.codes import encode_scene
from editing.color import decode_scene
from editing.compiled import CORES
from editing.edges import exchange, foreground, rim_of, sample, shown, surroundings
from editing.field import Tile
from editing.fringe import repaint
from editing.surface import Surface
from imaging.arrays import FloatArray, UInt8Array

# Large enough that the margins around tiles cost little, small enough that all cores have some.
TILE_SIDE = 256


class Painter(Protocol):
    """A rule prepared for one surface. It is given `margin` more pixels on every side than are used of its answer."""

    margin: int

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """The surface's own colours in `tile`, scene-linear float32 [h,w,3] -> their new colours."""


def for_tiles(width: int, height: int, work: Callable[[Tile], None]) -> None:
    """Call `work` for tiles that cover a box, on all cores. Exceptions pass through."""
    starts = [(x, y) for y in range(0, height, TILE_SIDE) for x in range(0, width, TILE_SIDE)]
    tiles = [Tile(x, y, min(width, x + TILE_SIDE), min(height, y + TILE_SIDE), width, height) for x, y in starts]
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, tiles))


def composite(photo: UInt8Array, target: UInt8Array, surface: Surface, painter: Painter) -> None:
    """Paint `surface` of `photo` (uint8 [H,W,3]) into `target` (same shape, in place). Pixels with alpha 0 are not written."""
    x0, y0, x1, y1 = surface.box
    source, result = photo[y0:y1, x0:x1], target[y0:y1, x0:x1]
    around = surroundings(surface)

    def work(tile: Tile) -> None:
        alpha = surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1]
        if not alpha.any():
            return
        wide = tile.grown(painter.margin)
        kept = (slice(tile.y0 - wide.y0, tile.y1 - wide.y0), slice(tile.x0 - wide.x0, tile.x1 - wide.x0))
        codes = source[wide.y0 : wide.y1, wide.x0 : wide.x1]
        view = result[tile.y0 : tile.y1, tile.x0 : tile.x1]
        linear = decode_scene(codes)
        # Everything about mixed pixels is done on lists of them: they are a tenth of the tile.
        rim = rim_of(surface, wide)
        at = np.flatnonzero(rim)
        rows, columns = np.divmod(at, rim.shape[1])
        cover = np.take(surface.alpha[wide.y0 : wide.y1, wide.x0 : wide.x1], at)
        fore, back = (sample(colour, wide, rows, columns) for colour in around)
        pixels = linear.reshape(-1, 3)
        was = np.take(pixels, at, axis=0)
        share = shown(was, cover, fore, back)
        own = foreground(was, share, fore, back)
        pixels[at] = own
        new = painter.paint(wide, linear)
        mixed = encode_scene(new)
        painted = np.take(new.reshape(-1, 3), at, axis=0)
        edge = encode_scene(exchange(was, share, (fore, back), own, painted))
        mixed.reshape(-1, 3)[at] = repaint(edge, share, cover, np.take(codes.reshape(-1, 3), at, axis=0), (fore, back, painted))
        cv2.copyTo(mixed[kept], alpha, view)

    for_tiles(x1 - x0, y1 - y0, work)
