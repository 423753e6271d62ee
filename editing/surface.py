"""What the photo says about one edited surface: its connected parts, their reference colour, light colour and highlights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from editing.color import LUMINANCE, decode_srgb, linear_to_oklab
from imaging.arrays import BoolArray, FloatArray, UInt8Array

Box = tuple[int, int, int, int]

# Statistics need no more pixels than this; a larger crop is averaged down first.
WORK_PIXELS = 250_000
SOLID_ALPHA = 250
# The reference colour is the mean of the pixels between these luminance percentiles: the lit, matt middle of the surface.
REFERENCE_LOW, REFERENCE_HIGH = 35.0, 65.0
# Parts whose reference colours differ by less than this in OKLab a, b are one material under different light.
SAME_MATERIAL_AB = 0.035
COMPARED_LUMINANCE = 0.3
# ... unless one is this many times brighter than the other.
SAME_MATERIAL_RATIO = 6.0
# Parts smaller than this share of the concept have no say of their own.
SMALL_PART = 0.03


@dataclass(frozen=True)
class Surface:
    """One material of one concept.

    `alpha` uint8 [h,w] is its matte inside `box` (x0, y0, x1, y1) of the photo. `reference` float32 [3] is its colour in linear light at
    shading 1. `small` float32 [hs,ws,3] linear and `solid` bool [hs,ws] are the box at work resolution.
    """

    box: Box
    alpha: UInt8Array
    reference: FloatArray
    small: FloatArray
    solid: BoolArray

    @property
    def reference_luminance(self) -> float:
        """Luminance of `reference`, never zero."""
        return max(float(self.reference @ LUMINANCE), 1e-4)


def surfaces(photo: UInt8Array, alpha: UInt8Array) -> list[Surface]:
    """Split a matte (uint8 [H,W]) on a photo (uint8 [H,W,3]) into materials; an empty list where nothing is selected."""
    x, y, width, height = cv2.boundingRect(alpha)
    if width == 0 or height == 0:
        return []
    box = (x, y, x + width, y + height)
    crop, crop_alpha = photo[y : y + height, x : x + width], alpha[y : y + height, x : x + width]
    scale = min(1.0, (WORK_PIXELS / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = decode_srgb(cv2.resize(crop, size, interpolation=cv2.INTER_AREA))
    small_alpha = cv2.resize(crop_alpha, size, interpolation=cv2.INTER_AREA)
    solid = cv2.erode((small_alpha >= SOLID_ALPHA).astype(np.uint8), np.ones((3, 3), np.uint8))
    if solid.sum() < 16:
        solid = (small_alpha >= max(1, int(small_alpha.max() * 0.6))).astype(np.uint8)
    labels, references = _materials(small, solid)
    if len(references) == 1:
        return [Surface(box, crop_alpha, references[0], small, solid.astype(bool))]
    owner = _spread(labels, solid)
    full_owner = cv2.resize(owner, (width, height), interpolation=cv2.INTER_NEAREST)
    parts = []
    for index, reference in enumerate(references, start=1):
        part = np.where(full_owner == index, crop_alpha, np.uint8(0))
        if part.any():
            parts.append(Surface(box, part, reference, small, (solid > 0) & (labels == index)))
    return parts


def _materials(small: FloatArray, solid: UInt8Array) -> tuple[UInt8Array, list[FloatArray]]:
    """Label connected parts and join those of one material: labels uint8 [hs,ws] from 1, and the reference colour of each."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA] if count > 1 else np.zeros(0)
    total = float(areas.sum())
    order = [int(i) + 1 for i in np.argsort(-areas) if areas[i] >= SMALL_PART * total]
    groups: list[list[int]] = []
    references: list[FloatArray] = []
    for part in order:
        colour = reference_colour(small[parts == part])
        for index, other in enumerate(references):
            if _same_material(colour, other):
                groups[index].append(part)
                break
        else:
            groups.append([part])
            references.append(colour)
    labels = np.zeros(solid.shape, np.uint8)
    for index, group in enumerate(groups, start=1):
        labels[np.isin(parts, group)] = index
        references[index - 1] = reference_colour(small[labels == index])
    # Small parts take the label of the nearest large one later; here they only must not be lost.
    return labels, references


def reference_colour(pixels: FloatArray) -> FloatArray:
    """Robust reference of linear pixels float32 [n,3]: the mean of the middle of their luminance distribution."""
    light = pixels @ LUMINANCE
    low, high = np.percentile(light, [REFERENCE_LOW, REFERENCE_HIGH])
    middle = pixels[(light >= low) & (light <= high)]
    return np.maximum(middle.mean(axis=0), 1e-4).astype(np.float32)


def _same_material(one: FloatArray, other: FloatArray) -> bool:
    ratio = float(one @ LUMINANCE) / max(float(other @ LUMINANCE), 1e-5)
    if not 1.0 / SAME_MATERIAL_RATIO < ratio < SAME_MATERIAL_RATIO:
        return False
    # Compared at one luminance, so that light and shadow on one material do not count as a difference.
    a, b = (linear_to_oklab(colour / max(float(colour @ LUMINANCE), 1e-5) * COMPARED_LUMINANCE) for colour in (one, other))
    return float(np.hypot(*(a - b)[1:])) < SAME_MATERIAL_AB


def _spread(labels: UInt8Array, solid: UInt8Array) -> UInt8Array:
    """Give every pixel the label of the nearest labelled one."""
    missing = (labels == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(missing, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(nearest.max()) + 1, np.uint8)
    table[nearest[labels > 0]] = labels[labels > 0]
    return table[nearest]
