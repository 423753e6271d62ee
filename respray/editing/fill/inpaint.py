"""Filling the place of a removed object: which method, at which size, and how the filling is joined to the photo."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from respray.editing.fill.layers import membrane, patched, reduced, searched_size
from respray.editing.fill.patchmatch import Guess
from respray.imaging.arrays import BoolArray, UInt8Array

# The hole is the matte plus this share of the longest side all around (soft edge), and again as much below (contact shadow).
GROW_SHARE = 0.008
# Holes thinner than this (share of the longest side) are filled by cv2's Telea, which is exact enough and fast there.
THIN_SHARE = 0.012
TELEA_RADIUS = 4
# A hole larger than this share of the photo has more than one surface behind it: see `respray.editing.fill.patchmatch.Guess`.
LAYERED_SHARE = 0.03
# Steps at the rim are averaged along it over this many reduced pixels.
RIM_BLUR = 1.5
LEAST_SEEN = 0.2
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


def fill(image: UInt8Array, hole: BoolArray, network: Inpainter | None = None, floor: BoolArray | None = None) -> UInt8Array:
    """Fill `hole` (bool [H,W]) of uint8 [H,W,3] sRGB. A thin hole: Telea. Else the network where one is mounted, else PatchMatch.

    `floor` (bool [H,W]) is what of the photo is floor, where that is known: then floor is filled from floor, and what stands on it from
    that.
    """
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
    if network is not None:
        filled = network.fill(crop, gap)
    else:
        guess: Guess = "across" if float(hole.mean()) > LAYERED_SHARE else "diffused"
        filled = _join(crop, patched(crop, gap, None if floor is None else floor[y0:y1, x0:x1], guess), gap)
    result = image.copy()
    result[y0:y1, x0:x1] = np.where(gap[..., None], filled, crop)
    return result


def _join(crop: UInt8Array, filled: UInt8Array, gap: BoolArray) -> UInt8Array:
    """Spread what is left of a step at the rim smoothly over the hole (a membrane, as in Perez et al., "Poisson Image Editing", 2003)."""
    height, width = gap.shape
    size = searched_size(height, width)
    hidden = reduced(gap, size)[..., None]
    outside = cv2.resize(crop * (~gap)[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = cv2.resize(filled * gap[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    # What is known at the rim, and one reduced pixel into the hole.
    near = (3, 3)
    seen = cv2.blur(1.0 - hidden, near)[..., None]
    # Sums of a few pixels only are too coarse.
    rim = (hidden > LEAST_SEEN) & (seen > LEAST_SEEN)
    step = np.where(rim, cv2.blur(outside, near) / np.maximum(seen, 1e-4) - inside / np.maximum(hidden, 1e-4), 0.0).astype(np.float32)
    mass = cv2.GaussianBlur(rim.astype(np.float32), (0, 0), RIM_BLUR)[..., None]
    even = cv2.GaussianBlur(step, (0, 0), RIM_BLUR) / np.maximum(mass, 1e-4)
    smooth = cv2.resize(np.round(membrane(even, rim[..., 0])).astype(np.int16), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(filled, smooth, dtype=cv2.CV_8U)
