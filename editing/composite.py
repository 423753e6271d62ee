"""Puts a painted surface back into the photo: in scene-linear light, in strips, on all cores, and only where the matte is above zero."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import cv2
import numpy as np

from editing.color import decode_scene, encode_scene
from editing.field import upsample_rows
from editing.surface import Surface
from imaging.arrays import BoolArray, FloatArray, UInt8Array

STRIP_PIXELS = 1 << 17


class Painter(Protocol):
    """A rule prepared for one surface. It is given `margin` more rows above and below than are used of its answer."""

    margin: int

    def paint(self, y0: int, linear: FloatArray) -> FloatArray:
        """Rows from `y0` of the surface's box, scene-linear float32 [r,w,3] -> their new colours."""


def strips(height: int, width: int, work: Callable[[int, int], None], least: int = 1) -> None:
    """Call `work(y0, y1)` for strips of at least `least` rows that cover 0..height, on all cores. Exceptions pass through."""
    rows = max(least, STRIP_PIXELS // max(1, width))
    starts = range(0, height, rows)
    if len(starts) == 1:
        work(0, height)
        return
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda y: work(y, min(height, y + rows)), starts))


def composite(photo: UInt8Array, target: UInt8Array, surface: Surface, painter: Painter) -> None:
    """Paint `surface` of `photo` (uint8 [H,W,3]) into `target` (same shape, in place). Pixels with alpha 0 are not written."""
    x0, y0, x1, y1 = surface.box
    inner, outer = surroundings(surface)

    height = y1 - y0

    def work(top: int, bottom: int) -> None:
        if not surface.alpha[top:bottom].any():
            return
        first, last = max(0, top - painter.margin), min(height, bottom + painter.margin)
        alpha = surface.alpha[first:last]
        linear = decode_scene(photo[y0 + first : y0 + last, x0:x1])
        own = linear
        band = (alpha > 0) & (alpha < 255)
        share: FloatArray | None = None
        if band.any():
            share = alpha.astype(np.float32)[..., None] * np.float32(1 / 255)
            shape = (first, last - first, x1 - x0, height)
            pure = _foreground(linear, share, upsample_rows(inner, *shape), upsample_rows(outer, *shape))
            own = np.where(band[..., None], pure, linear)
        new = painter.paint(first, own)
        result = new if share is None else linear + (new - own) * share
        kept = slice(top - first, bottom - first)
        np.copyto(target[y0 + top : y0 + bottom, x0:x1], encode_scene(result[kept]), where=(alpha[kept] > 0)[..., None])

    strips(height, x1 - x0, work, 4 * painter.margin or 1)


def surroundings(surface: Surface) -> tuple[FloatArray, FloatArray]:
    """The surface's colour and its surroundings' near the edge, extended over it: float32 [hs,ws,3] scene-linear each."""
    hs, ws = surface.small.shape[:2]
    alpha = cv2.resize(surface.alpha, (ws, hs), interpolation=cv2.INTER_AREA)
    return _extend(surface.small, alpha >= 250), _extend(surface.small, alpha <= 5)


def _extend(small: FloatArray, known: BoolArray) -> FloatArray:
    weight = known.astype(np.float32)
    total = np.zeros_like(small)
    mass = np.full(weight.shape, 1e-6, np.float32)
    for size, share in ((5, 1.0), (15, 1e-2), (61, 1e-4)):
        mass += share * cv2.boxFilter(weight, -1, (size, size))
        total += share * cv2.boxFilter(small * weight[..., None], -1, (size, size))
    return total / mass[..., None]


def _foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray) -> FloatArray:
    """The surface's own colour in mixed edge pixels (Forte, "Approximate fast foreground colour estimation", 2021)."""
    return np.maximum(fore + share * (linear - share * fore - (1.0 - share) * back), 0.0)
