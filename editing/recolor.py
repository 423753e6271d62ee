"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + shine (see `editing.reflection`); new pixel = target x shading + shine. The colour of
the light (lamp here, window there) is kept as a smooth ratio field.
"""

from __future__ import annotations

import cv2
import numpy as np

from editing.color import LUMINANCE, hex_to_linear
from editing.field import upsample_rows
from editing.gamut import fit
from editing.request import Recolor
from editing.surface import Surface
from imaging.arrays import FloatArray

SHADING_MAX = 8.0
TABLE = 4096
# The brightest matt parts of a light paint may reach this linear value before the whole surface is exposed down.
HEADROOM = 0.96
LEAST_EXPOSURE = 0.65
# Above this share of the brightest value that the paint can show, brightness is compressed instead of clipped, as a camera does.
KNEE = 0.7
# The light's colour is estimated on a grid this fine and blurred by LIGHT_BLUR cells.
LIGHT_GRID = 64
LIGHT_BLUR = 3.0
LIGHT_RANGE = 0.35


class Recolorer:
    """`Recolor` prepared for one `Surface`; `paint` may be called from several threads."""

    def __init__(self, surface: Surface, rule: Recolor) -> None:
        self.target = hex_to_linear(rule.color)
        self.strength = rule.strength
        self._reflection = surface.reflection
        shading, _ = surface.reflection.parts(surface.small)
        bright = float(np.percentile(shading[surface.solid], 97)) if surface.solid.any() else 1.0
        self.exposure = float(np.clip(HEADROOM / max(float(self.target.max()) * bright, 1e-6), LEAST_EXPOSURE, 1.0))
        steps = np.linspace(0.0, SHADING_MAX, TABLE, dtype=np.float32)[:, None]
        self._table = fit(_shoulder(steps * self.exposure, 1.0 / max(float(self.target.max()), 1e-3)) * self.target[None])
        self._height, self._field = surface.box[3] - surface.box[1], _light_colour(surface)

    def paint(self, y0: int, linear: FloatArray) -> FloatArray:
        """New colour of rows from `y0` (counted inside the surface's box): linear float32 [r,w,3] -> linear float32 [r,w,3]."""
        shading, shine = self._reflection.parts(linear)
        index = np.minimum(shading * np.float32((TABLE - 1) / SHADING_MAX) + 0.5, TABLE - 1).astype(np.uint16)
        out = self._table[index]
        rows, width = linear.shape[:2]
        out *= upsample_rows(self._field, y0, rows, width, self._height)
        # Shine is laid over like a second exposure ("screen"): it adds as light does, and saturates instead of clipping.
        out += (shine * np.float32(self._reflection.luminance))[..., None] * (1.0 - out)
        if self.strength < 1.0:
            out = linear + (out - linear) * np.float32(self.strength)
        return np.clip(out, 0.0, 1.0, out=out)


def _shoulder(shading: FloatArray, top: float) -> FloatArray:
    """Identity up to KNEE x top, then smoothly towards `top` without reaching it."""
    knee = KNEE * top
    over = np.maximum(shading - knee, 0.0)
    return np.minimum(shading, knee) + (top - knee) * (1.0 - np.exp(-over / (top - knee)))


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
