"""Puts a painted surface back into the photo: in scene-linear light, in tiles, on all cores, and only where the matte is above zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numba import boolean, int64, uint8, void
from numba.core.types import Tuple

from respray.editing.core.codes import encode_scene
from respray.editing.core.color import decode_scene
from respray.editing.core.compiled import CORES, compiled_for, read_only
from respray.editing.core.field import Tile, sample
from respray.editing.core.painter import Painter
from respray.editing.core.unmix import MixedPixels, estimate_background, estimate_foreground
from respray.editing.mask.fringe import TAIL
from respray.editing.paint.edges import EDGE, PaintedTile, SharpEdge, edge_of, foreground_field, rim_of
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import AnyArray, BoolArray, FloatArray, IntArray, UInt8Array

# Large enough that the margins around tiles cost little, small enough that all cores have some (pixels).
TILE_SIDE = 256

T = TypeVar("T")


@dataclass(frozen=True)
class SeamParameters:
    """When a mixed pixel beside another edited surface takes that one's new colour.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    min_change: float = 2e-3
    """Surroundings whose colour changed by less (scene-linear, largest channel) were not edited."""
    max_difference: float = 0.4
    """A colour this far (share of the brighter one) from the surroundings' is something else, surely at twice as far."""
    min_light: float = 1e-4
    """Scene-linear value that stands for black where a ratio is taken."""


SEAM = SeamParameters()


def for_tiles(width: int, height: int, work: Callable[[Tile], T]) -> list[T]:
    """What `work` returns of tiles that cover a box of `width` x `height` pixels, in their order, on all cores. Exceptions pass through."""
    starts = [(x, y) for y in range(0, height, TILE_SIDE) for x in range(0, width, TILE_SIDE)]
    tiles = [Tile(x, y, min(width, x + TILE_SIDE), min(height, y + TILE_SIDE), width, height) for x, y in starts]
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(work, tiles))


@dataclass(frozen=True)
class Seam:
    """Mixed pixels of a painted surface beside another one.

    Attributes:
        at: int [n], index into the surface's box, row by row.
        rest: float32 [n], how much of each is something else.
        background: scene-linear float32 [n,3], what that looks like.
        around: scene-linear float32 [n,3], what the pixels' surroundings look like.
        codes: uint8 [n,3], what the pixels were when they were last blended.
    """

    at: IntArray
    rest: FloatArray
    background: FloatArray
    around: FloatArray
    codes: UInt8Array | None = None


@dataclass(frozen=True)
class Before:
    """What a surface is painted from.

    Attributes:
        crop: uint8 [h,w,3], sRGB, the surface's box.
        own: the surface looks as in the photo there.
    """

    crop: UInt8Array
    own: bool = True


def composite(
    before: Before,
    target: UInt8Array,
    surface: Surface,
    painter: Painter,
    outer: FloatArray,
    *,
    beside: Callable[[Tile], BoolArray] | None = None,
) -> list[Seam]:
    """Paint a surface. Pixels with alpha 0 are not written; under a feather the difference that the paint makes is added.

    Args:
        before: what is painted from.
        target: uint8 [H,W,3], sRGB, painted into in place.
        surface: the surface.
        painter: the rule, prepared for the surface.
        outer: the surface's `background_field`.
        beside: tells which pixels of a tile of the surface's box are near to another surface that is edited too, bool [h,w].

    Returns:
        The mixed pixels among those, for `blend_seams`.
    """
    x0, y0, x1, y1 = surface.box
    source, result = before.crop, target[y0:y1, x0:x1]
    inner = foreground_field(surface, None if before.own else source)
    edge = edge_of(surface)

    def work(tile: Tile) -> Seam | None:
        alpha = surface.alpha[tile.window]
        if not cv2.countNonZero(alpha):
            return None
        wide = tile.grown(painter.margin)
        codes = source[wide.window]
        pixels = painter.pixelwise(int(cv2.norm(codes, cv2.NORM_INF))) if isinstance(edge, SharpEdge) else None
        if pixels is not None:
            wide, codes = tile, source[tile.window]
        rim, near = rim_of(surface, wide, EDGE.rim if beside is None else EDGE.rim_beside), None
        if beside is not None and rim.any():
            near = beside(wide)
            rim &= near
            rim |= rim_of(surface, wide)
        if pixels is not None and not rim.any():  # nearly half of a large photo's tiles
            pixels.fill(tile, codes, alpha, rim, result[tile.window])
            return None
        # Everything about mixed pixels is done on lists of them: they are a tenth of the tile.
        at, rows, columns, seen = _list_mixed(rim, codes)
        mixed = MixedPixels(decode_scene(seen), *(sample(field, wide, rows, columns) for field in (inner, outer)))
        share, strength = edge.mixed_shares(mixed, wide.window, at, may_grow=painter.brightens)
        own = estimate_foreground(mixed, share)
        if pixels is None and isinstance(edge, SharpEdge):
            pixels = painter.smoothed(wide, codes, rim, at, own)
        inner_window = tile.window_in(wide)
        if pixels is not None and isinstance(edge, SharpEdge):
            pixels.fill(tile, codes[inner_window], alpha, rim[inner_window], result[tile.window])
            opaque, new = np.take(surface.alpha[wide.window], at), pixels.paint(wide, rows, columns, own)
            place = rows + (wide.y0 - tile.y0), columns + (wide.x0 - tile.x0)
            _put(edge.mixed_codes(seen, opaque, mixed, share, own, new), *place, result[tile.window])
        else:
            linear = decode_scene(codes)
            linear.reshape(-1, 3)[at] = own
            painted = painter.paint(wide, linear)
            new = np.take(painted.reshape(-1, 3), at, axis=0)
            edge.write(PaintedTile(codes, painted, at, mixed, share, strength, own, new, inner_window), wide.window, result[tile.window])
        if near is None:
            return None
        rest = np.float32(1) - share
        opaque = np.take(surface.alpha[wide.window], at)
        # The tail is no part of the surface.
        mine = (rest > 0) & (opaque > max(TAIL)) & near[rows, columns]
        rows, columns = rows + wide.y0, columns + wide.x0
        mine &= _within(tile, rows, columns)
        places = (rows * tile.width + columns)[mine]
        return Seam(places, rest[mine], estimate_background(mixed, share)[mine], mixed.background[mine])

    seams = [seam for seam in for_tiles(x1 - x0, y1 - y0, work) if seam is not None]
    return [_joined(seams)] if seams else []


