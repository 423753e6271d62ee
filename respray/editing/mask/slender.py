"""Slender things in front of a plane that a coarse mask has swallowed: leaves, twigs, cables, cords. Their hue tells them from the plane.

What a coarse mask says of a leaf that is thinner than one of its pixels is what it says of the wall behind. Such a leaf is thin, has
another hue than the plane right beside it, and grows out of something that is not the plane and has its hue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.reduce import average
from respray.editing.core.shapes import grown
from respray.imaging.arrays import AnyArray, FloatArray, IntArray, UInt8Array

# Alpha (0..255) up to which a pixel is another thing's, and from which on it is the plane's.
OUT, IN = 64, 200


@dataclass(frozen=True)
class SlenderParameters:
    """What is slender, and no part of the plane. Lengths in pixels of the work size; hues as a* and b* (CIE Lab).

    Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md).
    """

    nearby: float = 3.0
    """The plane's own hue is the mean of what is so near (standard deviation, cells: pixels of the network's mask)."""
    shrink: int = 4
    """It is found in a picture that is so many times smaller."""
    hue: float = 12.0
    """How far off the plane's hue a slender thing is, somewhere, ..."""
    tip: float = 7.0
    """... and everywhere, as far as it is connected to that."""
    contrast: float = 6.0
    """It is so much further off than what is right beside it: light and patterns have soft borders, or others like them around."""
    half_width: float = 6.0
    """It is nowhere thicker than twice this, ..."""
    min_pixels: int = 15
    """... no smaller than this, ..."""
    max_share: float = 0.005
    """... and no larger than this share of the picture: the lines of a pattern are slender, too."""
    max_rim: float = 0.36
    """At most so much of its outline is beside what is not the plane: it leads away from there, and is no seam along the border. ..."""
    same: float = 9.0
    """... What it grows out of is so near to its hue."""
    max_count: int = 256
    """The largest are looked at. Bounds the time."""


def leave_out_slender(alpha: UInt8Array, photo: FloatArray, cell: float, parameters: SlenderParameters = SlenderParameters()) -> UInt8Array:
    """Leave slender things out of a plane's matte.

    Args:
        alpha: uint8 [H,W], the matte.
        photo: float32 [h,w,3], sRGB codes 0..255, at the work size.
        cell: a pixel of the network's mask, in pixels of `photo`.
        parameters: of the decision.

    Returns:
        The matte; `alpha` itself where there are none.
    """
    p = parameters
    height, width = photo.shape[:2]
    matte = average(alpha, (width, height))
    # Eight bits hold a* and b* to the nearest whole number, in a tenth of the time.
    hue = cv2.split(cv2.cvtColor(cv2.convertScaleAbs(photo), cv2.COLOR_RGB2LAB))[1:]
    off = _off_the_plane(hue, matte, p.nearby * cell, p.shrink)
    apart = (off > p.tip) & (matte > OUT)
    _, found, stats, _ = cv2.connectedComponentsWithStats(apart.astype(np.uint8), connectivity=8)
    labels = cast(IntArray, found)
    areas = stats[1:, cv2.CC_STAT_AREA]
    share = np.zeros((height, width), np.float32)
    for label in np.argsort(-areas, kind="stable")[: p.max_count] + 1:
        if p.min_pixels <= stats[label, cv2.CC_STAT_AREA] <= p.max_share * matte.size:
            _add(share, int(label), labels, stats[label], hue, off, matte, p)
    if not share.any():
        return alpha
    # At the photo's size in bytes: floats would be as large as everything else together.
    kept = np.rint(255.0 * (1.0 - share)).astype(np.uint8)
    large = cv2.resize(kept, (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cast(UInt8Array, cv2.multiply(alpha, large, scale=1 / 255))


def _off_the_plane(hue: Sequence[AnyArray], matte: UInt8Array, nearby: float, shrink: int) -> FloatArray:
    """How far every pixel's hue (a* and b*, uint8 [h,w] each) is off the plane's there: float32 [h,w]."""
    height, width = matte.shape
    size = (max(1, width // shrink), max(1, height // shrink))
    plane = cv2.threshold(matte, IN, 255, cv2.THRESH_BINARY)[1]
    sigma = max(1.0, nearby / shrink)

    def near(values: AnyArray) -> FloatArray:
        small = cv2.resize(cv2.bitwise_and(values, plane), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return cast(FloatArray, cv2.GaussianBlur(small, (0, 0), sigma))

    weight = np.maximum(near(plane) * np.float32(1 / 255), np.float32(1e-4))
    apart = [
        cv2.subtract(values, cv2.resize(near(values) / weight, (width, height), interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_32F)
        for values in hue
    ]
    return cast(FloatArray, cv2.magnitude(*apart))


def _add(
    share: FloatArray,
    label: int,
    labels: IntArray,
    box: IntArray,
    hue: Sequence[AnyArray],
    off: FloatArray,
    matte: UInt8Array,
    parameters: SlenderParameters,
) -> None:
    """Add how much of each pixel is a slender thing's, 0..1, to `share` float32 [h,w], if that is what a connected part is."""
    p = parameters
    x, y, w, h = (int(value) for value in box[:4])
    window = slice(max(0, y - 6), y + h + 6), slice(max(0, x - 6), x + w + 6)
    thing, far, alpha = labels[window] == label, off[window], matte[window]
    if far[thing].max() < p.hue or cv2.distanceTransform(np.pad(thing, 1).astype(np.uint8), cv2.DIST_L2, 3).max() > p.half_width:
        return
    near, beside, around = (grown(thing, reach) for reach in (1, 3, 5))
    rim = grown(thing, 2) & ~thing
    root = rim & (alpha < OUT)
    plane = around & ~beside & (alpha > IN)
    if not root.any() or not plane.any() or root.sum() > p.max_rim * rim.sum():
        return
    own = far[thing].mean()
    if own - np.median(far[plane]) < p.contrast:
        return
    red, blue = (values[window][root] - np.median(values[window][thing]) for values in hue)
    if np.percentile(np.hypot(red, blue), 15) > p.same:
        return
    base = np.median(far[plane]) + 2.0
    part = np.clip((far - base) / np.maximum(0.7 * own - base, 1.0), 0.0, 1.0)
    np.maximum(share[window], np.where(near, part, 0.0), out=share[window])
