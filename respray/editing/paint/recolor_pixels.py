"""The loops behind `recolor`: a paint's table looked up for pixels, one by one or for all of a tile."""

from __future__ import annotations

import numpy as np
from numba import boolean, float32, int64, uint8, void
from numba.core.types import UniTuple

from respray.editing.core.color import ENCODE_BINS, SCENE_TOP, decode_scene, scene_encode_table
from respray.editing.core.compiled import compiled, compiled_for, read_only
from respray.editing.core.field import Tile, between_cells
from respray.editing.surface.reflection import NUMBERS, DichromaticModel, Numbers, split_pixel
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# A paint is tabulated over shading 0..MAX_SHADING (1 = the surface's reference) in so many rows.
MAX_SHADING = 8.0
TABLE_ROWS = 8192
ROWS_PER_SHADING = (TABLE_ROWS - 1) / MAX_SHADING


# What a compiled loop needs of a paint: see `PixelRecolorer.on`.
Paint = tuple[np.float32, FloatArray, FloatArray, tuple[int, int, int, int], UInt8Array, np.float32]
PAINT = (float32, float32[:, ::1], float32[:, :, ::1], UniTuple(int64, 4), uint8[::1], float32)


class PixelRecolorer:
    """A paint where each pixel's new colour is told by that pixel alone. A `respray.editing.core.painter.PixelPainter`."""

    def __init__(self, reflection: DichromaticModel, table: FloatArray, field: FloatArray) -> None:
        """`table` and `field` as of `apply_light`."""
        self._reflection, self._table, self._field = reflection, table, field
        self._lights = decode_scene(np.arange(256, dtype=np.uint8)[:, None])[:, 0]

    def fill(self, tile: Tile, codes: UInt8Array, alpha: UInt8Array, rim: BoolArray, target: UInt8Array) -> None:
        """See `PixelPainter`: from codes to codes in one go."""
        _fill(codes, alpha, rim, self._lights, self._reflection.numbers, *self.on(tile), target)

    def paint(self, tile: Tile, rows: IntArray, columns: IntArray, linear: FloatArray) -> FloatArray:
        """See `PixelPainter`."""
        shading, specular = self._reflection.decompose(linear[None])
        return self.lit(tile, rows, columns, shading[0], specular[0])

    def lit(self, tile: Tile, rows: IntArray, columns: IntArray, shading: FloatArray, specular: FloatArray) -> FloatArray:
        """The paint on pixels of a tile whose light is known: float32 [n] each -> scene-linear float32 [n,3]."""
        out = np.empty((len(rows), 3), np.float32)
        luminance, table, field, window, *_ = self.on(tile)
        _paint(shading, specular, rows + tile.y0, columns + tile.x0, luminance, table, field, window[2:], out)
        return out

    def on(self, tile: Tile) -> Paint:
        """For a loop over a tile: luminance, table, field and window as of `apply_light`; codes of light, uint8, times the last number."""
        window = (tile.y0, tile.x0, tile.height, tile.width)
        scale = np.float32(ENCODE_BINS / SCENE_TOP)
        return np.float32(self._reflection.luminance), self._table, self._field, window, scene_encode_table(), scale


class LitRecolorer:
    """A paint on a tile whose light is known. A `respray.editing.core.painter.PixelPainter`."""

    def __init__(self, paint: PixelRecolorer, tile: Tile, shading: FloatArray, specular: FloatArray) -> None:
        """`shading` and `specular`, float32 [h,w], are those of `tile`."""
        self._paint, self._tile, self._shading, self._specular = paint, tile, shading, specular

    def fill(self, tile: Tile, codes: UInt8Array, alpha: UInt8Array, rim: BoolArray, target: UInt8Array) -> None:
        """See `PixelPainter`; `tile` lies in the one whose light is known."""
        inner = tile.window_in(self._tile)
        _fill_lit(self._shading[inner], self._specular[inner], alpha, rim, *self._paint.on(tile), target)

    def paint(self, tile: Tile, rows: IntArray, columns: IntArray, linear: FloatArray) -> FloatArray:
        """See `PixelPainter`; `tile` is the one whose light is known, and `linear` in it."""
        return self._paint.lit(tile, rows, columns, self._shading[rows, columns], self._specular[rows, columns])


