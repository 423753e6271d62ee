"""Filling the place of a removed object: which method, at which size, and how the filling is joined to the photo."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from editing.patchmatch import complete
from editing.shading import extend
from imaging.arrays import BoolArray, UInt8Array

# The hole is the matte plus this share of the longest side all around (soft edge), and again as much below (contact shadow).
GROW_SHARE = 0.008
# Holes thinner than this (share of the longest side) are filled by cv2's Telea, which is exact enough and fast there.
THIN_SHARE = 0.012
TELEA_RADIUS = 4
# Patches are searched at this size (longest side of the hole's surroundings); the photo's own grain is added back above it.
SEARCH_SIDE = 420
# Grain that is added back, at most (8-bit codes): what is stronger is texture.
MAX_GRAIN = 1.5
# A hole larger than this share of the photo has more than one surface behind it: it is filled in layers (see `editing.patchmatch`).
LAYERED_SHARE = 0.03
# Surroundings that are searched, relative to the hole's size.
SURROUNDINGS = 1.0


class Inpainter(Protocol):
    """A learned filler, such as a LaMa-class network in ONNX."""

    def fill(self, image: UInt8Array, hole: BoolArray) -> UInt8Array:
        """Fill `hole` (bool [H,W]) of uint8 [H,W,3]; pixels outside the hole may be ignored by the caller."""


def hole_of(alpha: UInt8Array, protected: UInt8Array | None = None) -> BoolArray:
    """The hole to fill for a matte (uint8 [H,W]): grown to take the soft edge and the contact shadow, never into protected pixels."""
    height, width = alpha.shape
    grow = max(2, round(GROW_SHARE * max(height, width)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    mask = cv2.dilate((alpha > 0).astype(np.uint8), kernel)
    lower = np.zeros_like(mask)
    lower[grow:] = mask[:-grow]
    hole = cv2.max(mask, lower) > 0
    if protected is not None:
        hole &= protected == 0
    return hole


def fill(image: UInt8Array, hole: BoolArray, network: Inpainter | None = None) -> UInt8Array:
    """Fill `hole` (bool [H,W]) of uint8 [H,W,3] sRGB. A thin hole: Telea. Else the network where one is mounted, else PatchMatch."""
    if not hole.any():
        return image
    height, width = hole.shape
    thickness = 2.0 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max())
    if thickness < THIN_SHARE * max(height, width):
        return cv2.inpaint(image, hole.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = round(SURROUNDINGS * max(w, h)) + 16
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    crop, gap = image[y0:y1, x0:x1], hole[y0:y1, x0:x1]
    filled = network.fill(crop, gap) if network is not None else _patched(crop, gap, float(hole.mean()) > LAYERED_SHARE)
    result = image.copy()
    result[y0:y1, x0:x1] = np.where(gap[..., None], filled, crop)
    return result


def _patched(crop: UInt8Array, gap: BoolArray, layered: bool) -> UInt8Array:
    """PatchMatch at search size; above it, the fill is enlarged and its brightness is matched to the rim."""
    height, width = gap.shape
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    if scale == 1.0:
        return _join(crop, complete(crop, gap, layered=layered), gap)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small_gap = cv2.resize(gap.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.0
    known = (~gap).astype(np.float32)
    mass = np.maximum(cv2.resize(known, size, interpolation=cv2.INTER_AREA), 1e-3)
    small = cv2.resize(crop.astype(np.float32) * known[..., None], size, interpolation=cv2.INTER_AREA) / mass[..., None]
    filled = complete(np.clip(np.round(small), 0, 255).astype(np.uint8), small_gap, layered=layered)
    large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return _join(crop, _with_grain(crop, large, gap), gap)


def _with_grain(crop: UInt8Array, filled: UInt8Array, gap: BoolArray) -> UInt8Array:
    """Enlarged pixels are smoother than the photo: add noise of the deviation that the photo has around the hole."""
    ring = cv2.dilate(gap.astype(np.uint8), np.ones((31, 31), np.uint8)).astype(bool) & ~gap
    if not ring.any():
        return filled
    detail = crop.astype(np.float32) - cv2.GaussianBlur(crop, (0, 0), 2.0)
    deviation = min(float(np.median(np.abs(detail[ring]))) * 1.4826, MAX_GRAIN)
    noise = np.random.default_rng(0).normal(0.0, deviation, (*gap.shape, 1)).astype(np.float32)
    return np.clip(np.round(filled + noise), 0, 255).astype(np.uint8)


def _join(crop: UInt8Array, filled: UInt8Array, gap: BoolArray) -> UInt8Array:
    """Spread what is left of a step at the rim smoothly over the hole (a membrane, as in Poisson cloning)."""
    inside = cv2.erode(gap.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rim = gap & ~inside
    if not rim.any():
        return filled
    outside = extend_channels(crop, ~gap)
    step = np.where(rim[..., None], outside - filled.astype(np.float32), 0.0)
    smooth = np.stack([extend(np.ascontiguousarray(step[..., c]), rim) for c in range(3)], axis=-1)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 3.0)
    return np.clip(np.round(filled + smooth), 0, 255).astype(np.uint8)


def extend_channels(image: UInt8Array, known: BoolArray) -> UInt8Array:
    """Every channel of an image extended from `known` over the rest, float32 [h,w,3]."""
    return np.stack([extend(image[..., c].astype(np.float32), known) for c in range(image.shape[2])], axis=-1)
