"""How bright a new paint or material becomes under the photo's light."""

from __future__ import annotations

import numpy as np

from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray

# The bright parts (this percentile of shading) may reach HEADROOM, in scene-linear light, before the whole surface is exposed down.
BRIGHT_PERCENTILE = 97.0
HEADROOM = 1.15
LEAST = 0.8


def expose(surface: Surface, shading: FloatArray, peak: float) -> float:
    """Factor on the shading of a new material whose largest linear channel is `peak`: the photo's light level, and less where the
    bright parts of the surface (shading float32 [hs,ws]) would be pressed against white.
    """
    bright = float(np.percentile(shading[surface.solid], BRIGHT_PERCENTILE)) if surface.solid.any() else 1.0
    return surface.light * float(np.clip(HEADROOM / max(peak * bright * surface.light, 1e-6), LEAST, 1.0))
