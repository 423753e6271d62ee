"""How bright a new paint or material becomes under the photo's light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from respray.editing.core.color import LUMINANCE, from_display, hex_to_linear
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray

# Nothing is divided by that is smaller than this.
MIN_LIGHT = 1e-3


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


@dataclass(frozen=True)
class LikeParameters:
    """When old and new paint are taken for nearly the same, so that the photo's own brightness is kept.

    Not fitted: fitted rooms are painted by chance, people paint white walls white again. Chosen on the tuning rooms (9000-9009; `color` on
    walls of 7000-7479) with pairs of whites, of colours and white, and of colours.
    """

    share: float = 0.7
    """Share of jobs whose paints are alike, of those whose colours are."""
    color: float = 0.05
    """Distance of their colours at luminance 1 at which that falls (standard deviation): whites are nearer to each other than to beige."""
    spread: float = 0.05
    """Standard deviation of the log of the ratio of alike paints in their brightest channel."""
    error: float = 0.2
    """Standard deviation of the log of the surface's level, so that paints which seem further apart are."""
    range: float = 3.0
    """Log of the range that other paints' ratios are spread over: from a twentieth to one."""


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


def keep_brightness(surface: Surface, color: str, parameters: LikeParameters = LikeParameters()) -> Surface:
    """The surface, nearly as bright as in the photo, where the new paint is like the old one.

    The level of a surface is known to some ten percent at best, so that of two whites each may seem the lighter one. What is certain is how
    bright the photo shows the one in its place. So the ratio of such paints is drawn towards 1, as far as it may be 1 (Bayes' rule,
    between alike paints and any).

    Args:
        surface: as found.
        color: '#rrggbb', the new paint.
        parameters: of that choice.

    Returns:
        The surface with another `light`.
    """
    p = parameters
    target, seen = from_display(hex_to_linear(color)), surface.reflection.reference / surface.tint
    ratio = float(np.log(max(float(target.max()), MIN_LIGHT) * surface.light / max(float(surface.reflection.reference.max()), MIN_LIGHT)))
    new, old = (paint / max(float(paint @ LUMINANCE), MIN_LIGHT) for paint in (target, seen))
    apart = float(np.linalg.norm(new - old))
    variance = p.spread**2 + p.error**2
    likely = float(np.exp(-(ratio**2) / (2.0 * variance)) / (2.0 * np.pi * variance) ** 0.5)
    share = p.share * float(np.exp(-(apart**2) / (2.0 * p.color**2)))
    weight = share * likely / (share * likely + (1.0 - share) / p.range)
    return replace(surface, light=surface.light * float(np.exp(-ratio * weight * p.error**2 / variance)))
