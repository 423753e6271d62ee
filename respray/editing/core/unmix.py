"""Pixels that show a surface and what lies around it at once: how much of each, what both look like, and the same in a new colour.

Every function works on lists of n pixels in scene-linear light. The model is the compositing equation (Porter, Duff, "Compositing digital
images", 1984): pixel = share x foreground + (1 - share) x background. What this does not explain of a pixel is its residual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import boolean, float32, float64, uint8, void
from numba.core.types import UniTuple

from respray.editing.core.compiled import compiled, compiled_for
from respray.imaging.arrays import FloatArray, UInt8Array


@dataclass(frozen=True)
class UnmixParameters:
    """When the colours of a pixel say how much of it a surface has.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    min_contrast: float = 0.1
    """Foreground and background that differ by less (distance over the brighter one) cannot tell the share."""
    sure_contrast: float = 0.35
    """From this contrast on they surely can; the trust rises linearly in between."""
    max_off_line: float = 0.25
    """A pixel further from the line between both colours (share of their distance) is a third thing, surely at twice as far."""
    min_share: float = 0.02
    """Less than this of the surface is noise and counts as none."""
    grain: float = 0.04
    """In a pixel that the matte claims wholly, less than this of something else is grain; surely something else at twice as much."""
    max_own_grain: float = 0.3
    """Grain is no more than this share of the surface's own light: beside something white, 4 % of that is most of what a black surface
    shows."""


@dataclass(frozen=True)
class MixedPixels:
    """Pixels and the smooth colours around them, each scene-linear RGB float32 [n,3].

    Attributes:
        linear: the pixels.
        foreground: the surface's colour around them.
        background: the colour of what lies around the surface.
    """

    linear: FloatArray
    foreground: FloatArray
    background: FloatArray


def estimate_coverage(
    mixed: MixedPixels,
    alpha: UInt8Array,
    max_tail_share: FloatArray,
    *,
    may_grow: bool = False,
    parameters: UnmixParameters = UnmixParameters(),
) -> FloatArray:
    """Estimate the surface's share of mixed pixels: the matte's, corrected by what the photo shows there.

    A mask is off by a pixel here and there. Where it claims more of a bright surface than a pixel holds, taking that much out would leave
    less than no light.

    Args:
        mixed: n pixels.
        alpha: uint8 [n], the matte.
        max_tail_share: float32 [t], the largest share at each alpha of the matte's tail (below t), which as opacity means none.
        may_grow: the share may also be more than the matte claims: for a cut-out, in which the old colour would stay as a seam. (A new
            colour must not spread so: what looks like the surface right beside it may be another thing.)
        parameters: of the estimate.

    Returns:
        Float32 [n], 0..1.
    """
    share = np.empty(len(alpha), np.float32)
    p = parameters
    limits = (p.min_contrast, p.sure_contrast, p.max_off_line, p.min_share, p.grain, p.max_own_grain)
    _estimate_coverage(mixed.linear, alpha, mixed.foreground, mixed.background, max_tail_share, may_grow, limits, share)
    return share


@compiled_for(
    void(float32[:, ::1], uint8[::1], float32[:, ::1], float32[:, ::1], float32[::1], boolean, UniTuple(float64, 6), float32[::1])
)
def _estimate_coverage(
    linear: FloatArray,
    alpha: UInt8Array,
    fore: FloatArray,
    back: FloatArray,
    max_tail_share: FloatArray,
    may_grow: bool,
    limits: tuple[float, float, float, float, float, float],
    share: FloatArray,
) -> None:
    """`limits`: the fields of `UnmixParameters`, in their order."""
    min_contrast, sure_contrast, max_off_line, min_share, grain, max_own_grain = limits
    for i in range(len(alpha)):
        tail = alpha[i] < len(max_tail_share)
        claimed = 0.0 if tail else alpha[i] / 255.0
        # Along the line from the background's colour to the foreground's, and off it.
        square = along = here = bright_fore = bright_back = 0.0
        for c in range(3):
            axis, own = fore[i, c] - back[i, c], linear[i, c] - back[i, c]
            square += axis * axis
            along += own * axis
            here += own * own
            bright_fore += fore[i, c] ** 2
            bright_back += back[i, c] ** 2
        square = max(square, 1e-8)
        seen = along / square
        off = math.sqrt(max(here - along * seen, 0.0) / square)
        contrast = math.sqrt(square / max(bright_fore, bright_back, 1e-8))
        trust = min(max((contrast - min_contrast) / (sure_contrast - min_contrast), 0.0), 1.0)
        trust *= min(max(2.0 - off / max_off_line, 0.0), 1.0)
        limit = claimed
        if may_grow:
            limit = float(max_tail_share[alpha[i]]) if tail else 1.0
        if alpha[i] == 255:
            # Well inside, a little of something else is grain, noise or JPEG's.
            own_grain = min(grain, max_own_grain * math.sqrt(bright_fore / square))
            seen = 1.0 - max(min(1.0 - seen, 2.0 * (1.0 - seen - own_grain)), 0.0)
        claimed += trust * (min(max(seen, 0.0), limit) - claimed)
        share[i] = claimed if claimed >= min_share else 0.0