@compiled_for(void(read_only(uint8[:, :, :]), uint8[:, :], boolean[:, :], float32[::1], NUMBERS, *PAINT, uint8[:, :, :]))
def _fill(
    codes: UInt8Array,
    alpha: UInt8Array,
    rim: BoolArray,
    lights: FloatArray,
    model: Numbers,
    luminance: np.float32,
    table: FloatArray,
    field: FloatArray,
    window: tuple[int, int, int, int],
    encoded: UInt8Array,
    bins: np.float32,
    target: UInt8Array,
) -> None:
    """As `apply_light`, with decoding before and encoding after it, where `alpha` is above 0 and outside `rim`. `lights`: float32 [256],
    scene-linear light of codes; the others as of `PixelRecolorer.on`."""
    order, split, reference, limits, _ = model
    top, left, height, width = window
    pixels = alpha.shape[1]
    befores, overs, line = _columns_of(field, left, width, pixels)
    # A row of the tile at a time, and one loop for each step of it: so most of them become vector instructions.
    shading, specular, steps = np.empty(pixels, np.float32), np.empty(pixels, np.float32), np.empty((5, pixels), np.float32)
    for y in range(alpha.shape[0]):
        start, stop = _extent(alpha[y], rim[y])
        if start == stop:
            continue
        _field_row(field, y + top, height, line)
        # Views of what there is to paint: indexes that begin at 0 are not checked for being negative.
        row, shades, shines = codes[y, start:stop], shading[: stop - start], specular[: stop - start]
        for x in range(stop - start):
            light = lights[row[x, 0]], lights[row[x, 1]], lights[row[x, 2]]
            shades[x], shines[x] = split_pixel(light[0], light[1], light[2], split, order[0], reference, limits)
        selected, mixed, painted = alpha[y, start:stop], rim[y, start:stop], target[y, start:stop]
        tints = befores[start:stop], overs[start:stop], line
        _paint_row(shades, shines, luminance, tints, table, steps, encoded, bins, selected, mixed, painted)


@compiled_for(void(float32[:, :], float32[:, :], uint8[:, :], boolean[:, :], *PAINT, uint8[:, :, :]))
def _fill_lit(
    shading: FloatArray,
    specular: FloatArray,
    alpha: UInt8Array,
    rim: BoolArray,
    luminance: np.float32,
    table: FloatArray,
    field: FloatArray,
    window: tuple[int, int, int, int],
    encoded: UInt8Array,
    bins: np.float32,
    target: UInt8Array,
) -> None:
    """As `_fill`, for pixels whose shading and specular light [h,w] are known."""
    top, left, height, width = window
    pixels = alpha.shape[1]
    befores, overs, line = _columns_of(field, left, width, pixels)
    steps = np.empty((5, pixels), np.float32)
    for y in range(alpha.shape[0]):
        start, stop = _extent(alpha[y], rim[y])
        if start == stop:
            continue
        _field_row(field, y + top, height, line)
        selected, mixed, painted = alpha[y, start:stop], rim[y, start:stop], target[y, start:stop]
        tints = befores[start:stop], overs[start:stop], line
        _paint_row(shading[y, start:stop], specular[y, start:stop], luminance, tints, table, steps, encoded, bins, selected, mixed, painted)


@compiled
def _extent(selected: UInt8Array, mixed: BoolArray) -> tuple[int, int]:
    """The first and the last pixel of a row that is selected and not mixed, half open."""
    start, stop = 0, len(selected)
    while start < stop and (selected[start] == 0 or mixed[start]):
        start += 1
    while stop > start and (selected[stop - 1] == 0 or mixed[stop - 1]):
        stop -= 1
    return start, stop


@compiled
def _paint_row(
    shading: FloatArray,
    specular: FloatArray,
    luminance: np.float32,
    tints: tuple[IntArray, FloatArray, FloatArray],
    table: FloatArray,
    steps: FloatArray,
    encoded: UInt8Array,
    bins: np.float32,
    selected: UInt8Array,
    mixed: BoolArray,
    painted: UInt8Array,
) -> None:
    """Paint a row [n] whose light is known into `painted` uint8 [n,3]; `tints` are from `_columns_of` and `_field_row`, and `steps` float32
    [5,n] is written over."""
    none, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    scale, last, end = np.float32(ROWS_PER_SHADING), np.float32(TABLE_ROWS - 1), np.float32(len(encoded) - 1)
    befores, overs, line = tints
    count, places, mirrored = len(selected), steps[3], steps[4]
    for x in range(count):
        place = shading[x] * scale
        # Whatever is no number must not become an index: nothing checks bounds here.
        places[x], mirrored[x] = min(place, last) if place > none else none, specular[x] * luminance
    for x in range(count):
        entry, column = np.uint32(places[x]), befores[x]
        after, tinted = column + np.uint32(1), table[entry, 3]
        for c in range(3):
            tint = line[column, c] + (line[after, c] - line[column, c]) * overs[x]
            steps[c, x] = table[entry, c] * (one + (tint - one) * tinted)
    for c in range(3):
        for x in range(count):
            place = (steps[c, x] + mirrored[x]) * bins + half
            steps[c, x] = min(place, end) if place > none else none
    for x in range(count):
        if selected[x] != 0 and not mixed[x]:
            for c in range(3):
                painted[x, c] = encoded[np.uint32(steps[c, x])]


