"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + shine (see `surface.reflection`); new pixel = target x shading + shine. The colour of
the light (lamp here, window there) is kept as a smooth ratio field.
"""

from __future__ import annotations

import cv2
import numpy as np

from respray.contract.request import Recolor
from respray.editing.core.color import LUMINANCE, decode_scene, from_display, hex_to_linear, least, most
from respray.editing.core.compiled import compiled
from respray.editing.core.field import Tile, smooth, upsample
from respray.editing.paint.gamut import paint_table
from respray.editing.surface.exposure import expose
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray, IntArray

SHADING_MAX = 8.0
TABLE = 8192
ROWS = (TABLE - 1) / SHADING_MAX  # of the table, for a shading of 1
# Noise is smoothed when the surface becomes this much brighter, within this radius (pixels), below this multiple of its deviation.
LEAST_GAIN = 1.5
NOISE_RADIUS = 6
NOISE_STRENGTH = 2.0
# Near white a camera presses much light into few codes, so that steps and JPEG blocks there are large once the shoulder is undone. From
# this code on they are smoothed, whatever the new colour; JPEG errors are this many codes (standard deviation).
STEEP_CODE = 232
STEEP_NOISE_CODES = 2.0
STEEP_LIGHT = float(decode_scene(np.array([[[STEEP_CODE]]], np.uint8))[0, 0, 0])  # scene-linear
LEAST_EPSILON = 1e-9
# Where all channels are burnt out the light was stronger than the picture says: by up to this factor in the middle of a burnt patch,
# rising from its edge at these scales (shares of the work picture's longest side): a lamp's glow is wide, a sunlit patch is not.
BURNT_GAIN = 2.0
BURNT_SOFT = (0.015, 0.06, 0.15)
# Found on a picture this large (longest side). A patch's edge is sharp where pixels between these distances (width of the window) from it
# mostly lie below BURNT_DARK.
BURNT_SIDE = 140
BURNT_RING = (3, 7)
BURNT_DARK = 0.75
# Scene-linear values between which a pixel's darkest channel counts as burnt out.
BURNT_FROM, BURNT_TO = 1.0, 1.45
# Contrast above the reference is eased by up to this power when the surface becomes this many times brighter.
EASE = 0.3
FULL_EASE_GAIN = 8.0
# The light's colour is estimated on a grid this fine and blurred by LIGHT_BLUR cells.
LIGHT_GRID = 64
LIGHT_BLUR = 2.0
LIGHT_RANGE = 0.35
# Light that differs by less than this is taken as of one colour.
LIGHT_NEUTRAL = 0.01


class Recolorer:
    """`Recolor` prepared for one `Surface`; may be used from several threads."""

    def __init__(self, surface: Surface, rule: Recolor) -> None:
        target = from_display(hex_to_linear(rule.color)).astype(np.float32)
        self._strength = np.float32(rule.strength)
        self._reflection = reflection = surface.reflection
        shading, shine = reflection.parts(surface.small)
        self.exposure = expose(surface, shading, float(target.max()))
        gain = float(target @ LUMINANCE) * self.exposure / reflection.luminance
        # A dark surface made light brings its noise and JPEG blocks up with it; variation below twice the noise is smoothed away.
        self._epsilon = (NOISE_STRENGTH * surface.noise / reflection.luminance) ** 2 if gain > LEAST_GAIN else 0.0
        bright = bool((surface.small[surface.solid] > STEEP_LIGHT).any())
        self._steep = self._epsilon + _steep_epsilon(reflection.luminance) if bright else None
        self.margin = 2 * NOISE_RADIUS if bright or self._epsilon > 0.0 else 0
        # Nor does a photographer let the sunlit part of a floor burn out once the floor is light: brightness above the reference is eased.
        ease = EASE * float(np.clip(np.log2(max(gain, 1e-3)) / np.log2(FULL_EASE_GAIN), 0.0, 1.0))
        steps = np.linspace(0.0, SHADING_MAX, TABLE, dtype=np.float32)[:, None]
        lit = (target * surface.tint).astype(np.float32)
        self._table = paint_table(lit, np.where(steps > 1.0, steps ** (1.0 - ease), steps) * np.float32(self.exposure))
        field = _light_colour(surface, shine)
        self._field = field if float(np.abs(field - 1.0).max()) > LIGHT_NEUTRAL else np.ones((1, 1, 3), np.float32)
        self._burnt = _burnt_patches(surface)

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """See `respray.editing.paint.composite.Painter`."""
        shading, shine = self._reflection.parts(linear)
        brightest = float(linear.max()) if linear.size else 0.0
        if brightest > BURNT_FROM and self._burnt is not None:
            share = np.clip((least(linear) - BURNT_FROM) / (BURNT_TO - BURNT_FROM), 0.0, 1.0)
            shading = shading * (1.0 + np.float32(BURNT_GAIN) * share * upsample(self._burnt, tile))
        if brightest > STEEP_LIGHT and self._steep is not None:
            local = cv2.blur(shading, (2 * NOISE_RADIUS + 1, 2 * NOISE_RADIUS + 1))
            shading = smooth(shading, NOISE_RADIUS, np.take(self._steep, _row(local)))
        elif self._epsilon > 0.0:
            shading = smooth(shading, NOISE_RADIUS, self._epsilon)
        out = np.empty_like(linear)
        window = (tile.y0, tile.x0, tile.height, tile.width)
        _light_up(shading, shine, np.float32(self._reflection.luminance), self._table, self._field, window, out)
        return out if self._strength == 1.0 else linear + (out - linear) * self._strength


@compiled
def _light_up(
    shading: FloatArray,
    shine: FloatArray,
    luminance: np.float32,
    table: FloatArray,
    field: FloatArray,
    window: tuple[int, int, int, int],
    out: FloatArray,
) -> None:
    """`table` (float32 [TABLE,3] over shading) at `shading` float32 [h,w], times `field`, plus `shine` x `luminance`, into `out` [h,w,3].

    `field` float32 [hs,ws,3] is stretched bilinearly over a box; `window`: the tile's first row and column in it, its height and width.
    """
    scale, last = np.float32(ROWS), np.float32(TABLE - 1)
    top, left, height, width = window
    before, over, line = _across(field, left, width, shading.shape[1])
    for y in range(shading.shape[0]):
        _row_of(field, y + top, height, line)
        for x in range(shading.shape[1]):
            place = shading[y, x] * scale
            # Whatever is no number must not become an index: nothing checks bounds here.
            row = np.uint32(min(place, last)) if place > 0 else np.uint32(0)
            gleam, column, after = shine[y, x] * luminance, before[x], before[x] + np.uint32(1)
            for c in range(3):
                tint = line[column, c] + (line[after, c] - line[column, c]) * over[x]
                out[y, x, c] = table[row, c] * tint + gleam


@compiled
def _between(pixel: int, pixels: int, cells: int) -> tuple[int, np.float32]:
    """Where a pixel's centre lies among the centres of cells that cover the same length: the cell before, and the way to the next."""
    place = (np.float32(pixel) + np.float32(0.5)) * np.float32(cells / pixels) - np.float32(0.5)
    place = min(max(place, np.float32(0)), np.float32(cells - 1))
    cell = int(place)
    return cell, place - np.float32(cell)