@compiled_for(Tuple((int64[::1], int64[::1], int64[::1], uint8[:, ::1]))(boolean[:, ::1], read_only(uint8[:, :, :])))
def _list_mixed(rim: BoolArray, codes: UInt8Array) -> tuple[IntArray, IntArray, IntArray, UInt8Array]:
    """Of the pixels in `rim` (bool [h,w]): index, row and column, int64 [n] each, and their `codes`, uint8 [n,3] of [h,w,3]."""
    count = 0
    for y in range(rim.shape[0]):
        for x in range(rim.shape[1]):
            if rim[y, x]:
                count += 1
    places, seen = np.empty((3, count), np.int64), np.empty((count, 3), np.uint8)
    i = 0
    for y in range(rim.shape[0]):
        for x in range(rim.shape[1]):
            if rim[y, x]:
                places[0, i], places[1, i], places[2, i] = y * rim.shape[1] + x, y, x
                for c in range(3):
                    seen[i, c] = codes[y, x, c]
                i += 1
    return places[0], places[1], places[2], seen


@compiled_for(void(uint8[:, ::1], int64[::1], int64[::1], uint8[:, :, :]))
def _put(codes: UInt8Array, rows: IntArray, columns: IntArray, target: UInt8Array) -> None:
    """Write pixels, uint8 [n,3], to their places in `target` uint8 [h,w,3], if they lie in it. (NumPy's index of two lists takes five
    times as long.)"""
    for i in range(len(codes)):
        if 0 <= rows[i] < target.shape[0] and 0 <= columns[i] < target.shape[1]:
            for c in range(3):
                target[rows[i], columns[i], c] = codes[i, c]


def _joined(seams: Sequence[Seam]) -> Seam:
    """Those of all tiles as one: so many small lists take longer than their pixels."""
    at, rest, background, around = (
        np.concatenate(lists) for lists in zip(*((s.at, s.rest, s.background, s.around) for s in seams), strict=True)
    )
    return Seam(at, rest, background, around)


def blend_seams(target: UInt8Array, surface: Surface, seams: list[Seam], around: FloatArray) -> list[Seam]:
    """Give the mixed pixels of a painted surface the new colour of what lies around it, where that was edited too.

    A pixel between a wall and a floor belongs to one of their mattes: without this it kept the other one's old colour, a bright line
    between two that were both made dark.

    Args:
        target: uint8 [H,W,3], sRGB, changed in place.
        surface: the surface.
        seams: as `composite` returned them.
        around: the surface's `background_field` in `target`.

    Returns:
        The seams as they are then.
    """
    x0, y0, x1, y1 = surface.box
    picture = target[y0:y1, x0:x1]
    height, width = picture.shape[:2]
    whole = Tile(0, 0, width, height, width, height)
    return [_blended(picture, seam, sample(around, whole, *np.divmod(seam.at, width))) for seam in seams]


def _blended(picture: UInt8Array, seam: Seam, now: FloatArray) -> Seam:
    """One seam, with surroundings that look like `now` [n,3]."""
    black = np.float32(SEAM.min_light)
    # What got darker takes its light and shade down with it; what got brighter must not bring its noise up.
    new = seam.background * np.minimum(now / np.maximum(seam.around, black), 1.0) + np.maximum(now - seam.around, 0.0)
    # What looks like neither of the two, a lamp in the ceiling, stays.
    brighter = np.maximum(_largest(np.maximum(seam.background, seam.around)), black)
    alike = np.clip(2.0 - _largest(np.abs(seam.background - seam.around)) / brighter / SEAM.max_difference, 0.0, 1.0)
    alike[_largest(np.abs(now - seam.around)) < SEAM.min_change] = 0.0
    rows, columns = np.divmod(seam.at, picture.shape[1])
    if seam.codes is not None:
        # What has been filled in since is no edge of this surface any more.
        alike[_largest(picture[rows, columns] != seam.codes)] = 0.0
    change = alike[:, None] * (new - seam.background)
    changed = alike > 0
    place = rows[changed], columns[changed]
    linear = decode_scene(picture[place]) + (seam.rest[:, None] * change)[changed]
    picture[place] = encode_scene(np.maximum(linear, np.float32(0)))
    codes = picture[rows, columns]
    return replace(seam, background=(seam.background + change).astype(np.float32), around=now, codes=codes)


def _largest(values: AnyArray) -> AnyArray:
    """The largest of three values, [n,3] -> [n]. (NumPy's reduction along so short an axis takes ten times as long.)"""
    red, green, blue = values.T
    largest: AnyArray = np.maximum(np.maximum(red, green), blue)
    return largest


def _within(tile: Tile, rows: IntArray, columns: IntArray) -> BoolArray:
    return (rows >= tile.y0) & (rows < tile.y1) & (columns >= tile.x0) & (columns < tile.x1)
