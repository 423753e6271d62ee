"""The light on a surface without the surface's own pattern: what stays when another material is laid on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.field import smooth
from respray.editing.surface.pattern import without_pattern
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class ShadingParameters:
    """What of a surface's brightness is its old pattern and what is light. `python -m tools.fit.shading` fits those again that say so."""

    joint_share: float = 0.008
    """Dark joints and bright scratches thinner than twice this share of the longest side (of the work picture) belong to the old material.
    Refitted by tools.fit.shading."""
    smooth_share: float = 0.03
    """Radius of the edge-preserving smoothing, share of the longest side. Refitted by tools.fit.shading."""
    shadow_contrast: float = 0.12
    """Standard deviation of log shading below which a step is pattern and above which it is shadow. Refitted by tools.fit.shading."""
    passes: int = 2
    """How often it is smoothed. Chosen on the tuning rooms (9000-9019)."""
    min_shading: float = 0.02
    """Shading is clipped here, so that black pixels have a logarithm."""
    max_shading: float = 6.0
    """Shading is clipped here: what is brighter is a lamp or a mirrored window."""


def smooth_shading(surface: Surface, parameters: ShadingParameters = ShadingParameters()) -> FloatArray:
    """Shading of a surface with the old material's joints, grain and pattern taken out.

    Args:
        surface: the surface, whose work picture is used.
        parameters: of the model.

    Returns:
        Float32 [hs,ws], relative to the surface's reference; continued smoothly where the work picture shows other things.
    """
    p = parameters
    shading, _ = surface.reflection.decompose(surface.small)
    log = np.log(np.clip(shading, p.min_shading, p.max_shading)).astype(np.float32)
    log = extrapolate(*without_pattern(log, surface.solid))
    side = max(log.shape)
    joint = 2 * max(1, round(p.joint_share * side)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (joint, joint))
    log = cast(FloatArray, cv2.morphologyEx(cv2.morphologyEx(log, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel))
    for _ in range(p.passes):
        log = smooth(log, max(2, round(p.smooth_share * side)), np.array([p.shadow_contrast**2], np.float32))
    smoothed: FloatArray = np.exp(log)
    return smoothed


def extrapolate(values: FloatArray, known: BoolArray) -> FloatArray:
    """Continue values smoothly over what is unknown, by normalised blurs of growing size.

    After Knutsson, Westin, "Normalized and differential convolution", 1993.

    Args:
        values: float32 [h,w].
        known: bool [h,w], where `values` mean something.

    Returns:
        Float32 [h,w], equal to `values` where `known`.
    """
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
