"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + shine (see `editing.reflection`); new pixel = target x shading + shine. The colour of
the light (lamp here, window there) is kept as a smooth ratio field.
"""

from __future__ import annotations

import cv2
import numpy as np

from editing.color import LUMINANCE, from_display, hex_to_linear
from editing.exposure import expose
from editing.field import smooth, upsample_rows
from editing.gamut import paint_table
from editing.request import Recolor
from editing.surface import Surface
from imaging.arrays import FloatArray

SHADING_MAX = 8.0
TABLE = 4096
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


class Recolorer:
    """`Recolor` prepared for one `Surface`; `paint` may be called from several threads."""

    def __init__(self, surface: Surface, rule: Recolor) -> None:
        self.target = from_display(hex_to_linear(rule.color)).astype(np.float32)
        self.strength = rule.strength
        self._reflection = surface.reflection
        shading, _ = surface.reflection.parts(surface.small)
        peak = float(self.target.max())
        self.exposure = expose(surface, shading, peak)
        steps = np.linspace(0.0, SHADING_MAX, TABLE, dtype=np.float32)[:, None]
        self._table = paint_table(self.target, steps * np.float32(self.exposure))
        # A dark surface made light brings its noise and JPEG blocks up with it; variation below twice the noise is smoothed away.
        gain = float(self.target @ LUMINANCE) * self.exposure / surface.reflection.luminance
        # Nor does a photographer let the sunlit part of a floor burn out once the floor is light: brightness above the reference is eased.
        ease = float(np.clip(np.log2(max(gain, 1e-3)) / np.log2(FULL_EASE_GAIN), 0.0, 1.0))
        self._glare = np.float32(1.0 - EASE * ease)
        self._epsilon = (NOISE_STRENGTH * surface.noise / surface.reflection.luminance) ** 2 if gain > LEAST_GAIN else 0.0
        self.margin = 2 * NOISE_RADIUS if self._epsilon > 0.0 else 0
        self._height, self._field = surface.box[3] - surface.box[1], _light_colour(surface)

    def paint(self, y0: int, linear: FloatArray) -> FloatArray:
        """New colour of rows from `y0` (counted inside the surface's box): scene-linear float32 [r,w,3] both."""
        shading, shine = self._reflection.parts(linear)
        if self._epsilon > 0.0:
            shading = smooth(shading, self.margin // 2, self._epsilon)
        if self._glare < 1.0:
            shading = np.where(shading > 1.0, np.power(np.maximum(shading, 1.0), self._glare), shading)
        index = np.minimum(shading * np.float32((TABLE - 1) / SHADING_MAX) + 0.5, TABLE - 1).astype(np.uint16)
        out = self._table[index]
        rows, width = linear.shape[:2]
        out *= upsample_rows(self._field, y0, rows, width, self._height)
        out += (shine * np.float32(self._reflection.luminance))[..., None]
        if self.strength < 1.0:
            out = linear + (out - linear) * np.float32(self.strength)
        return out


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
