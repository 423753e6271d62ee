"""Where a surface is burnt out in the photo, the light was stronger than the picture says: by how much, at a guess."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.core.color import min_channel
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class BurntAreaParameters:
    """Parameters of the light in burnt-out patches. `python -m tools.fit.recolor` tries those again that say so.

    The others were chosen on the tuning rooms (9000-9019) by looking at a lamp's glow on a ceiling, sun on a floor and windows behind
    curtains. Lengths are shares of the work picture's longest side.
    """

    gain: float = 2.0
    """In the middle of a patch there was up to 1 + this times the light that the picture says. Refitted by tools.fit.recolor."""
    glow_scales: tuple[float, float, float] = (0.015, 0.06, 0.15)
    """Standard deviations of the blurs with which the gain rises from a patch's edge: a lamp's glow is wide, a sunlit patch is not."""
    max_side: int = 140
    """Patches are found on a picture with this longest side, pixels. Bounds the time."""
    near_window: int = 3
    """Side of the window, pixels, that reaches from a patch to the pixels which count as its edge."""
    beside_window: int = 7
    """Side of the window that reaches to the pixels beside it, from `near_window` on. A patch's edge is sharp where most of these are
    dark."""
    max_dark: float = 0.75
    """Scene-linear value of the darkest channel below which those pixels are dark."""
    burnt_from: float = 1.0
    """Scene-linear value of a pixel's darkest channel from which on it counts as burnt out. Refitted by tools.fit.recolor."""
    burnt_to: float = 1.45
    """Scene-linear value of a pixel's darkest channel from which on it surely is."""


def find_burnt_areas(surface: Surface, parameters: BurntAreaParameters = BurntAreaParameters()) -> FloatArray | None:
    """How much more light fell on every pixel than a burnt-out picture says.

    A glow grows from the edge of its patch to the middle. Sun on a floor or a window behind a curtain is as strong at its edge: such a
    patch is known by the dark right beside it.

    Args:
        surface: the surface, whose work picture is looked at.
        parameters: of the model.

    Returns:
        Float32 [h,w] in 0..1, a small picture of the surface's box; None where nothing is burnt out.
    """
    p = parameters
    darkest = min_channel(surface.small)
    if not ((darkest > p.burnt_to) & surface.solid).any():
        return None
    scale = min(1.0, p.max_side / max(darkest.shape))
    size = (max(1, round(darkest.shape[1] * scale)), max(1, round(darkest.shape[0] * scale)))
    # The lamp or window beside the surface belongs to the patch.
    burnt, dark, solid = (
        cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for plane in (darkest > p.burnt_to, darkest < p.max_dark, surface.solid)
    )
    side = max(burnt.shape)
    inside = np.mean([cv2.GaussianBlur(burnt, (0, 0), scale * side) for scale in p.glow_scales], axis=0)
    glow = np.clip(2.0 * inside - 1.0, 0.0, 1.0)
    near, beside = (cv2.dilate(burnt, np.ones((window, window), np.uint8)) for window in (p.near_window, p.beside_window))
    ring = (beside - near) * solid
    sharp, around = (cv2.GaussianBlur(plane, (0, 0), p.glow_scales[-1] * side) for plane in (ring * dark, ring))
    sharp = np.clip(2.0 * sharp / np.maximum(around, 1e-6) - 1.0, 0.0, 1.0)
    excess: FloatArray = (glow + sharp * np.maximum(near - glow, 0.0)).astype(np.float32)
    return excess
