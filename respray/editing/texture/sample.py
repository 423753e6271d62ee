"""Sampling a repeating image in perspective without aliasing: a mip pyramid in linear light, and several taps along the longer axis of each
pixel's footprint (after Heckbert, "Fundamentals of texture mapping", 1989, and McCormack et al., "Feline", 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.color import decode_srgb
from respray.imaging.arrays import FloatArray, UInt8Array


@dataclass(frozen=True)
class SamplingParameters:
    """How exactly a texture is sampled, and what counts as a seam. By what they mean and by time; nothing is fitted."""

    max_taps: int = 8
    """Samples along the longer axis of a pixel's footprint: footprints up to this many times as long as wide stay sharp."""
    max_side: int = 2048
    """Textures larger than this (longest side, pixels) are reduced first. Bounds memory."""
    seam_ratio: float = 3.0
    """A seam is visible when the mean step across the edge is this many times the usual step between neighbours."""
    min_step: float = 1e-4
    """Linear RGB: usual steps below this count as this, so that a plain picture has no seam by rounding."""
    blend_share: float = 1 / 12
    """Share of the picture that is faded into its opposite border."""
    peak_percentile: float = 95.0
    """Of the picture's largest channel: its bright parts, which exposure looks at."""
    min_depth: float = 1e-3
    """Share of the picture's largest depth (reciprocal of distance) that every pixel has at least: what lies beyond the horizon is sampled
    as if it were far away."""


@dataclass(frozen=True)
class Material:
    """A repeating material.

    Attributes:
        levels: float32 [h/2^k, w/2^k, 3] for each k, linear RGB, repeating in both directions.
        peak: linear, the largest channel of its bright parts.
        size_m: width and height of one repeat, metres.
        gloss: 0..1, how much of the photo's specular light it shows.
        repeats: whether it does; one that does not ends with its borders' colours.
    """

    levels: list[FloatArray]
    peak: float
    size_m: tuple[float, float]
    gloss: float
    repeats: bool = True


