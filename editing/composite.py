"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import cv2
import numpy as np

from editing.color import decode_scene, encode_scene
from editing.field import Tile
from editing.fringe import MOST, repaint
from editing.surface import Surface
from imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Small enough that a tile's working arrays stay in the core's cache.
TILE_SIDE = 192
# A small photo has more edge for its area, and needs tiles for all cores: smaller ones, but not so small that their number costs more.
SMALL_BOX, SMALL_TILE_SIDE = 1_500_000, 128
# Colours of surface and surroundings that differ by less than this (distance over the brighter one) cannot tell the one's share in a
# pixel, and that surely can; a pixel further from the line between both than this share of their distance is a third thing.
ALIKE, DIFFERENT = 0.1, 0.35
OFF_LINE = 0.25
# Less than this of the surface is noise.
FAINT = 0.02


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
    around = np.concatenate(surroundings(surface), axis=2)

    def work(tile: Tile) -> None:
        alpha = surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1]
        if not alpha.any():
            return
        wide = tile.grown(painter.margin)
        kept = (slice(tile.y0 - wide.y0, tile.y1 - wide.y0), slice(tile.x0 - wide.x0, tile.x1 - wide.x0))
        codes = source[wide.y0 : wide.y1, wide.x0 : wide.x1]
        view = result[tile.y0 : tile.y1, tile.x0 : tile.x1]
        beside = tile.grown(1)
        if int(alpha.min()) == 255 and int(surface.whole[beside.y0 : beside.y1, beside.x0 : beside.x1].min()) == 255:
            view[:] = painter.paint_solid(wide, codes)[kept]
            return
        cover = surface.alpha[wide.y0 : wide.y1, wide.x0 : wide.x1]
        linear = decode_scene(codes)
        # Everything about mixed pixels is done on lists of them: they are a tenth of the tile.
        rows, columns = np.nonzero(rim_of(surface, wide))
        fore, back = np.split(sample(around, wide, rows, columns), 2, axis=1)
        was = linear[rows, columns]
        share = shown(was, cover[rows, columns], fore, back)
        own = foreground(was, share, fore, back)
        linear[rows, columns] = own
        new = painter.paint(wide, linear)
        mixed = encode_scene(new)
        painted = new[rows, columns]
        edge = encode_scene(exchange(was, share, (fore, back), own, painted))
        mixed[rows, columns] = repaint(edge, share[:, 0], cover[rows, columns], codes[rows, columns], (fore, back, painted))
        np.copyto(view, mixed[kept], where=(alpha > 0)[..., None])

    for_tiles(x1 - x0, y1 - y0, work)


def foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray) -> FloatArray:
    """The surface's own colour in mixed pixels (Forte, "Approximate fast foreground colour estimation", 2021).

    All scene-linear float32 [n,3], `share` [n,1]: matte 0..1; `fore` and `back`: smooth colours of surface and surroundings.
    """
    return np.maximum(fore + share * (linear - share * fore - (1.0 - share) * back), 0.0)


def exchange(
    linear: FloatArray, share: FloatArray, colours: tuple[FloatArray, FloatArray], own: FloatArray, painted: FloatArray
) -> FloatArray:
    """Mixed pixels with the surface's `own` colour exchanged for the `painted` one; arrays as for `foreground`, `colours` are `fore` and
    `back`.

    What the two colours do not explain of a pixel is partly the surface's (in `own`), partly what lies behind it, and partly the mask's
    error: that last part goes as far as the edit makes the surface darker, or a white surface's error would outshine a black one's.
    """
    fore, back = colours
    rest = linear - share * fore - (1.0 - share) * back
    behind = np.maximum(back + (1.0 - share) * rest, 0.0)
    kept = np.clip(painted / np.maximum(own, 1e-4), 0.0, 1.0)
    return np.maximum(share * painted + (1.0 - share) * behind + 2.0 * share * (1.0 - share) * kept * rest, 0.0)


