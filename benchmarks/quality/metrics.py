"""How far an edit is from the truth. Images are uint8 [H,W,3] sRGB, masks bool [H,W]."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.core.color import LUMINANCE, decode_srgb, delta_e_2000, encode_srgb, srgb8_to_lab
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# Pixels this close to the mask's edge belong to the halo measure, not to the colour measure.
HALO_PIXELS = 3
# Log luminance is meaningless below this linear value (sRGB code 10).
LOG_FLOOR = 0.003
# A gradient is seen when it is this many times the noise's (standard deviation), and a surface has relief when so many pixels show one.
RELIEF_OVER_NOISE = 2.0
MIN_RELIEF_PIXELS = 200


@dataclass(frozen=True)
class ColourScore:
    """CIEDE2000 to the truth inside the mask: `mean`/`p95` after one exposure factor per surface, `raw_mean`/`raw_p95` without.

    Correlations of the gradients of log luminance with the truth's: `gradient` over the whole surface, sensor noise and all, of which a
    flawless edit without any noise reaches `gradient_limit`; `relief` where the noiseless truth's gradient stands above that noise (NaN on
    a surface without such places), which a picture with the camera's noise reaches to `relief_limit` (the truth itself against the
    noiseless truth). `kept`: with the photo's, how much of its light and grain is still there.
    """

    mean: float
    p95: float
    raw_mean: float
    raw_p95: float
    gradient: float
    halo_p95: float
    relief: float
    relief_limit: float
    gradient_limit: float
    kept: float


def score(edit: UInt8Array, photo: UInt8Array, truth: UInt8Array, calm: UInt8Array, mask: BoolArray) -> ColourScore:
    """Compare an edit of `photo` with the re-rendered truth, and with `calm`, the same without noise and JPEG. `mask` is the exact mask;
    edge pixels count only for the halo.
    """
    solid = inner(mask, HALO_PIXELS)
    if solid.sum() < 50:
        solid = mask
    factor = exposure_between(edit, truth, solid)
    scaled = encode_srgb(decode_srgb(edit) * np.float32(factor))
    truth_lab = srgb8_to_lab(truth)
    fair = delta_e_2000(srgb8_to_lab(scaled), truth_lab)
    raw = delta_e_2000(srgb8_to_lab(edit[solid]), truth_lab[solid])
    rim = band(mask, HALO_PIXELS)
    relief, limit = relief_correlation(edit, truth, calm, solid)
    return ColourScore(
        mean=float(fair[solid].mean()),
        p95=float(np.percentile(fair[solid], 95)),
        raw_mean=float(raw.mean()),
        raw_p95=float(np.percentile(raw, 95)),
        gradient=gradient_correlation(edit, truth, solid),
        halo_p95=float(np.percentile(fair[rim], 95)) if rim.any() else 0.0,
        relief=relief,
        relief_limit=limit,
        gradient_limit=gradient_correlation(calm, truth, solid),
        kept=gradient_correlation(edit, photo, solid),
    )


def exposure_between(edit: UInt8Array, truth: UInt8Array, where: BoolArray) -> float:
    """The one linear factor per surface that a photo cannot tell: the ratio of median luminances."""
    ours, theirs = (float(np.median(decode_srgb(image[where]) @ LUMINANCE)) for image in (edit, truth))
    return float(np.clip(theirs / max(ours, 1e-4), 0.1, 10.0))


def gradient_correlation(edit: UInt8Array, truth: UInt8Array, where: BoolArray) -> float:
    """Pearson correlation of the gradients of log luminance, both directions together."""
    return float(np.corrcoef(_gradients(edit, where), _gradients(truth, where))[0, 1])


def relief_correlation(edit: UInt8Array, truth: UInt8Array, calm: UInt8Array, where: BoolArray) -> tuple[float, float]:
    """`ColourScore.relief` and `relief_limit`: like `gradient_correlation`, with `calm`, where its gradient exceeds the noise's."""
    ours, theirs, true = (_gradients(image, where).reshape(2, -1) for image in (edit, truth, calm))
    noise = float((theirs - true).std())
    seen = np.hypot(*true) > RELIEF_OVER_NOISE * 2.0**0.5 * noise
    if int(seen.sum()) < MIN_RELIEF_PIXELS:
        return float("nan"), float("nan")
    reached, limit = (float(np.corrcoef(picture[:, seen].ravel(), true[:, seen].ravel())[0, 1]) for picture in (ours, theirs))
    return reached, limit


def _gradients(image: UInt8Array, where: BoolArray) -> FloatArray:
    # A light blur (sigma 1 pixel): single-pixel sensor noise is neither light nor texture.
    light = cv2.GaussianBlur(np.log(np.maximum(decode_srgb(image) @ LUMINANCE, LOG_FLOOR)), (0, 0), 1.0)
    return np.concatenate([cv2.Sobel(light, cv2.CV_32F, 1, 0)[where], cv2.Sobel(light, cv2.CV_32F, 0, 1)[where]])


def inner(mask: BoolArray, pixels: int) -> BoolArray:
    """The mask without a rim of `pixels`; the picture's border is no edge."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.erode(mask.astype(np.uint8), kernel, borderValue=[1]) > 0


def outer(mask: BoolArray, pixels: int) -> BoolArray:
    """The mask and what lies within `pixels` of it."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)) > 0


def band(mask: BoolArray, pixels: int) -> BoolArray:
    """Pixels within `pixels` of the mask's edge, on both sides."""
    return outer(mask, pixels) & ~inner(mask, pixels)


def leakage(photo: UInt8Array, edit: UInt8Array, alpha: UInt8Array) -> int:
    """Number of pixels that changed although the matte (uint8 [H,W]) is zero there."""
    return int(np.any(photo != edit, axis=-1)[alpha == 0].sum())


def matte_error(alpha: UInt8Array, mask: BoolArray, pixels: int = 12) -> float:
    """Mean absolute error of a matte (uint8 [H,W]) in a band around the true edge, 0..1."""
    rim = band(mask, pixels)
    return float(np.abs(alpha[rim] / 255.0 - mask[rim]).mean()) if rim.any() else 0.0


def boundary_f(alpha: UInt8Array, mask: BoolArray, tolerance: float = 1.5) -> float:
    """Boundary F-score at alpha 0.5 with a tolerance in pixels (Martin, Fowlkes, Malik 2004)."""
    ours, theirs = (border_of(binary) for binary in (alpha >= 128, mask))
    if not ours.any() or not theirs.any():
        return 0.0
    near_theirs, near_ours = (cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5) <= tolerance for edge in (theirs, ours))
    precision, recall = float(near_theirs[ours].mean()), float(near_ours[theirs].mean())
    return 2.0 * precision * recall / max(precision + recall, 1e-9)


def border_of(binary: BoolArray) -> BoolArray:
    """The pixels of a mask that touch what is not in it; the picture's own edge is none."""
    grey = binary.astype(np.uint8)
    edge: BoolArray = (grey > 0) & (cv2.erode(grey, np.ones((3, 3), np.uint8), borderValue=[1]) == 0)
    return edge


def psnr(edit: UInt8Array, truth: UInt8Array, where: BoolArray) -> float:
    """Peak signal-to-noise ratio in dB over `where`."""
    error = float(np.mean((edit[where].astype(np.float64) - truth[where]) ** 2))
    return 10.0 * math.log10(255.0**2 / max(error, 1e-9))
