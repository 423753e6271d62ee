"""The light on a surface without the surface's own pattern: what stays when another material is laid on it."""

from __future__ import annotations

import cv2
import numpy as np

from respray.editing.core.field import smooth
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray

# Dark joints and bright scratches thinner than this share of the longest side (work resolution) belong to the old material.
JOINT_SHARE = 0.008
# Radius of the edge-preserving smoothing, and the contrast (log units, squared) below which a step is pattern and above which it is shadow.
SMOOTH_SHARE = 0.03
SHADOW_CONTRAST = 0.12**2
SHADING_LIMITS = (0.02, 6.0)


def smooth_shading(surface: Surface) -> FloatArray:
    """Shading of `surface` relative to its reference, float32 [hs,ws], with the old material's joints, grain and pattern taken out."""
    shading, _ = surface.reflection.parts(surface.small)
    log = np.log(np.clip(shading, *SHADING_LIMITS)).astype(np.float32)
    log = extend(log, surface.solid)
    side = max(log.shape)
    joint = 2 * max(1, round(JOINT_SHARE * side)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (joint, joint))
    log = cv2.morphologyEx(cv2.morphologyEx(log, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    for _ in range(2):
        log = smooth(log, max(2, round(SMOOTH_SHARE * side)), SHADOW_CONTRAST)
    return np.exp(log)


def extend(values: FloatArray, known: BoolArray) -> FloatArray:
    """Values float32 [h,w] where `known`, smoothly extended over the rest (normalised blurs of growing size)."""
    weight = known.astype(np.float32)
    total, mass = np.zeros_like(values), np.full(values.shape, 1e-12, np.float32)
    share, size = 1.0, 5
    while size < 2 * max(values.shape):
        mass += share * cv2.boxFilter(weight, -1, (size, size), borderType=cv2.BORDER_CONSTANT)
        total += share * cv2.boxFilter(values * weight, -1, (size, size), borderType=cv2.BORDER_CONSTANT)
        share, size = share * 1e-3, size * 3
        if share < 1e-10:
            break
    return np.where(known, values, total / mass).astype(np.float32)
