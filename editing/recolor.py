"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + shine (see `editing.reflection`); new pixel = target x shading + shine. The colour of
the light (lamp here, window there) is kept as a smooth ratio field.
"""

from __future__ import annotations

import cv2
import numpy as np

from editing.color import LUMINANCE, decode_scene, encode_scene, from_display, hex_to_linear, scene_to_codes
from editing.exposure import expose
from editing.field import Tile, smooth, upsample
from editing.gamut import paint_table
from editing.request import Recolor
from editing.surface import Surface
from imaging.arrays import FloatArray, UInt8Array

SHADING_MAX = 8.0
TABLE = 8192
# Noise is smoothed when the surface becomes this much brighter, within this radius (pixels), below this multiple of its deviation.
LEAST_GAIN = 1.5
NOISE_RADIUS = 6
NOISE_STRENGTH = 2.0
# Contrast above the reference is eased by up to this power when the surface becomes this many times brighter.
EASE = 0.3
FULL_EASE_GAIN = 8.0
# The light's colour is estimated on a grid this fine and blurred by LIGHT_BLUR cells.
LIGHT_GRID = 64
LIGHT_BLUR = 3.0
LIGHT_RANGE = 0.35
# Light that differs by less than this is taken as of one colour.
LIGHT_NEUTRAL = 0.01
# The sRGB curve is close to this power over most of its range.
CODE_POWER = 2.3


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
        self.margin = 2 * NOISE_RADIUS if self._epsilon > 0.0 else 0
        # Nor does a photographer let the sunlit part of a floor burn out once the floor is light: brightness above the reference is eased.
        ease = EASE * float(np.clip(np.log2(max(gain, 1e-3)) / np.log2(FULL_EASE_GAIN), 0.0, 1.0))
        steps = np.linspace(0.0, SHADING_MAX, TABLE, dtype=np.float32)[:, None]
        self._table = paint_table(target, np.where(steps > 1.0, steps ** (1.0 - ease), steps) * np.float32(self.exposure))
        field = _light_colour(surface)
        self._field = field if float(np.abs(field - 1.0).max()) > LIGHT_NEUTRAL else None
        # For tiles without edges the work is done on sRGB codes: there a factor on light is, very nearly, a power of it on codes.
        self._codes = scene_to_codes(self._table).astype(np.float32)
        self._code_field = None if self._field is None else self._field ** np.float32(1.0 / CODE_POWER)
        self._plain = rule.strength == 1.0 and not bool((shine[surface.solid] > 0.0).any())

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """See `editing.composite.Painter`."""
        shading, shine = self._reflection.parts(linear)
        out = np.take(self._table, self._index(shading), axis=0)
        if self._field is not None:
            out *= upsample(self._field, tile)
        out += (shine * np.float32(self._reflection.luminance))[..., None]
        return out if self._strength == 1.0 else linear + (out - linear) * self._strength

    def paint_solid(self, tile: Tile, codes: UInt8Array) -> UInt8Array:
        """See `editing.composite.Painter`."""
        if not self._plain:
            return encode_scene(self.paint(tile, decode_scene(codes)))
        out = np.take(self._codes, self._index(self._reflection.luminance_of(decode_scene(codes))), axis=0)
        if self._code_field is not None:
            out *= upsample(self._code_field, tile)
        return cv2.convertScaleAbs(out)

    def _index(self, shading: FloatArray) -> FloatArray:
        """Row of the table for every shading value, float32 [h,w] -> uint16 [h,w]."""
        if self._epsilon > 0.0:
            shading = smooth(shading, NOISE_RADIUS, self._epsilon)
        index = shading * np.float32((TABLE - 1) / SHADING_MAX)
        return np.minimum(index, np.float32(TABLE - 1), out=index).astype(np.uint16)


def _light_colour(surface: Surface) -> FloatArray:
    """Smooth colour of the light relative to the surface's average, float32 [g,g,3], luminance-neutral, clipped to plausible lamps."""
    reflection = surface.reflection
    weight = surface.solid.astype(np.float32)
    _, shine = reflection.parts(surface.small)
    matt = surface.small - (shine * np.float32(reflection.luminance))[..., None]
    size = (LIGHT_GRID, LIGHT_GRID)
    colour = cv2.GaussianBlur(cv2.resize(matt * weight[..., None], size, interpolation=cv2.INTER_AREA), (0, 0), LIGHT_BLUR)
    colour += reflection.reference * 1e-3
    ratio = colour / reflection.reference
    ratio /= np.maximum((colour @ LUMINANCE) / reflection.luminance, 1e-6)[..., None]
    # Where a surface has a strong colour, a change of it is more likely shine or material than light.
    trust = 1.0 - reflection.coloured
    return (1.0 + (np.clip(ratio, 1.0 - LIGHT_RANGE, 1.0 + LIGHT_RANGE) - 1.0) * trust).astype(np.float32)
