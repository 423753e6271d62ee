"""What the photo says about one edited surface: its connected parts, their reference colour, light colour and highlights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from respray.editing.core.color import LUMINANCE, decode_scene
from respray.editing.surface.illuminant import Light
from respray.editing.surface.reflection import Reflection, chroma_of, fit_reflection
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

Box = tuple[int, int, int, int]

# Noise is measured in blocks this large. It is at least rounding to 8 bits, and at most a few codes: what is stronger is texture.
NOISE_BLOCK = 10
NOISE_BLOCKS = 400
LEAST_NOISE_CODES = 0.3
NOISE_CODES = 2.5

# A surface's box has this much of the photo's longest side around it, and at least LEAST_MARGIN pixels: what lies beside the surface is
# seen there, which mixed pixels are told apart by.
MARGIN_SHARE, LEAST_MARGIN = 0.02, 16
# Statistics need no more pixels than this; a larger crop is averaged down first.
WORK_PIXELS = 120_000
SOLID_ALPHA = 250
# Two parts are one material when their colours, at luminance 1, differ by less than this ...
SAME_COLOUR = 0.15
# ... or when the paler is the stronger one under shine: not further (as a sine) from the plane of that and white, and not quite grey.
SAME_PLANE = 0.05
LEAST_SATURATION = 0.05
# Light on two parts of one material differs by less than this factor; beyond it they are taken for two paints.
SAME_MATERIAL_RATIO = 3.0
# Parts smaller than this share of the concept have no say of their own, unless all are about as small: leaves, tiles. Of those MOST_PARTS.
SMALL_PART = 0.03
MOST_PARTS = 32


@dataclass(frozen=True)
class Surface:
    """One material of one concept.

    `alpha` uint8 [h,w] is its matte inside `box` (x0, y0, x1, y1) of the photo, `whole` that of the concept; the box reaches beyond them.
    `small` float32 [hs,ws,3] scene-linear and `solid` bool [hs,ws] are the box at work resolution. `light` and `tint` (float32 [3],
    luminance 1) are the level and the colour of the light on it (see `illuminant`); `noise` is the standard deviation of its luminance
    noise on this surface, linear. `coverage` uint8 [h,w]: the concept's, where its matte is feathered (`mask.matte.Matte`).
    """

    box: Box
    alpha: UInt8Array
    whole: UInt8Array
    reflection: Reflection
    small: FloatArray
    solid: BoolArray
    light: float
    tint: FloatArray
    noise: float
    coverage: UInt8Array | None = None


def surfaces(photo: UInt8Array, alpha: UInt8Array, light: Light, coverage: UInt8Array | None = None) -> list[Surface]:
    """Split a matte (uint8 [H,W]) on a photo (uint8 [H,W,3]) in `light` into materials; an empty list where nothing is selected."""
    x, y, width, height = cv2.boundingRect(alpha)
    if width == 0 or height == 0:
        return []
    margin = max(LEAST_MARGIN, round(MARGIN_SHARE * max(alpha.shape)))
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), x + width + margin, y + height + margin
    box = (x0, y0, min(x1, alpha.shape[1]), min(y1, alpha.shape[0]))
    crop, crop_alpha = photo[y0:y1, x0:x1], alpha[y0:y1, x0:x1]
    crop_coverage = None if coverage is None else coverage[y0:y1, x0:x1]
    height, width = crop_alpha.shape
    scale = min(1.0, (WORK_PIXELS / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = at_work_size(crop, size)
    small_alpha = cv2.resize(crop_alpha, size, interpolation=cv2.INTER_AREA)
    solid = cv2.erode((small_alpha >= SOLID_ALPHA).astype(np.uint8), np.ones((3, 3), np.uint8))
    if solid.sum() < 16:
        solid = (small_alpha >= max(1, int(small_alpha.max() * 0.6))).astype(np.uint8)
    labels, references = _materials(small, solid)

    def part_of(part: UInt8Array, reflection: Reflection, where: BoolArray) -> Surface:
        colour = reflection.reference
        # The middle of its pixels, as a share of the photo's height.
        place = (y0 + (float(np.nonzero(where)[0].mean()) + 0.5) / len(where) * height) / len(alpha)
        tint = light.tint_on(colour, place)
        return Surface(box, part, crop_alpha, reflection, small, where, light.level_on(colour), tint, _noise(crop, part), crop_coverage)

    if len(references) == 1:
        return [part_of(crop_alpha, references[0], solid.astype(bool))]
    owner = _spread(labels, solid)
    full_owner = cv2.resize(owner, (width, height), interpolation=cv2.INTER_NEAREST)
    parts = []
    for index, reference in enumerate(references, start=1):
        part = np.where(full_owner == index, crop_alpha, np.uint8(0))
        if part.any():
            parts.append(part_of(part, reference, (solid > 0) & (labels == index)))
    return parts


def at_work_size(crop: UInt8Array, size: tuple[int, int]) -> FloatArray:
    """A part of a photo (uint8 [h,w,3]) reduced to (width, height): scene-linear float32 [hs,ws,3]."""
    return decode_scene(cv2.resize(crop, size, interpolation=cv2.INTER_AREA))


def _noise(crop: UInt8Array, alpha: UInt8Array) -> float:
    """Noise of linear luminance (Immerkaer, "Fast noise variance estimation", 1996), in the calmest quarter of small solid blocks."""
    height, width = alpha.shape
    if min(height, width) < NOISE_BLOCK:
        return 0.0
    step = max(NOISE_BLOCK, int((height * width / NOISE_BLOCKS) ** 0.5))

    def blocks(image: UInt8Array) -> UInt8Array:
        """Views of every block, their two axes last: one look-up and one filter then serve all of them."""
        windows: UInt8Array = sliding_window_view(image, (NOISE_BLOCK, NOISE_BLOCK), (0, 1))  # type: ignore[call-overload]
        return windows[::step, ::step]

    solid = blocks(alpha).min(axis=(-1, -2)) >= SOLID_ALPHA
    if not solid.any():
        return 0.0
    light = np.einsum("ncyx,c->nyx", decode_scene(np.ascontiguousarray(blocks(crop)[solid])), LUMINANCE)
    # Immerkaer's kernel is the second difference down times the second difference across.
    rough = np.diff(np.diff(light, n=2, axis=1), n=2, axis=2)
    spread = np.abs(rough).mean(axis=(1, 2)) * (np.pi / 2.0) ** 0.5 / 6.0
    level = float(np.median(light.mean(axis=(1, 2))))
    # One 8-bit code is worth this much linear light at that level (slope of the sRGB curve, its linear part below).
    code = max(2.4 * level ** (1.4 / 2.4) / 1.055, 1.0 / 12.92) / 255.0
    return min(max(float(np.percentile(spread, 25)), LEAST_NOISE_CODES * code), NOISE_CODES * code)


def _materials(small: FloatArray, solid: UInt8Array) -> tuple[UInt8Array, list[Reflection]]:
    """Label connected parts and join those of one material: labels uint8 [hs,ws] from 1, and the reference colour of each."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA] if count > 1 else np.zeros(0)
    total = float(areas.sum())
    least = min(SMALL_PART * total, float(areas.max(initial=0.0)) / 2.0)
    order = [int(i) + 1 for i in np.argsort(-areas) if areas[i] >= least][:MOST_PARTS]
    groups: list[list[int]] = []
    references: list[Reflection] = []
    for part in order:
        pixels = small[parts == part]
        colour = fit_reflection(pixels)
        for index, other in enumerate(references):
            if _same_material(colour, other, pixels):
                groups[index].append(part)
                break
        else:
            groups.append([part])
            references.append(colour)
    labels = np.zeros(solid.shape, np.uint8)
    for index, group in enumerate(groups, start=1):
        if len(group) == 1:
            labels[parts == group[0]] = index
            continue
        labels[np.isin(parts, group)] = index
        references[index - 1] = fit_reflection(small[labels == index])
    # Small parts take the label of the nearest large one later; here they only must not be lost.
    return labels, references