@compiled_for(
    void(
        float32[::1],
        float32[::1],
        int64[::1],
        int64[::1],
        float32,
        float32[:, ::1],
        float32[:, :, ::1],
        UniTuple(int64, 2),
        float32[:, ::1],
    )
)
def _paint(
    shading: FloatArray,
    specular: FloatArray,
    rows: IntArray,
    columns: IntArray,
    luminance: np.float32,
    table: FloatArray,
    field: FloatArray,
    size: tuple[int, int],
    out: FloatArray,
) -> None:
    """As `apply_light`, for pixels [n] at rows and columns of a box of `size` (height, width), into `out` [n,3]."""
    scale, last, one = np.float32(ROWS_PER_SHADING), np.float32(TABLE_ROWS - 1), np.float32(1)
    for i in range(len(rows)):
        place = shading[i] * scale
        row = np.uint32(min(place, last)) if place > 0 else np.uint32(0)
        upper, down = _locate(rows[i], size[0], field.shape[0])
        column, over = _locate(columns[i], size[1], field.shape[1])
        lower, after = min(upper + 1, field.shape[0] - 1), min(column + 1, field.shape[1] - 1)
        for c in range(3):
            first = field[upper, column, c] + (field[lower, column, c] - field[upper, column, c]) * down
            second = field[upper, after, c] + (field[lower, after, c] - field[upper, after, c]) * down
            tint = first + (second - first) * over
            out[i, c] = table[row, c] * (one + (tint - one) * table[row, 3]) + specular[i] * luminance


@compiled_for(void(float32[:, :], float32[:, ::1], float32, float32[:, ::1], float32[:, :, ::1], UniTuple(int64, 4), float32[:, :, ::1]))
def apply_light(
    shading: FloatArray,
    specular: FloatArray,
    luminance: np.float32,
    table: FloatArray,
    field: FloatArray,
    window: tuple[int, int, int, int],
    out: FloatArray,
) -> None:
    """Look the paint up and put colour of the light and specular light on it.

    Args:
        shading: float32 [h,w], 1 = the surface's reference.
        specular: float32 [h,w], over the reference's luminance.
        luminance: of the reference, scene-linear.
        table: float32 [TABLE_ROWS,4] over shading 0..MAX_SHADING, see `gamut.build_paint_table`.
        field: float32 [hs,ws,3], factors, stretched bilinearly over the surface's box.
        window: the tile's first row and column in the box; the box's height and width.
        out: float32 [h,w,3], filled with scene-linear RGB.
    """
    scale, last, one = np.float32(ROWS_PER_SHADING), np.float32(TABLE_ROWS - 1), np.float32(1)
    top, left, height, width = window
    before, over, line = _columns_of(field, left, width, shading.shape[1])
    for y in range(shading.shape[0]):
        _field_row(field, y + top, height, line)
        for x in range(shading.shape[1]):
            place = shading[y, x] * scale
            # Whatever is no number must not become an index: nothing checks bounds here.
            row = np.uint32(min(place, last)) if place > 0 else np.uint32(0)
            mirrored, column, after = specular[y, x] * luminance, before[x], before[x] + np.uint32(1)
            for c in range(3):
                tint = line[column, c] + (line[after, c] - line[column, c]) * over[x]
                out[y, x, c] = table[row, c] * (one + (tint - one) * table[row, 3]) + mirrored


@compiled
def _locate(pixel: int, pixels: int, cells: int) -> tuple[int, np.float32]:
    """Where a pixel's centre lies among the centres of cells that cover the same length: the cell before, and the way to the next."""
    place = (np.float32(pixel) + np.float32(0.5)) * np.float32(cells / pixels) - np.float32(0.5)
    cell, _, way = between_cells(place, cells)
    return cell, np.float32(way)


@compiled
def _columns_of(field: FloatArray, left: int, width: int, count: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """For `count` pixels from `left` on: the field's column before each, and the way to the next; and room for a line of the field. (The
    indexes are unsigned: signed ones are checked for being negative, which takes as long as the rest.)"""
    before, over = np.empty(count, np.uint32), np.empty(count, np.float32)
    for x in range(count):
        column, way = _locate(x + left, width, field.shape[1])
        before[x], over[x] = column, way
    return before, over, np.empty((field.shape[1] + 1, 3), np.float32)


@compiled
def _field_row(field: FloatArray, pixel: int, pixels: int, line: FloatArray) -> None:
    """A field [hs,ws,3] in the middle of a row of pixels, into `line` [ws+1,3]; its last column once more at the end."""
    row, down = _locate(pixel, pixels, field.shape[0])
    after = min(row + 1, field.shape[0] - 1)
    for x in range(len(line)):
        column = min(x, len(line) - 2)
        for c in range(3):
            line[x, c] = field[row, column, c] + (field[after, column, c] - field[row, column, c]) * down
