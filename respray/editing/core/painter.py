"""What the compositor asks of a rule: new colours for the tiles of a surface."""

from __future__ import annotations

from typing import Protocol

from respray.editing.core.field import Tile
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array


class PixelPainter(Protocol):
    """A rule where each pixel's new colour is told by that pixel alone, or by what was made of a tile before."""

    def fill(self, tile: Tile, codes: UInt8Array, alpha: UInt8Array, rim: BoolArray, target: UInt8Array) -> None:
        """Paint `codes` (uint8 [h,w,3], sRGB) of `tile` into `target`, where `alpha` (uint8 [h,w]) is above 0 and outside `rim`."""

    def paint(self, tile: Tile, rows: IntArray, columns: IntArray, linear: FloatArray) -> FloatArray:
        """The surface's own colours at some pixels of a tile, scene-linear float32 [n,3] -> their new colours."""


class Painter(Protocol):
    """A rule prepared for one surface. It is given `margin` more pixels on every side than are used of its answer; `brightens` says that a
    dark surface becomes much lighter, so that mixed pixels which a matte claims too little of would stay behind as a dark rim. One
    without loops of its own has `paint` alone."""

    margin: int
    brightens: bool

    def pixelwise(self, brightest: int) -> PixelPainter | None:
        """The rule for pixels with codes up to `brightest`, where it needs to know nothing but each of them; None where it does."""
        return None

    def smoothed(self, tile: Tile, codes: UInt8Array, rim: BoolArray, at: IntArray, own: FloatArray) -> PixelPainter | None:
        """The rule for a tile that shows `codes` (uint8 [h,w,3]), where what is around a pixel has been looked at; None where it has no
        loop of its own. `rim` (bool [h,w]) are mixed pixels, `at` (int [n]) their index row by row, `own` (scene-linear float32 [n,3]) the
        surface's own colours in them."""
        return None

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """The surface's own colours in `tile`, scene-linear float32 [h,w,3] -> their new colours."""
