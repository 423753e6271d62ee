"""Colours that do not fit into sRGB: chroma is reduced at constant hue and lightness until they do."""

from __future__ import annotations

import numpy as np

from editing.color import linear_to_oklab, oklab_to_linear
from imaging.arrays import BoolArray, FloatArray

STEPS = 14


def fit(linear: FloatArray) -> FloatArray:
    """Linear [n,3], any values >= 0 -> linear [n,3] in 0..1: OKLab hue and lightness kept, chroma reduced by bisection.

    Lightness above white becomes white, reached smoothly because chroma shrinks on the way.
    """
    lab = linear_to_oklab(linear)
    lab[..., 0] = np.clip(lab[..., 0], 0.0, 1.0)
    low = np.zeros(lab.shape[:-1])
    high = np.ones(lab.shape[:-1])
    inside = _inside(lab)
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        fits = _inside(np.stack([lab[..., 0], lab[..., 1] * middle, lab[..., 2] * middle], axis=-1))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    factor = np.where(inside, 1.0, low)
    fitted = oklab_to_linear(np.stack([lab[..., 0], lab[..., 1] * factor, lab[..., 2] * factor], axis=-1))
    return np.clip(fitted, 0.0, 1.0).astype(np.float32)


def _inside(lab: FloatArray, tolerance: float = 5e-4) -> BoolArray:
    linear = oklab_to_linear(lab)
    return np.all((linear >= -tolerance) & (linear <= 1.0 + tolerance), axis=-1)
