"""Bare patches of a plane that a network left out: wall between two pictures, behind a leaf, beside a table's leg.

Such a patch has the plane's colour nearby, is joined to the plane without an edge, is closed off by edges or by other colours elsewhere,
and the network does not rule it out. A strip along the border is none: where a wall and a ceiling are of one white, it opens to the rest of
the ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.reduce import average
from respray.editing.core.shapes import grown
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array


@dataclass(frozen=True)
class HoleParameters:
    """When a patch is the plane's. Colours in CIE Lab; lengths in pixels of the decided mask, if nothing else is said.

    Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md).
    """

    nearby: float = 3.0
    """The plane's own colour is that of what is so near (standard deviation, cells: pixels of the network's mask)."""
    spread: tuple[float, float] = (4.0, 2.5)
    """Lightness, and a* and b*, vary by at least this on any plane, as standard deviations. ..."""
    within: float = 2.0
    """... A pixel of the plane's colour is off it by less than so many of them."""
    edge: float = 4.0
    """A change by this much from one pixel to the next is an edge."""
    possible: float = 0.02
    """The network gives each pixel at least this probability, ..."""
    likely: float = 0.08
    """... and this on average."""
    pixels: int = 8
    """Smaller patches are crumbs. ..."""
    max_share: float = 0.004
    """... Larger ones (share of the picture) are other things."""
    max_length: float = 5.0
    """A patch has an area of at most so many squares as wide as it is: frames and reveals are longer."""
    touching: tuple[float, float] = (0.05, 0.4)
    """So much of its outline is the plane: less is another thing beside it, more a strip along its border."""
    open: float = 0.1
    """At most so much of its outline goes on into more of that colour which is not the plane's."""
    joint: float = 4.5
    """Median change across the outline that is the plane."""
    hue: float = 1.6
    """Medians of the patch and of the plane beside it differ by no more than this in a* and b*, ..."""
    lighter: float = 1.5
    """... the patch is lighter by no more than this, and ..."""
    darker: float = 14.0
    """... darker by no more: shadows lie beside what stands in front."""
    burnt: float = 243.0
    """What is burnt out (least of red, green and blue, codes) has no colour that would speak for it."""


def fill_holes(
    decided: UInt8Array, probability: UInt8Array, photo: UInt8Array, parameters: HoleParameters = HoleParameters()
) -> tuple[UInt8Array, int]:
    """Fill bare patches of a plane.

    Args:
        decided: uint8 [h2,w2], the plane's mask as `crf.decide` answers it.
        probability: uint8 [h,w], the network's answer.
        photo: uint8 [H,W,3], sRGB.
        parameters: of the decision.

    Returns:
        The mask, and how many patches were filled.
    """
    p = parameters
    size = (decided.shape[1], decided.shape[0])
    inside = decided >= 128
    if decided.shape == probability.shape or not inside.any():
        return decided, 0
    small = average(photo, size).astype(np.float32)
    lab = cast(FloatArray, cv2.cvtColor(small * np.float32(1 / 255), cv2.COLOR_RGB2LAB))
    core = ~grown(~inside, 1)
    across, down = (cv2.Sobel(lab, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    # (NumPy's sum along so short an axis takes ten times as long.)
    change = np.sqrt(cv2.transform(across * across + down * down, np.ones((1, 3), np.float32)))
    cell = float(np.sqrt(decided.size / probability.size))
    alike = (_off(lab, core, p.nearby * cell, p) < p.within) & (change < p.edge) & ~inside
    likely = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255.0
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alike & (likely > p.possible)).astype(np.uint8), connectivity=4)
    filled, result = 0, decided
    for label, (x, y, w, h, area) in enumerate(stats.tolist()):
        if label == 0 or not p.pixels <= area <= p.max_share * decided.size:
            continue
        window = slice(max(0, y - 5), y + h + 5), slice(max(0, x - 5), x + w + 5)
        patch = labels[window] == label
        views = (likely[window], inside[window], core[window], alike[window], change[window])
        if _is_hole(patch, lab[window], small[window], views, p):
            result = result.copy() if result is decided else result
            result[window][grown(patch, 1)] = 255
            filled += 1
    return result, filled


def _off(lab: FloatArray, core: BoolArray, nearby: float, parameters: HoleParameters) -> FloatArray:
    """How far every pixel's colour is off the plane's nearby, in standard deviations: float32 [h,w]."""
    size = (core.shape[1], core.shape[0])
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    own = core.astype(np.float32)

    def near(values: FloatArray) -> FloatArray:
        # Smooth enough for half the size.
        small = cv2.resize(values, half, interpolation=cv2.INTER_AREA)
        return cast(FloatArray, cv2.GaussianBlur(small, (0, 0), max(0.5, nearby / 2.0)))

    weight = np.maximum(near(own), 1e-6)
    square = np.zeros(core.shape, np.float32)
    for channel, least in zip(cv2.split(lab), (parameters.spread[0], parameters.spread[1], parameters.spread[1]), strict=True):
        values = cast(FloatArray, channel * own)
        mean = near(values) / weight
        spread = np.sqrt(np.maximum(near(values * channel) / weight - mean * mean, 0.0)) + np.float32(least)
        mean, spread = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (mean, spread))
        square += ((channel - mean) / spread) ** 2
    seen = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR) > 1e-3
    return np.where(seen, np.sqrt(square), np.float32(np.inf)).astype(np.float32)


def _is_hole(
    patch: BoolArray,
    lab: FloatArray,
    photo: FloatArray,
    views: tuple[FloatArray, BoolArray, BoolArray, BoolArray, FloatArray],
    parameters: HoleParameters,
) -> bool:
    """Whether a patch, bool [h,w], is the plane's; `views`: probability, plane, its core, pixels of its colour, change."""
    p = parameters
    likely, inside, core, alike, change = views
    outline = grown(patch, 1) & ~patch
    joint, beside = outline & inside, grown(patch, 4) & core
    if not beside.any() or not joint.any() or likely[patch].mean() < p.likely or np.mean(photo[patch].min(axis=1) > p.burnt) > 0.3:
        return False
    wide = 2.0 * float(cv2.distanceTransform(np.pad(patch, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    length = int(outline.sum())
    if patch.sum() > p.max_length * wide**2:
        return False
    if not p.touching[0] < joint.sum() / length < p.touching[1] or (outline & alike).sum() > p.open * length:
        return False
    lightness, red, blue = np.median(lab[patch], axis=0) - np.median(lab[beside], axis=0)
    return bool(-p.darker < lightness < p.lighter and np.hypot(red, blue) < p.hue and np.median(change[joint]) < p.joint)