def _same_material(one: Reflection, other: Reflection, pixels: FloatArray) -> bool:
    """Whether a part (`one`, fitted to linear `pixels` [n,3]) may be the material of `other` under different light and shine."""
    a, b = (item.reference / item.luminance for item in (one, other))
    if float(np.linalg.norm(a - b)) >= SAME_COLOUR:
        strong, weak = (a, b) if chroma_of(a) >= chroma_of(b) else (b, a)
        if chroma_of(weak) < LEAST_SATURATION * chroma_of(strong) or float((a - 1.0) @ (b - 1.0)) <= 0.0:
            return False
        # Shine moves a colour towards white: what counts is the distance from the plane of the stronger colour and white.
        normal = np.cross(strong, np.ones(3))
        return abs(float(weak @ normal)) < SAME_PLANE * float(np.linalg.norm(normal) * np.linalg.norm(weak))
    shading, _ = other.parts(pixels[None])
    return 1.0 / SAME_MATERIAL_RATIO < float(np.median(shading)) < SAME_MATERIAL_RATIO


def _spread(labels: UInt8Array, solid: UInt8Array) -> UInt8Array:
    """Give every pixel the label of the nearest labelled one."""
    missing = (labels == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(missing, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(nearest.max()) + 1, np.uint8)
    table[nearest[labels > 0]] = labels[labels > 0]
    return table[nearest]
