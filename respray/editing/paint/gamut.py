"""Colours that do not fit into sRGB: chroma is reduced at constant hue and lightness until they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.core.color import SCENE_KNEE, from_display, linear_to_oklab, oklab_to_linear, to_display
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray


@dataclass(frozen=True)
class GamutParameters:
    """How exactly the edge of the gamut is found. By what they mean; there is nothing to fit."""

    steps: int = 14
    """Bisections of the chroma: the edge is found to 2^-14 of it, less than an 8-bit code is worth."""
    tolerance: float = 5e-4
    """Display-linear values may leave 0..1 by this much; half an 8-bit code near white is 0.0045, near black 0.00015."""


def build_paint_table(target: FloatArray, shading: FloatArray) -> FloatArray:
    """A paint under more and more light.

    A camera's shoulder takes bright paint towards white; done per channel it would also turn the hue (orange to yellow), so lightness and
    chroma are taken from it and the hue from the target. A light's tint must not turn it either: as little of it as the shoulder leaves of
    the brightest channel's is put on all of them, or a blue window would make what oak becomes before white pink.

    Args:
        target: float [3], scene-linear RGB of the paint at shading 1.
        shading: float [n,1].

    Returns:
        Float32 [n,4]: scene-linear RGB, and how much of the light's tint shows, 0..1.
    """
    shown = linear_to_oklab(to_display(shading * target))
    hue = linear_to_oklab(to_display(target))[1:]
    length = float(np.hypot(*hue))
    if length > 1e-6:
        shown[:, 1:] = np.hypot(shown[:, 1], shown[:, 2])[:, None] * hue / length
    painted = from_display(fit_to_srgb(shown))
    # The shoulder's slope, `to_display`'s derivative.
    tinted = np.exp(-np.maximum(painted.max(axis=1, keepdims=True) - SCENE_KNEE, 0.0) / (1.0 - SCENE_KNEE))
    table: FloatArray = np.concatenate([painted, tinted], axis=1).astype(np.float32)
    return table


def fit_to_srgb(lab: FloatArray, parameters: GamutParameters = GamutParameters()) -> FloatArray:
    """Reduce chroma, at constant hue and lightness, until a colour fits into sRGB (Ottosson, "sRGB gamut clipping", 2021, by bisection).

    Args:
        lab: float64 [n,3], OKLab.
        parameters: how exactly.

    Returns:
        Float64 [n,3], display-linear RGB in 0..1.

    Example:
        >>> fit_to_srgb(np.array([[1.0, 0.2, 0.0], [0.5, 0.0, 0.0]])).round(3).tolist()
        [[1.0, 1.0, 1.0], [0.125, 0.125, 0.125]]
    """
    lab = lab.copy()
    lab[..., 0] = np.clip(lab[..., 0], 0.0, 1.0)
    factor = np.ones(lab.shape[:-1])
    outside = ~_is_inside(lab, parameters.tolerance)
    if outside.any():
        factor[outside] = _max_factor(lab[outside], parameters)
    return np.clip(oklab_to_linear(_scale_chroma(lab, factor)), 0.0, 1.0)


def _max_factor(lab: FloatArray, parameters: GamutParameters) -> Float64Array:
    """The largest share of its chroma with which each colour [n,3] fits, by bisection."""
    low, high = np.zeros(len(lab)), np.ones(len(lab))
    for _ in range(parameters.steps):
        middle = (low + high) / 2.0
        fits = _is_inside(_scale_chroma(lab, middle), parameters.tolerance)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def _scale_chroma(lab: FloatArray, factor: Float64Array) -> FloatArray:
    return np.stack([lab[..., 0], lab[..., 1] * factor, lab[..., 2] * factor], axis=-1)


def _is_inside(lab: FloatArray, tolerance: float) -> BoolArray:
    red, green, blue = ((-tolerance <= plane) & (plane <= 1.0 + tolerance) for plane in np.moveaxis(oklab_to_linear(lab), -1, 0))
    inside: BoolArray = red & green & blue
    return inside
