"""Colours that do not fit into sRGB: chroma is reduced at constant hue and lightness until they do."""

from __future__ import annotations

import numpy as np

from respray.editing.core.color import from_display, linear_to_oklab, oklab_to_linear, to_display
from respray.imaging.arrays import BoolArray, FloatArray

STEPS = 14
TOLERANCE = 5e-4


def paint_table(target: FloatArray, shading: FloatArray) -> FloatArray:
    """A paint under more and more light: scene-linear target [3], shading [n,1] -> scene-linear float32 [n,3].

    A camera's shoulder takes bright paint towards white; done per channel it would also turn the hue (orange to yellow), so lightness and
    chroma are taken from it and the hue from the target.
    """
    shown = linear_to_oklab(to_display(shading * target))
    hue = linear_to_oklab(to_display(target))[1:]
    length = float(np.hypot(*hue))
    if length > 1e-6:
        shown[:, 1:] = np.hypot(shown[:, 1], shown[:, 2])[:, None] * hue / length
    return from_display(fit(shown)).astype(np.float32)


def fit(lab: FloatArray) -> FloatArray:
    """OKLab [n,3] -> display-linear [n,3] in 0..1: hue and lightness kept, chroma reduced by bisection."""
    lab = lab.copy()
    lab[..., 0] = np.clip(lab[..., 0], 0.0, 1.0)
    factor = np.ones(lab.shape[:-1])
    outside = ~_inside(lab)
    if outside.any():
        factor[outside] = _largest_factor(lab[outside])
    return np.clip(oklab_to_linear(_reduced(lab, factor)), 0.0, 1.0)


def _largest_factor(lab: FloatArray) -> FloatArray:
    """The largest share of its chroma with which each colour [n,3] fits, by bisection."""
    low, high = np.zeros(len(lab)), np.ones(len(lab))
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        fits = _inside(_reduced(lab, middle))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def _reduced(lab: FloatArray, factor: FloatArray) -> FloatArray:
    return np.stack([lab[..., 0], lab[..., 1] * factor, lab[..., 2] * factor], axis=-1)


def _inside(lab: FloatArray) -> BoolArray:
    linear = oklab_to_linear(lab)
    return np.all((linear >= -TOLERANCE) & (linear <= 1.0 + TOLERANCE), axis=-1)
