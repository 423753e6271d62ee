"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from editing.codes import encode_scene
from editing.color import decode_scene
from editing.compiled import CORES
from editing.edges import RIM_BESIDE, behind, colour_of, exchange, foreground, rim_of, sample, shown, surroundings
from editing.field import Tile
from editing.fringe import repaint
from editing.surface import Surface
from imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Large enough that the margins around tiles cost little, small enough that all cores have some.
TILE_SIDE = 256
# Surroundings whose colour changed by less than this (scene-linear) were not edited.
LEAST_CHANGE = 2e-3
LEAST_LIGHT = np.float32(1e-4)
# A colour this far (share of the brighter one) from the surroundings' is something else, surely at twice as far.
STRANGE = 0.4


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


@dataclass(frozen=True)
class Seam:
    """Mixed pixels of a painted surface: `at` int [n] (index into its box, row by row), how much of each is something else (`rest`
    float32 [n]), and what that looked like (`behind` scene-linear float32 [n,3])."""

    at: IntArray
    rest: FloatArray
    behind: FloatArray


def composite(
    photo: UInt8Array,
    target: UInt8Array,
    surface: Surface,
    painter: Painter,
    *,
    again: bool = False,
    beside: BoolArray | None = None,
    seams: list[Seam] | None = None,
) -> None:
    """Paint `surface` of `photo` (uint8 [H,W,3]) into `target` (same shape, in place). Pixels with alpha 0 are not written.

    `again`: the surface was painted before, so that it has another colour in `photo` than `surface` says. `beside` bool [h,w] (of its box):
    near to another surface that is edited too; `seams` takes the mixed pixels there, for `rejoin`.
    """
    x0, y0, x1, y1 = surface.box
    source, result = photo[y0:y1, x0:x1], target[y0:y1, x0:x1]
    around = (colour_of(surface, source if again else None), surroundings(surface))

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
        if beside is not None:
            rim |= rim_of(surface, wide, RIM_BESIDE) & beside[wide.y0 : wide.y1, wide.x0 : wide.x1]
        at = np.flatnonzero(rim)
        rows, columns = np.divmod(at, rim.shape[1])
        cover = np.take(surface.alpha[wide.y0 : wide.y1, wide.x0 : wide.x1], at)
        fore, back = (sample(colour, wide, rows, columns) for colour in around)
        pixels = linear.reshape(-1, 3)
        was = np.take(pixels, at, axis=0)
        share, strength = shown(was, cover, fore, back, soft=surface.soft)
        own = foreground(was, share, fore, back)
        pixels[at] = own
        new = painter.paint(wide, linear)
        mixed = encode_scene(new)
        painted = np.take(new.reshape(-1, 3), at, axis=0)
        edge = exchange(was, share, (fore, back), own, painted)
        if surface.soft:
            mixed.reshape(-1, 3)[at] = encode_scene(was + strength[:, None] * (edge - was))
        else:
            fringe = (fore, back, own, painted)
            mixed.reshape(-1, 3)[at] = repaint(encode_scene(edge), share, cover, np.take(codes.reshape(-1, 3), at, axis=0), fringe)
        cv2.copyTo(mixed[kept], alpha, view)
        if seams is not None and beside is not None:
            rest = np.float32(1) - share
            rows, columns = rows + wide.y0, columns + wide.x0
            mine = (rest > 0) & _within(tile, rows, columns) & beside[rows, columns]
            places = (rows * tile.width + columns)[mine]
            seams.append(Seam(places, rest[mine], behind(was[mine], share[mine], fore[mine], back[mine])))

    for_tiles(x1 - x0, y1 - y0, work)


def rejoin(target: UInt8Array, surface: Surface, seams: list[Seam]) -> None:
    """Give the mixed pixels of a painted `surface` the new colour of what lies around it, where that was edited too (in `target` uint8
    [H,W,3], in place).

    A pixel between a wall and a floor belongs to one of their mattes: without this it kept the other one's old colour, a bright line
    between two that were both made dark.
    """
    x0, y0, x1, y1 = surface.box
    picture = target[y0:y1, x0:x1]
    before, after = surroundings(surface), surroundings(surface, picture)
    if float(np.abs(after - before).max()) < LEAST_CHANGE:
        return
    height, width = picture.shape[:2]
    whole = Tile(0, 0, width, height, width, height)
    for seam in seams:
        rows, columns = np.divmod(seam.at, width)
        was, now = (sample(field, whole, rows, columns) for field in (before, after))
        # What got darker takes its light and shade down with it; what got brighter must not bring its noise up.
        new = seam.behind * np.minimum(now / np.maximum(was, LEAST_LIGHT), 1.0) + np.maximum(now - was, 0.0)
        # What looks like neither of the two, a lamp in the ceiling, stays.
        strange = np.abs(seam.behind - was).max(axis=1) / np.maximum(np.maximum(seam.behind, was).max(axis=1), LEAST_LIGHT)
        share = seam.rest * np.clip(2.0 - strange / STRANGE, 0.0, 1.0)
        chosen = share > 0
        rows, columns = rows[chosen], columns[chosen]
        linear = decode_scene(picture[rows, columns]) + (share[:, None] * (new - seam.behind))[chosen]
        picture[rows, columns] = encode_scene(np.maximum(linear, np.float32(0)))


def _within(tile: Tile, rows: IntArray, columns: IntArray) -> BoolArray:
    return (rows >= tile.y0) & (rows < tile.y1) & (columns >= tile.x0) & (columns < tile.x1)