@compiled
def _residual(pixel: np.float32, share: np.float32, fore: np.float32, back: np.float32) -> np.float32:
    """What the mixture of two colours does not explain of a pixel (one channel)."""
    return pixel - share * fore - (np.float32(1) - share) * back


@compiled
def _background(share: np.float32, back: np.float32, residual: np.float32) -> np.float32:
    """The background's own colour in a pixel (one channel): its share of the residual is its own."""
    return max(back + (np.float32(1) - share) * residual, np.float32(0))


def estimate_foreground(mixed: MixedPixels, share: FloatArray) -> FloatArray:
    """Estimate the surface's own colour in mixed pixels (Forte, "Approximate fast foreground colour estimation", 2021).

    Args:
        mixed: n pixels.
        share: float32 [n], the surface's share of each, 0..1.

    Returns:
        Scene-linear RGB float32 [n,3].

    Example:
        >>> grey, red, white = (np.array([c], np.float32) for c in ((0.5, 0.25, 0.25), (0.5, 0.0, 0.0), (0.5, 0.5, 0.5)))
        >>> estimate_foreground(MixedPixels(grey, red, white), np.array([0.5], np.float32)).tolist()
        [[0.5, 0.0, 0.0]]
    """
    own = np.empty_like(mixed.linear)
    _estimate_foreground(mixed.linear, share, mixed.foreground, mixed.background, own)
    return own


@compiled_for(void(float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1]))
def _estimate_foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray, own: FloatArray) -> None:
    for i in range(len(share)):
        for c in range(3):
            residual = _residual(linear[i, c], share[i], fore[i, c], back[i, c])
            own[i, c] = max(fore[i, c] + share[i] * residual, np.float32(0))


def estimate_background(mixed: MixedPixels, share: FloatArray) -> FloatArray:
    """Estimate what lies around the surface in mixed pixels; where nothing of it shows, its smooth extension. As `estimate_foreground`."""
    behind = np.empty_like(mixed.linear)
    _estimate_background(mixed.linear, share, mixed.foreground, mixed.background, behind)
    return behind


@compiled_for(void(float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1]))
def _estimate_background(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray, behind: FloatArray) -> None:
    for i in range(len(share)):
        for c in range(3):
            behind[i, c] = _background(share[i], back[i, c], _residual(linear[i, c], share[i], fore[i, c], back[i, c]))


def recomposite(mixed: MixedPixels, share: FloatArray, own: FloatArray, painted: FloatArray) -> FloatArray:
    """Exchange the surface's colour in mixed pixels.

    The residual of a pixel is partly the surface's (in `own`), partly the background's, and partly the mask's error: that last part goes as
    far as the edit makes the surface darker, or a white surface's error would outshine a black one's.

    Args:
        mixed: n pixels.
        share: float32 [n], the surface's share of each, 0..1.
        own: scene-linear float32 [n,3], what `estimate_foreground` says.
        painted: scene-linear float32 [n,3], `own` in the new colour.

    Returns:
        The new pixels, scene-linear RGB float32 [n,3].
    """
    result = np.empty_like(mixed.linear)
    _recomposite(mixed.linear, share, mixed.foreground, mixed.background, own, painted, result)
    return result


@compiled_for(void(float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1]))
def _recomposite(
    linear: FloatArray,
    share: FloatArray,
    fore: FloatArray,
    back: FloatArray,
    own: FloatArray,
    painted: FloatArray,
    result: FloatArray,
) -> None:
    none, one, two = np.float32(0), np.float32(1), np.float32(2)
    for i in range(len(share)):
        a = share[i]
        for c in range(3):
            residual = _residual(linear[i, c], a, fore[i, c], back[i, c])
            behind = _background(a, back[i, c], residual)
            kept = min(max(painted[i, c] / max(own[i, c], np.float32(1e-4)), none), one)
            result[i, c] = max(a * painted[i, c] + (one - a) * behind + two * a * (one - a) * kept * residual, none)
