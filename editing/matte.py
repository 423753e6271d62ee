"""Low-resolution probabilities -> a soft matte at the photo's resolution, guided by the photo, in a narrow band around the edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.arrays import FloatArray, UInt8Array


@dataclass(frozen=True)
class Matte:
    """Soft selection of one concept: `alpha` uint8 [H,W] over the whole photo (0 = untouched, 255 = fully selected)."""

    alpha: UInt8Array

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the pixels above 0, half open; all zero where nothing is selected."""
        x, y, width, height = cv2.boundingRect(self.alpha)
        return x, y, x + width, y + height

    @property
    def coverage(self) -> float:
        """Share of the photo that is selected, 0..1."""
        return float(self.alpha.mean(dtype=np.float64)) / 255.0


# Half width of the band in which the edge may move, in pixels of the low-resolution mask: a mask pixel is uncertain by about one.
BAND_MASK_PIXELS = 1.5
GUIDE_EPSILON = 1e-4


def refine(probability: UInt8Array, photo: UInt8Array) -> Matte:
    """Probabilities uint8 [h,w] (255 = certainly the concept) + photo uint8 [H,W,3] sRGB -> `Matte` at the photo's size."""
    height, width = photo.shape[:2]
    low_h, low_w = probability.shape
    coarse = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255.0
    radius = max(1, round(BAND_MASK_PIXELS * max(width / low_w, height / low_h)))
    return Matte(_snap(coarse, photo, radius))


def from_user_mask(mask: FloatArray, photo: UInt8Array) -> Matte:
    """A user's mask float32 [H,W] 0..1 -> `Matte`. A hard mask is snapped to the photo's edges within a few pixels; a soft one is kept."""
    soft = float(np.mean((mask > 0.02) & (mask < 0.98)))
    perimeter = 4.0 * (mask.shape[0] + mask.shape[1]) / mask.size
    if soft > 2.0 * perimeter:
        return Matte(np.round(mask * 255.0).astype(np.uint8))
    radius = max(1, round(0.004 * max(mask.shape)))
    return Matte(_snap(mask, photo, radius))


def _snap(coarse: FloatArray, photo: UInt8Array, radius: int) -> UInt8Array:
    hard = (coarse > 0.5).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inside, outside = cv2.erode(hard, kernel), cv2.dilate(hard, kernel)
    fine = _guided(photo, coarse, radius)
    fine = np.clip((fine - 0.5) * 1.6 + 0.5, 0.0, 1.0)
    fine = np.where(inside > 0, 1.0, np.where(outside > 0, fine, 0.0))
    alpha = np.round(fine * 255.0).astype(np.uint8)
    alpha[alpha < 6] = 0
    alpha[alpha > 249] = 255
    return alpha


def _guided(photo: UInt8Array, values: FloatArray, radius: int) -> FloatArray:
    """Guided filter with a colour guide (He, Sun, Tang 2013)."""
    guide = photo.astype(np.float32) / 255.0
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(array: FloatArray) -> FloatArray:
        return cv2.boxFilter(array, -1, size)

    mean_i, mean_p = mean(guide), mean(values)
    cov_ip = mean(guide * values[..., None]) - mean_i * mean_p[..., None]
    r, g, b = cv2.split(guide)
    mr, mg, mb = cv2.split(mean_i)
    rr, gg, bb = mean(r * r) - mr * mr + GUIDE_EPSILON, mean(g * g) - mg * mg + GUIDE_EPSILON, mean(b * b) - mb * mb + GUIDE_EPSILON
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = irr * rr + irg * rg + irb * rb
    cr, cg, cb = cv2.split(cov_ip)
    ar = (irr * cr + irg * cg + irb * cb) / determinant
    ag = (irg * cr + igg * cg + igb * cb) / determinant
    ab = (irb * cr + igb * cg + ibb * cb) / determinant
    offset = mean_p - ar * mr - ag * mg - ab * mb
    return np.clip(mean(ar) * r + mean(ag) * g + mean(ab) * b + mean(offset), 0.0, 1.0)


def feather(matte: Matte, radius: float) -> Matte:
    """Soften the edge by a Gaussian of `radius` pixels (0 changes nothing)."""
    if radius <= 0.0:
        return matte
    return Matte(cv2.GaussianBlur(matte.alpha, (0, 0), radius))


def unite(mattes: list[Matte]) -> Matte:
    """The union (pixel-wise maximum) of at least one matte."""
    alpha = mattes[0].alpha
    for other in mattes[1:]:
        alpha = cv2.max(alpha, other.alpha)
    return Matte(alpha)


def complement(matte: Matte) -> Matte:
    """Everything but `matte`."""
    return Matte(cv2.bitwise_not(matte.alpha))


def without(matte: Matte, above: UInt8Array) -> Matte:
    """`matte` where `above` (uint8 alpha [H,W] of what lies in front of it) leaves it visible."""
    return Matte(cv2.multiply(matte.alpha, cv2.bitwise_not(above), scale=1.0 / 255.0))
