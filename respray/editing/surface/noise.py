"""How noisy a surface is in the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from respray.editing.core.color import LUMINANCE, decode_scene
from respray.imaging.arrays import UInt8Array


@dataclass(frozen=True)
class NoiseParameters:
    """Where and how noise is measured. None is fitted: chosen on the tuning rooms (9000-9019), and the limits by what they mean."""

    block: int = 10
    """Side of the blocks that are measured, pixels."""
    max_blocks: int = 400
    """Number of blocks, about; bounds the time."""
    calm_percentile: float = 25.0
    """Of the blocks' noise: the calmest quarter shows noise, others texture."""
    min_codes: float = 0.3
    """Standard deviation, 8-bit codes: noise is at least rounding to 8 bits, which is 1 / sqrt(12)."""
    max_codes: float = 2.5
    """Standard deviation, 8-bit codes: what is stronger is texture."""


def estimate_noise(crop: UInt8Array, alpha: UInt8Array, solid_alpha: int, parameters: NoiseParameters = NoiseParameters()) -> float:
    """Noise of linear luminance on a surface (Immerkaer, "Fast noise variance estimation", 1996), in the calmest of small solid blocks.

    Args:
        crop: uint8 [h,w,3], sRGB, part of the photo.
        alpha: uint8 [h,w], the surface's matte.
        solid_alpha: alpha from which on a pixel shows nothing but the surface.
        parameters: of the measurement.

    Returns:
        Standard deviation, scene-linear luminance; 0 where no block is solid.
    """
    p = parameters
    height, width = alpha.shape
    if min(height, width) < p.block:
        return 0.0
    step = max(p.block, int((height * width / p.max_blocks) ** 0.5))

    def blocks(image: UInt8Array) -> UInt8Array:
        """Views of every block, their two axes last: one look-up and one filter then serve all of them."""
        windows: UInt8Array = sliding_window_view(image, (p.block, p.block), (0, 1))  # type: ignore[call-overload]
        return windows[::step, ::step]

    solid = blocks(alpha).min(axis=(-1, -2)) >= solid_alpha
    if not solid.any():
        return 0.0
    light = np.einsum("ncyx,c->nyx", decode_scene(np.ascontiguousarray(blocks(crop)[solid])), LUMINANCE)
    # Immerkaer's kernel is the second difference down times the second difference across.
    rough = np.diff(np.diff(light, n=2, axis=1), n=2, axis=2)
    spread = np.abs(rough).mean(axis=(1, 2)) * (np.pi / 2.0) ** 0.5 / 6.0
    level = float(np.median(light.mean(axis=(1, 2))))
    # One 8-bit code is worth this much linear light at that level (slope of the sRGB curve, its linear part below).
    code: float = max(2.4 * level ** (1.4 / 2.4) / 1.055, 1.0 / 12.92) / 255.0
    return min(max(float(np.percentile(spread, p.calm_percentile)), p.min_codes * code), p.max_codes * code)
