"""How bright a new paint or material becomes under the photo's light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class ExposureParameters:
    """When a surface is exposed down as a whole, as a photographer does for a pale floor in the sun.

    None is fitted: rendered rooms know no photographer. Chosen on the tuning rooms (9000-9019) by looking at the pictures.
    """

    bright_percentile: float = 97.0
    """Of the surface's shading: its bright parts."""
    max_bright: float = 1.15
    """Scene-linear value that the bright parts may reach in the strongest channel."""
    min_factor: float = 0.8
    """The surface is exposed down to this factor at most (a third of a stop)."""


def choose_exposure(surface: Surface, shading: FloatArray, peak: float, parameters: ExposureParameters = ExposureParameters()) -> float:
    """Choose the factor on the shading of a new material: the photo's light level, and less where bright parts would be pressed against
    white.

    Args:
        surface: what the material is put on.
        shading: float32 [hs,ws], the shading of `surface.small` relative to its reference.
        peak: scene-linear value of the material's largest channel.
        parameters: limits.
    """
    p = parameters
    bright = float(np.percentile(shading[surface.solid], p.bright_percentile)) if surface.solid.any() else 1.0
    return surface.light * float(np.clip(p.max_bright / max(peak * bright * surface.light, 1e-6), p.min_factor, 1.0))
