"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + highlight. The highlight is the bright, desaturated part that the surface's own
colour cannot explain; the rest of the luminance, divided by the reference's, is the shading. New pixel = target x shading + highlight.
The colour of the light (lamp here, window there) is kept as a smooth ratio field.
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
# Highlights below this share of the reference luminance are texture, not shine.
HIGHLIGHT_FLOOR = 0.25
# Ridge of the split into own colour and white, in squared units of the reference luminance: grey surfaces get no highlight from it.
HIGHLIGHT_RIDGE = 0.06
# The brightest matt parts of a light paint may reach this linear value before the whole surface is exposed down.
HEADROOM = 0.96
LEAST_EXPOSURE = 0.75
# The light's colour is estimated on a grid this fine and blurred by LIGHT_BLUR cells.
LIGHT_GRID = 64
LIGHT_BLUR = 3.0
LIGHT_RANGE = 0.35


class Recolorer:
    """`Recolor` prepared for one `Surface`; `paint` may be called from several threads."""

    def __init__(self, surface: Surface, rule: Recolor) -> None:
        self.target = hex_to_linear(rule.color)
        self.strength = rule.strength
        reference, light = surface.reference, surface.reference_luminance
        white = np.full(3, 1.0, np.float32)
        axis = reference / light
        basis = np.stack([axis, white], axis=1).astype(np.float64)
        normal = basis.T @ basis + np.diag([0.0, HIGHLIGHT_RIDGE])
        shine = (np.linalg.inv(normal) @ basis.T)[1]
        self._split = np.stack([LUMINANCE / light, shine / light]).astype(np.float32)
        self._light = light
        small_y = surface.small @ LUMINANCE / light
        bright = float(np.percentile(small_y[surface.solid], 97)) if surface.solid.any() else 1.0
        self.exposure = float(np.clip(HEADROOM / max(float(self.target.max()) * bright, 1e-6), LEAST_EXPOSURE, 1.0))
        steps = np.linspace(0.0, SHADING_MAX, TABLE, dtype=np.float32)[:, None]
        self._table = fit(steps * self.target[None] * self.exposure)
        self._box, self._field = surface.box, _light_colour(surface)

    def paint(self, y0: int, linear: FloatArray) -> FloatArray:
        """New colour of rows from `y0` (counted inside the surface's box): linear float32 [r,w,3] -> linear float32 [r,w,3]."""
        split = cv2.transform(linear, self._split)
        shading, shine = split[..., 0], split[..., 1]
        shine = np.maximum(shine - HIGHLIGHT_FLOOR, 0.0)
        shading = np.maximum(shading - shine, 0.0)
        index = np.minimum(shading * np.float32((TABLE - 1) / SHADING_MAX) + 0.5, TABLE - 1).astype(np.uint16)
        out = self._table[index]
        rows, width = linear.shape[:2]
        out *= upsample_rows(self._field, y0, rows, width, self._box[3] - self._box[1])
        out += (shine * np.float32(self._light))[..., None]
        if self.strength < 1.0:
            out = linear + (out - linear) * np.float32(self.strength)
        return np.clip(out, 0.0, 1.0, out=out)


def _light_colour(surface: Surface) -> FloatArray:
    """Smooth colour of the light relative to the surface's average, float32 [hs,ws,3], luminance-neutral, clipped to plausible lamps."""
    weight = surface.solid.astype(np.float32)
    size = (LIGHT_GRID, LIGHT_GRID)
    weighted = cv2.resize(surface.small * weight[..., None], size, interpolation=cv2.INTER_AREA)
    mass = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    colour = cv2.GaussianBlur(weighted, (0, 0), LIGHT_BLUR) + surface.reference * 1e-3
    mass = cv2.GaussianBlur(mass, (0, 0), LIGHT_BLUR) + 1e-3
    colour /= mass[..., None]
    ratio = colour / surface.reference
    ratio /= np.maximum((colour @ LUMINANCE) / surface.reference_luminance, 1e-4)[..., None]
    # A channel in which the surface reflects next to nothing says nothing about the light.
    trust = np.clip(surface.reference / surface.reference_luminance / 0.5, 0.0, 1.0)
    ratio = 1.0 + (np.clip(ratio, 1.0 - LIGHT_RANGE, 1.0 + LIGHT_RANGE) - 1.0) * trust
    return ratio.astype(np.float32)