@compiled
def _across(field: FloatArray, left: int, width: int, count: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """For `count` pixels from `left` on: the field's column before each, and the way to the next; and room for a line of the field. (The
    indexes are unsigned: signed ones are checked for being negative, which takes as long as the rest.)"""
    before, over = np.empty(count, np.uint32), np.empty(count, np.float32)
    for x in range(count):
        column, way = _between(x + left, width, field.shape[1])
        before[x], over[x] = column, way
    return before, over, np.empty((field.shape[1] + 1, 3), np.float32)


@compiled
def _row_of(field: FloatArray, pixel: int, pixels: int, line: FloatArray) -> None:
    """A field [hs,ws,3] in the middle of a row of pixels, into `line` [ws+1,3]; its last column once more at the end."""
    row, down = _between(pixel, pixels, field.shape[0])
    after = min(row + 1, field.shape[0] - 1)
    for x in range(len(line)):
        column = min(x, len(line) - 2)
        for c in range(3):
            line[x, c] = field[row, column, c] + (field[after, column, c] - field[row, column, c]) * down


def _row(shading: FloatArray) -> FloatArray:
    """Shading -> row of a table over 0..SHADING_MAX, uint16."""
    index = shading * np.float32(ROWS)
    return np.clip(index, np.float32(0.0), np.float32(TABLE - 1), out=index).astype(np.uint16)


def _steep_epsilon(luminance: float) -> FloatArray:
    """Variance of shading below which variation is JPEG's and rounding's, for every row of the table: float32 [TABLE].

    Zero up to STEEP_CODE; then it grows with the light that one code is worth. `luminance` is that of shading 1.
    """
    scene = decode_scene(np.arange(256, dtype=np.uint8)[None, :, None]).ravel()
    worth = np.maximum(np.gradient(scene) - float(scene[STEEP_CODE] - scene[STEEP_CODE - 1]), 0.0)
    worth[:STEEP_CODE] = 0.0
    shading = np.linspace(0.0, SHADING_MAX, TABLE)
    noise = NOISE_STRENGTH * STEEP_NOISE_CODES * np.interp(shading * luminance, scene, worth) / luminance
    return np.maximum(noise**2, LEAST_EPSILON).astype(np.float32)


def _burnt_patches(surface: Surface) -> FloatArray | None:
    """How much more light fell on every pixel than a burnt-out picture says, 0..1 float32 [h,w] (small); None where nothing is burnt out.

    A glow grows from the edge of its patch to the middle. Sun on a floor or a window behind a curtain is as strong at its edge: such a
    patch is known by the dark right beside it.
    """
    darkest = least(surface.small)
    if not ((darkest > BURNT_TO) & surface.solid).any():
        return None
    scale = min(1.0, BURNT_SIDE / max(darkest.shape))
    size = (max(1, round(darkest.shape[1] * scale)), max(1, round(darkest.shape[0] * scale)))
    # The lamp or window beside the surface belongs to the patch.
    burnt, dark, solid = (
        cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for plane in (darkest > BURNT_TO, darkest < BURNT_DARK, surface.solid)
    )
    side = max(burnt.shape)
    inside = np.mean([cv2.GaussianBlur(burnt, (0, 0), soft * side) for soft in BURNT_SOFT], axis=0)
    glow = np.clip(2.0 * inside - 1.0, 0.0, 1.0)
    near, beside = (cv2.dilate(burnt, np.ones((ring, ring), np.uint8)) for ring in BURNT_RING)
    ring = (beside - near) * solid
    sharp, around = (cv2.GaussianBlur(plane, (0, 0), BURNT_SOFT[-1] * side) for plane in (ring * dark, ring))
    sharp = np.clip(2.0 * sharp / np.maximum(around, 1e-6) - 1.0, 0.0, 1.0)
    return (glow + sharp * np.maximum(near - glow, 0.0)).astype(np.float32)


def _light_colour(surface: Surface, shine: FloatArray) -> FloatArray:
    """Smooth colour of the light relative to the surface's average, float32 [g,g,3], luminance-neutral, clipped to plausible lamps.

    `shine` float32 [hs,ws] is that of the surface's `small` picture.
    """
    reflection = surface.reflection
    # Burnt-out pixels are white under any light.
    weight = (surface.solid & (most(surface.small) < BURNT_FROM)).astype(np.float32)
    matt = surface.small - (shine * np.float32(reflection.luminance))[..., None]
    size = (LIGHT_GRID, LIGHT_GRID)
    colour = cv2.GaussianBlur(cv2.resize(matt * weight[..., None], size, interpolation=cv2.INTER_AREA), (0, 0), LIGHT_BLUR)
    colour += reflection.reference * 1e-3
    ratio = colour / reflection.reference
    ratio /= np.maximum((colour @ LUMINANCE) / reflection.luminance, 1e-6)[..., None]
    # Where a surface has a strong colour, a change of it is more likely shine or material than light.
    trust = 1.0 - reflection.coloured
    return (1.0 + (np.clip(ratio, 1.0 - LIGHT_RANGE, 1.0 + LIGHT_RANGE) - 1.0) * trust).astype(np.float32)