def rim_of(surface: Surface, tile: Tile) -> BoolArray:
    """Pixels of a tile of a surface that may be mixed with what lies around the concept: touched, and not deep in it; bool [h,w]."""
    near = tile.grown(1)
    least = cv2.erode(surface.whole[near.y0 : near.y1, near.x0 : near.x1], np.ones((3, 3), np.uint8))
    inside = least[tile.y0 - near.y0 :, tile.x0 - near.x0 :][: tile.y1 - tile.y0, : tile.x1 - tile.x0]
    return (inside < 255) & (surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1] > 0)


def shown(linear: FloatArray, alpha: UInt8Array, fore: FloatArray, back: FloatArray, *, more: bool = False) -> FloatArray:
    """The surface's share of mixed pixels, float32 [n,1]: the matte's (`alpha` uint8 [n]), corrected by what the photo shows there.

    A mask is off by a pixel here and there. Where it claims more of a bright surface than a pixel holds, taking that much out would leave
    less than no light. `more`: also where it claims less, for a cut-out, in which the old colour would stay as a seam. (A new colour must
    not spread so: what looks like the surface right beside it may be another thing.) Colours as for `foreground`.
    """
    tail = alpha < len(MOST)
    share = np.where(tail, np.float32(0), alpha * np.float32(1 / 255))
    axis, here = fore - back, linear - back
    square = np.maximum(np.einsum("nc,nc->n", axis, axis), 1e-8)
    seen = np.einsum("nc,nc->n", here, axis) / square
    rest = here - seen[:, None] * axis
    off = np.sqrt(np.einsum("nc,nc->n", rest, rest) / square)
    bright = np.maximum(np.einsum("nc,nc->n", fore, fore), np.einsum("nc,nc->n", back, back))
    contrast = np.sqrt(square / np.maximum(bright, 1e-8))
    trust = np.clip((contrast - ALIKE) / (DIFFERENT - ALIKE), 0.0, 1.0) * np.clip(2.0 - off / OFF_LINE, 0.0, 1.0)
    limit = np.where(tail, MOST[np.where(tail, alpha, 0)], np.float32(1)) if more else share
    share = share + trust * (np.clip(seen, 0.0, limit) - share)
    share[share < FAINT] = 0.0
    return share[:, None].astype(np.float32)


def sample(field: FloatArray, tile: Tile, rows: IntArray, columns: IntArray) -> FloatArray:
    """What `editing.field.upsample` answers at some pixels of the tile: a small field [hs,ws,c] -> [n,c], bilinear."""
    height, width = field.shape[:2]
    y = np.clip((rows + (tile.y0 + 0.5)) * (height / tile.height) - 0.5, 0.0, height - 1.0)
    x = np.clip((columns + (tile.x0 + 0.5)) * (width / tile.width) - 0.5, 0.0, width - 1.0)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, over = (y - top).astype(np.float32)[:, None], (x - left).astype(np.float32)[:, None]
    upper = field[top, left] + (field[top, right] - field[top, left]) * over
    lower = field[bottom, left] + (field[bottom, right] - field[bottom, left]) * over
    return upper + (lower - upper) * down


def surroundings(surface: Surface) -> tuple[FloatArray, FloatArray]:
    """The surface's colour and its surroundings' near the edge, extended over it: float32 [hs/2,ws/2,3] scene-linear each."""
    hs, ws = surface.small.shape[:2]
    # These fields are smooth, so half the work resolution is enough.
    size = (max(1, ws // 2), max(1, hs // 2))
    small = cv2.resize(surface.small, size, interpolation=cv2.INTER_AREA)
    alpha, whole = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (surface.alpha, surface.whole))
    # Outside the matte's tail: the fringe has the surface's colour in it.
    return _extend(small, alpha >= 250), _extend(small, whole == 0)


def _extend(small: FloatArray, known: BoolArray) -> FloatArray:
    weight = known.astype(np.float32)
    # Far from all that is known, its mean.
    total = np.full_like(small, 1e-9) * (small[known].mean(axis=0) if known.any() else small.mean(axis=(0, 1)))
    mass = np.full(weight.shape, 1e-9, np.float32)
    for size, share in ((3, 1.0), (9, 1e-2), (31, 1e-4)):
        mass += share * cv2.blur(weight, (size, size))
        total += share * cv2.blur(small * weight[..., None], (size, size))
    return total / mass[..., None]
