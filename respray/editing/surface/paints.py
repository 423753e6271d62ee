"""Walls of several paints that meet: an accent wall beside white ones is another material, though no gap lies between them.

Taken for one material, the darker paint would be the other's shadow, and stay dark in a new colour. A seam between paints is where the hue
jumps; light mostly changes it slowly. Only what is as large as a wall is a paint: motifs of wallpaper and stripes are a pattern, and stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.core.color import LUMINANCE, decode_scene
from respray.editing.core.labels import spread_labels
from respray.editing.surface.reflection import MIN_LUMINANCE
from respray.imaging.arrays import FloatArray, UInt8Array


@dataclass(frozen=True)
class PaintParameters:
    """What another paint is. Not fitted."""

    min_angle: float = 0.2
    """Angle between two paints' linear RGB colours (radians). Daylight and lamplight on white are 0.15 apart."""
    min_jump: float = 0.1
    """The same between both sides of a seam."""
    min_share: float = 0.1
    """A paint covers this share of the concept in one piece."""
    step: int = 3
    """Each so manieth row and column is looked at to see whether there is another paint at all."""
    max_paints: int = 4
    """At most so many, the largest. Bounds the time."""


def split_paints(small: FloatArray, solid: UInt8Array, parameters: PaintParameters = PaintParameters()) -> UInt8Array | None:
    """Tell the paints of a surface apart.

    Args:
        small: float32 [h,w,3], scene-linear RGB.
        solid: uint8 [h,w], above 0 where nothing but the surface is seen.
        parameters: of paints.

    Returns:
        Uint8 [h,w], the number of each solid pixel's paint from 1 on, 0 elsewhere; None where there is one paint only.

    Example:
        >>> wall = np.full((40, 60, 3), 0.5, np.float32)
        >>> wall[:, 30:] = (0.3, 0.05, 0.05)
        >>> np.unique(split_paints(wall, np.ones((40, 60), np.uint8)))[-1].item()
        2
    """
    p = parameters
    whole = solid > 0
    some = _directions(small[:: p.step, :: p.step][whole[:: p.step, :: p.step]])
    if not len(some) or float(np.mean(some @ _directions(np.median(some, axis=0)) < np.cos(p.min_angle / 2.0))) < p.min_share / 2.0:
        return None  # most walls are of one hue
    colors = _directions(small)
    jump = np.zeros(whole.shape, np.float32)
    for ahead, behind, at in (np.s_[:, 2:], np.s_[:, :-2], np.s_[:, 1:-1]), (np.s_[2:], np.s_[:-2], np.s_[1:-1]):
        step = colors[ahead] - colors[behind]
        np.maximum(jump[at], np.einsum("ijc,ijc->ij", step, step), out=jump[at])
    inside = (whole & (jump < p.min_jump**2)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    found: list[FloatArray] = []
    number = np.zeros(count, np.uint8)
    for piece in np.argsort(-areas, kind="stable")[: int((areas >= p.min_share * float(whole.sum())).sum())]:
        color = _directions(np.median(colors[pieces == piece], axis=0))
        apart = [float(np.linalg.norm(color - other)) for other in found]
        if not apart or (min(apart) >= p.min_angle and len(found) < p.max_paints):
            found.append(color)
            number[piece] = len(found)
        else:
            number[piece] = int(np.argmin(apart)) + 1
    if len(found) < 2:
        return None
    # What is small, or lies on a seam, is of the paint that it looks most like.
    sums = np.stack([np.bincount(pieces.ravel(), colors[..., c].ravel(), count) for c in range(3)], axis=-1, dtype=np.float32)
    number = np.where(number > 0, number, _most_like(_directions(sums), np.stack(found))).astype(np.uint8)
    number[0] = 0
    return np.where(whole, spread_labels(number[pieces]), 0).astype(np.uint8)


def decide_seams(owner: UInt8Array, crop: UInt8Array, reach: int, references: list[FloatArray]) -> None:
    """Decide pixels near seams between paints again, by their own colour.

    A mixed pixel has the hue of the brighter paint before it has half of it, and would shine in the darker one's shading.

    Args:
        owner: uint8 [h,w], the number of each pixel's paint from 1 on; changed in place.
        crop: uint8 [h,w,3], sRGB.
        reach: pixels from a seam that are looked at.
        references: float32 [3] of each paint, linear RGB.
    """
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = cv2.dilate(owner, kernel) != cv2.erode(owner, kernel)
    paints = np.stack(references)
    owner[near] = _most_like(_directions(decode_scene(crop[near])), _directions(paints), paints @ LUMINANCE)


def _most_like(colors: FloatArray, paints: FloatArray, lights: FloatArray | None = None) -> UInt8Array:
    """Which of `paints` [k,3] is most like each of `colors` [n,3], all of them directions: uint8 [n], from 1 on."""
    apart = np.linalg.norm(colors[:, None] - paints, axis=-1)
    if lights is not None:
        apart = apart / np.sqrt(np.maximum(lights, MIN_LUMINANCE))
    return np.asarray(apart.argmin(axis=1) + 1, np.uint8)


def _directions(linear: FloatArray) -> FloatArray:
    """Linear RGB [...,3] of any brightness as unit vectors, float32."""
    lengths = np.sqrt(np.einsum("...c,...c->...", linear, linear))
    unit: FloatArray = (linear / np.maximum(lengths, MIN_LUMINANCE)[..., None]).astype(np.float32)
    return unit
