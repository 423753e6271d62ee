"""A surface of two reflectances, such as chequered tiles: told from light, so that a material laid on it does not keep the chequers.

Light that falls in patches (sun through a window, the shadow of a table) has two levels too, but its patches are few, and what is around
them is one. A pattern repeats: both of its kinds are many pieces, and no piece is most of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array


@dataclass(frozen=True)
class PatternParameters:
    """When two levels of brightness are a pattern. Chosen on the tuning rooms with chequered floors (8005, 8048, 8073, 8089, 8097)."""

    rounds: int = 8
    """How often levels and light are fitted in turn."""
    max_fit_pixels: int = 20_000
    """Pixels that the fit looks at. Bounds the time."""
    min_contrast: float = 0.3
    """Difference of the levels' log luminance; below it, smoothing takes the pattern out."""
    min_separation: float = 3.0
    """That difference over the standard deviation within the levels."""
    min_pieces: int = 6
    """Pieces that each of the two kinds has at least ..."""
    max_piece: float = 0.4
    """... of which none is a larger share of its kind."""
    min_piece: float = 2e-4
    """Smaller pieces, share of the surface, do not count."""


def without_pattern(log: FloatArray, solid: BoolArray, parameters: PatternParameters = PatternParameters()) -> tuple[FloatArray, BoolArray]:
    """Take a pattern of two reflectances out of a surface's brightness.

    Args:
        log: float32 [h,w], log luminance over any reference.
        solid: bool [h,w], where it is the surface's.
        parameters: what counts as a pattern.

    Returns:
        Log luminance under the light alone, of median 0, and where it is known (not on the border of the two kinds); `log` and `solid`
        where there is no such pattern.
    """
    p = parameters
    if solid.sum() < 200:
        return log, solid
    trend = _trend(log, solid, p)
    if trend is None:
        return log, solid
    light, levels = trend
    rest = log - light
    bright = rest > levels.mean()
    if not (_repeats(bright & solid, p) and _repeats(~bright & solid, p)):
        return log, solid
    flat = rest - np.where(bright, levels[1], levels[0]).astype(np.float32) + light
    border = cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    known = solid & ~border
    if not known.any():
        return log, solid
    return (flat - np.float32(np.median(flat[known]))).astype(np.float32), known


def _trend(log: FloatArray, solid: BoolArray, p: PatternParameters) -> tuple[FloatArray, FloatArray] | None:
    """Light as a quadratic of the place, float32 [h,w], and the two levels on top of it, float32 [2]; None where they are not two."""
    height, width = log.shape
    ys, xs = np.nonzero(solid)
    step = max(1, len(xs) // p.max_fit_pixels)
    ys, xs = ys[::step], xs[::step]
    values = log[ys, xs]

    def terms(x: FloatArray, y: FloatArray) -> FloatArray:
        x, y = x / width - 0.5, y / height - 0.5
        stacked: FloatArray = np.stack([x, y, x * x, x * y, y * y], axis=-1).astype(np.float32)
        return stacked

    at = terms(xs.astype(np.float32), ys.astype(np.float32))
    at = at - at.mean(axis=0)
    slopes = np.zeros(at.shape[1], np.float32)
    kinds = np.zeros(0, bool)
    for _ in range(p.rounds):
        rest = values - at @ slopes
        threshold, _ = cv2.threshold(_as_codes(rest), 0, 255, cv2.THRESH_OTSU)
        low, high = np.percentile(rest, (1, 99))
        kinds = rest > low + (high - low) * (threshold + 0.5) / 255.0
        if kinds.all() or not kinds.any():
            return None
        levels = np.array([np.median(rest[~kinds]), np.median(rest[kinds])], np.float32)
        slopes = np.linalg.lstsq(at, values - np.where(kinds, levels[1], levels[0]), rcond=None)[0].astype(np.float32)
    rest = values - at @ slopes
    levels = np.array([np.median(rest[~kinds]), np.median(rest[kinds])], np.float32)
    spread = max(float(np.median(np.abs(rest[kind] - level))) * 1.4826 for kind, level in zip((~kinds, kinds), levels, strict=True))
    contrast = float(levels[1] - levels[0])
    if contrast < p.min_contrast or contrast < p.min_separation * spread:
        return None
    grid = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    mean = terms(xs.astype(np.float32), ys.astype(np.float32)).mean(axis=0)
    light: FloatArray = ((terms(*grid) - mean) @ slopes).astype(np.float32)
    return light, levels


def _as_codes(values: FloatArray) -> UInt8Array:
    """Values [n] stretched over 0..255, outliers at the ends: uint8 [n,1]."""
    low, high = np.percentile(values, (1, 99))
    codes: UInt8Array = np.clip((values - low) * (255.0 / max(float(high - low), 1e-6)), 0, 255).round().astype(np.uint8)
    return codes[:, None]


def _repeats(kind: BoolArray, p: PatternParameters) -> bool:
    """Whether one kind (bool [h,w]) is many pieces. What only touches at a corner is not one."""
    apart = cv2.erode(kind.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(apart, connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    areas = areas[areas >= max(4.0, p.min_piece * kind.size)]
    return len(areas) >= p.min_pieces and float(areas.max()) <= p.max_piece * float(areas.sum())