def make_material(
    image: UInt8Array,
    size_m: tuple[float, float],
    gloss: float,
    parameters: SamplingParameters = SamplingParameters(),
    *,
    repeats: bool = True,
) -> Material:
    """Build the pyramid of a picture; one that repeats and has visible seams is cross-faded into a seamless one.

    Args:
        image: uint8 [h,w,3], sRGB.
        size_m: width and height of the picture, metres.
        gloss: as in `Material`.
        parameters: what counts as a seam.
        repeats: as in `Material`.

    Example:
        >>> [level.shape for level in make_material(np.zeros((16, 32, 3), np.uint8), (2.0, 1.0), 0.0).levels]
        [(16, 32, 3), (8, 16, 3), (4, 8, 3)]
    """
    height, width = image.shape[:2]
    scale = parameters.max_side / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cast(UInt8Array, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    linear = decode_srgb(image)
    for axis in (0, 1):
        if repeats and _has_seam(linear, axis, parameters):
            linear = _cross_fade(linear, axis, parameters.blend_share)
    levels: list[FloatArray] = [np.ascontiguousarray(linear, dtype=np.float32)]
    red, green, blue = cv2.split(levels[0])
    peak = float(np.percentile(cv2.max(cv2.max(red, green), blue), parameters.peak_percentile))
    while min(levels[-1].shape[:2]) > 4:
        height, width = levels[-1].shape[:2]
        half = cv2.resize(levels[-1], (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        levels.append(cast(FloatArray, half))
    return Material(levels, peak, size_m, gloss, repeats)


def sample_material(
    material: Material,
    to_repeat: FloatArray,
    x0: int,
    y0: int,
    rows: int,
    width: int,
    parameters: SamplingParameters = SamplingParameters(),
) -> FloatArray:
    """Find the colours of a rectangle of photo pixels.

    Args:
        material: what is sampled.
        to_repeat: float64 [3,3], homogeneous photo pixels -> homogeneous repeats (1 = one texture width or height).
        x0: first column of the rectangle, photo pixels.
        y0: first row.
        rows: height of the rectangle.
        width: of the rectangle.
        parameters: how exactly.

    Returns:
        Float32 [rows,width,3], linear RGB.
    """
    xs = np.arange(x0, x0 + width, dtype=np.float64)[None] + 0.5
    ys = np.arange(y0, y0 + rows, dtype=np.float64)[:, None] + 0.5
    h = to_repeat
    depth = h[2, 0] * xs + h[2, 1] * ys + h[2, 2]
    depth = np.maximum(depth, parameters.min_depth * max(float(np.abs(depth).max()), 1e-12))
    u = (h[0, 0] * xs + h[0, 1] * ys + h[0, 2]) / depth
    v = (h[1, 0] * xs + h[1, 1] * ys + h[1, 2]) / depth
    base_h, base_w = material.levels[0].shape[:2]
    # Derivatives of the projective map, in texels of level 0 per photo pixel.
    ux, uy = ((h[0, i] - u * h[2, i]) / depth * base_w for i in range(2))
    vx, vy = ((h[1, i] - v * h[2, i]) / depth * base_h for i in range(2))
    long_u, long_v, long, short = _footprint(ux, uy, vx, vy)
    taps = int(np.clip(np.ceil(np.percentile(long / np.maximum(short, 1e-6), 90)), 1, parameters.max_taps))
    level = np.log2(np.maximum(np.maximum(short, long / taps), 1.0))
    level = np.minimum(level, len(material.levels) - 1).astype(np.float32)
    if material.repeats:
        u, v = u - np.floor(u), v - np.floor(v)
    at, border = (_wrapped, cv2.BORDER_WRAP) if material.repeats else (_clamped, cv2.BORDER_REPLICATE)
    out = np.zeros((rows, width, 3), np.float32)
    for index in range(int(level.min()), int(np.ceil(level.max())) + 1):
        weight = np.maximum(1.0 - np.abs(level - index), 0.0)
        if not weight.any():
            continue
        image = material.levels[min(index, len(material.levels) - 1)]
        height_k, width_k = image.shape[:2]
        total = np.zeros_like(out)
        for tap in range(taps):
            shift = (tap + 0.5) / taps - 0.5
            map_x = at(u + long_u * shift / base_w) * width_k - 0.5
            map_y = at(v + long_v * shift / base_h) * height_k - 0.5
            total += cv2.remap(image, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=border)
        out += total * (weight / taps)[..., None]
    return out


def _wrapped(place: FloatArray) -> FloatArray:
    """Of one repeat, 0..1."""
    wrapped: FloatArray = np.mod(place, 1.0)
    return wrapped


def _clamped(place: FloatArray) -> FloatArray:
    """Of the only one, 0..1."""
    return np.clip(place, 0.0, 1.0)


def _footprint(ux: FloatArray, uy: FloatArray, vx: FloatArray, vy: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Major axis vector and both axis lengths (texels) of the ellipse that a photo pixel covers."""
    a, b, c = ux * ux + uy * uy, ux * vx + uy * vy, vx * vx + vy * vy
    half, spread = (a + c) / 2.0, np.sqrt(((a - c) / 2.0) ** 2 + b * b)
    long, short = np.sqrt(half + spread), np.sqrt(np.maximum(half - spread, 0.0))
    angle = 0.5 * np.arctan2(2.0 * b, a - c)
    return np.cos(angle) * long, np.sin(angle) * long, long, short


def _has_seam(linear: FloatArray, axis: int, parameters: SamplingParameters) -> bool:
    if linear.shape[axis] < 2:
        return False
    across = float(np.abs(np.take(linear, 0, axis) - np.take(linear, -1, axis)).mean())
    usual = float(np.abs(np.diff(linear, axis=axis)).mean())
    return across > parameters.seam_ratio * max(usual, parameters.min_step)


def _cross_fade(linear: FloatArray, axis: int, blend_share: float) -> FloatArray:
    """Drop a border strip and fade it into the opposite border, so that the picture repeats."""
    size = linear.shape[axis]
    overlap = max(1, int(size * blend_share))
    ramp = np.linspace(0.0, 1.0, overlap, dtype=np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    body = np.take(linear, range(size - overlap), axis).copy()
    start, end = np.take(linear, range(overlap), axis), np.take(linear, range(size - overlap, size), axis)
    blended = end * (1.0 - ramp) + start * ramp
    if axis == 0:
        body[:overlap] = blended
    else:
        body[:, :overlap] = blended
    return body
