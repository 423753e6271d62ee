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
    """When a surface is exposed down as a whole, as a photographer does for a pale floor in the sun: floors, and what is laid with another
    material. On painted walls it was a grey veil, and cost half a CIEDE2000 on rooms 7000 to 7119 and 7500 to 7619.

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
    """How often a new paint is about as bright as the old one, so that the photo's own brightness is kept.

    Not fitted: fitted rooms are painted by chance, and people are not: white walls are painted white again, and a wall of one colour in
    another that is about as bright. Chosen on walls of 7000 to 7479 with pairs of whites, of colours and white, of colours, and with paints
    by chance, which pay for it.
    """

    share: float = 0.35
    """Share of jobs whose paints are about as bright as each other, whatever their colours. With half of it, colours for colours are off by
    a sixth more; half as much again costs paints by chance 5 to 9 % more."""
    spread: float = 0.15
    """Standard deviation of the log of the ratio of such paints in their brightest channel."""
    error: float = 0.35
    """Standard deviation of the log of the surface's level: what was measured on rooms that the level was not fitted to."""
    alike_share: float = 0.7
    """Share of jobs whose paints are nearly the same, of those whose colours are."""
    alike_color: float = 0.05
    """Distance of their colours at luminance 1 at which that falls (standard deviation): whites are nearer to each other than to beige."""
    alike_spread: float = 0.05
    """Standard deviation of the log of the ratio of alike paints in their brightest channel."""
    alike_error: float = 0.2
    """Standard deviation of the log of the surface's level there: such surfaces are white, of which it is known better."""
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
    """The surface, nearly as bright as in the photo, where the new paint may be as bright as the old one.

    The level of a surface is known to a third at best, so that of two paints alike each may seem the lighter one. What is certain is how
    bright the photo shows the one in its place. So the ratio of the paints is drawn towards 1, as far as it may be 1: by Bayes' rule,
    between paints that are nearly the same, about as bright, and any. Where it is far from 1, as from dark to light, nothing changes.

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
    alike = p.alike_share * float(np.exp(-((np.linalg.norm(new - old) / p.alike_color) ** 2) / 2.0))
    kinds = np.array([[alike, p.alike_spread, p.alike_error], [(1.0 - alike) * p.share, p.spread, p.error]])
    shares, ours, errors = kinds[:, 0], kinds[:, 1] ** 2, kinds[:, 2] ** 2
    variances = ours + errors
    likely = shares * np.exp(-(ratio**2) / (2.0 * variances)) / (2.0 * np.pi * variances) ** 0.5
    weights = likely / (float(likely.sum()) + (1.0 - float(shares.sum())) / p.range)
    return replace(surface, light=surface.light * float(np.exp(-ratio * float(weights @ (errors / variances)))))
