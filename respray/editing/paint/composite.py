"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from respray.editing.core.codes import encode_scene
from respray.editing.core.color import decode_scene
from respray.editing.core.compiled import CORES
from respray.editing.core.field import Tile
from respray.editing.mask.fringe import TAIL, repaint
from respray.editing.paint.edges import (
    RIM_BESIDE,
    behind,
    colour_of,
    exchange,
    foreground,
    rim_of,
    sample,
    shown,
    shown_softly,
    surroundings,
)
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

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
    """Mixed pixels of a painted surface beside another one: `at` int [n] (index into its box, row by row), how much of each is something
    else (`rest` float32 [n]), what that looks like (`behind` scene-linear float32 [n,3]), and what its surroundings look like (`around`).
    `codes` uint8 [n,3]: what the pixels were when they were last settled.
    """

    at: IntArray
    rest: FloatArray
    behind: FloatArray
    around: FloatArray
    codes: UInt8Array | None = None


@dataclass(frozen=True)
class Before:
    """What a surface is painted from: `picture` uint8 [H,W,3]. `own`: the surface looks as in the photo there; `around`: what lies around
    it does."""

    picture: UInt8Array
    own: bool = True
    around: bool = True


def composite(
    before: Before, target: UInt8Array, surface: Surface, painter: Painter, *, beside: BoolArray | None = None
) -> list[Seam]:
    """Paint `surface` into `target` (uint8 [H,W,3], in place). Pixels with alpha 0 are not written; under a wide soft edge the difference
    that the paint makes is added.

    `beside` bool [h,w] (of its box): near to another surface that is edited too; the mixed pixels there are returned, for `rejoin`.
    """
    x0, y0, x1, y1 = surface.box
    source, result = before.picture[y0:y1, x0:x1], target[y0:y1, x0:x1]
    inner = colour_of(surface, None if before.own else source)
    outer = surroundings(surface, None if before.around else source)
    seams: list[Seam] = []

    def work(tile: Tile) -> None:
        place = (slice(tile.y0, tile.y1), slice(tile.x0, tile.x1))
        alpha, view = surface.alpha[place], result[place]
        if not alpha.any():
            return
        wide = tile.grown(painter.margin)
        around = (slice(wide.y0, wide.y1), slice(wide.x0, wide.x1))
        kept = (slice(tile.y0 - wide.y0, tile.y1 - wide.y0), slice(tile.x0 - wide.x0, tile.x1 - wide.x0))
        codes = source[around]
        linear = decode_scene(codes)
        # Everything about mixed pixels is done on lists of them: they are a tenth of the tile.
        rim = rim_of(surface, wide)
        if beside is not None:
            rim |= rim_of(surface, wide, RIM_BESIDE) & beside[around]
        at = np.flatnonzero(rim)
        rows, columns = np.divmod(at, rim.shape[1])
        cover = np.take(surface.alpha[around], at)
        fore, back = (sample(colour, wide, rows, columns) for colour in (inner, outer))
        pixels = linear.reshape(-1, 3)
        was = np.take(pixels, at, axis=0)
        if surface.hard is None:
            share = shown(was, cover, fore, back)
        else:
            photo = linear.copy()
            strength = surface.alpha[around].astype(np.float32) / np.float32(255)
            hard = np.take(surface.hard[around], at)
            share, strength.ravel()[at] = shown_softly(was, cover, hard, fore, back)
        own = foreground(was, share, fore, back)
        pixels[at] = own
        new = painter.paint(wide, linear)
        painted = np.take(new.reshape(-1, 3), at, axis=0)
        edge = exchange(was, share, (fore, back), own, painted)
        if surface.hard is not None:
            new.reshape(-1, 3)[at] = edge
            change = (strength[..., None] * (new - photo))[kept]
            cv2.copyTo(encode_scene(np.maximum(decode_scene(view) + change, np.float32(0))), alpha, view)
            return
        mixed = encode_scene(new)
        fringe = (fore, back, own, painted)
        mixed.reshape(-1, 3)[at] = repaint(encode_scene(edge), share, cover, np.take(codes.reshape(-1, 3), at, axis=0), fringe)
        cv2.copyTo(mixed[kept], alpha, view)
        if beside is not None:
            rest = np.float32(1) - share
            rows, columns = rows + wide.y0, columns + wide.x0
            # The tail is no part of the surface.
            mine = (rest > 0) & (cover > max(TAIL)) & _within(tile, rows, columns) & beside[rows, columns]
            places = (rows * tile.width + columns)[mine]
            seams.append(Seam(places, rest[mine], behind(was[mine], share[mine], fore[mine], back[mine]), back[mine]))

    for_tiles(x1 - x0, y1 - y0, work)
    return seams


def rejoin(target: UInt8Array, surface: Surface, seams: list[Seam]) -> list[Seam]:
    """Give the mixed pixels of a painted `surface` the new colour of what lies around it, where that was edited too (in `target` uint8
    [H,W,3], in place); the seams as they are then.

    A pixel between a wall and a floor belongs to one of their mattes: without this it kept the other one's old colour, a bright line
    between two that were both made dark.
    """
    x0, y0, x1, y1 = surface.box
    picture = target[y0:y1, x0:x1]
    around = surroundings(surface, picture)
    height, width = picture.shape[:2]
    whole = Tile(0, 0, width, height, width, height)
    return [_rejoined(picture, seam, sample(around, whole, *np.divmod(seam.at, width))) for seam in seams]


def _rejoined(picture: UInt8Array, seam: Seam, now: FloatArray) -> Seam:
    """One seam, with surroundings that look like `now` [n,3]."""
    # What got darker takes its light and shade down with it; what got brighter must not bring its noise up.
    new = seam.behind * np.minimum(now / np.maximum(seam.around, LEAST_LIGHT), 1.0) + np.maximum(now - seam.around, 0.0)
    # What looks like neither of the two, a lamp in the ceiling, stays.
    brighter = np.maximum(np.maximum(seam.behind, seam.around).max(axis=1), LEAST_LIGHT)
    alike = np.clip(2.0 - np.abs(seam.behind - seam.around).max(axis=1) / brighter / STRANGE, 0.0, 1.0)
    alike[np.abs(now - seam.around).max(axis=1) < LEAST_CHANGE] = 0.0
    place = np.divmod(seam.at, picture.shape[1])
    if seam.codes is not None:
        # What has been filled in since is no edge of this surface any more.
        alike[(picture[place] != seam.codes).any(axis=1)] = 0.0
    change = alike[:, None] * (new - seam.behind)
    changed = alike > 0
    rows, columns = np.divmod(seam.at[changed], picture.shape[1])
    linear = decode_scene(picture[rows, columns]) + (seam.rest[:, None] * change)[changed]
    picture[rows, columns] = encode_scene(np.maximum(linear, np.float32(0)))
    return replace(seam, behind=(seam.behind + change).astype(np.float32), around=now, codes=picture[place])


def _within(tile: Tile, rows: IntArray, columns: IntArray) -> BoolArray:
    return (rows >= tile.y0) & (rows < tile.y1) & (columns >= tile.x0) & (columns < tile.x1)
