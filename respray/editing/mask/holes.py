"""Bare patches of a plane that a network left out: wall between two pictures, behind leaves, beside a table's leg or in its shadow.

Such a patch has the hue of the plane and is closed off by edges or by other hues, and the network does not rule it out. Hues are compared,
not colours: beside what stands in front of a plane lies its shadow. A strip along the border is no patch: where a wall and a ceiling are of
one white, it opens to the rest of the ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.core.color import decode_table
from respray.editing.core.reduce import average
from respray.editing.core.shapes import grown
from respray.imaging.arrays import AnyArray, BoolArray, FloatArray, UInt8Array


@dataclass(frozen=True)
class HoleParameters:
    """When a patch is the plane's. Light and hue: see `_light_and_hue`. Lengths are in pixels of the decided mask, unless said otherwise.

    Chosen on rooms 7000-7069, 7100-7122 and 9000-9007 (docs/log/edges-and-borders.md).
    """

    black: float = 0.007
    """Added to linear red, green and blue before their logarithm is taken: what is nearly black has no hue."""
    nearby: float = 4.0
    """The plane's own hue is that of what is so near (standard deviation, cells: pixels of the network's mask)."""
    spread: float = 0.05
    """Both parts of a hue vary by at least this on any plane, as standard deviations. ..."""
    within: float = 2.0
    """... A pixel of the plane's hue is off it by less than so many of them."""
    edge: float = 4.0
    """A change by this much (CIE Lab) from one pixel to the next is an edge."""
    possible: float = 0.005
    """The network gives each pixel at least this probability, ..."""
    likely: float = 0.08
    """... and this on average."""
    pixels: int = 8
    """Smaller patches are crumbs, ..."""
    width: float = 2.5
    """... and narrower ones bars and joints. ..."""
    max_share: float = 0.004
    """... Larger ones (share of the picture) are other things."""
    max_count: int = 64
    """The largest are looked at. Bounds the time."""
    max_length: float = 8.0
    """A patch has an area of at most so many squares as wide as it is: frames and reveals are longer."""
    around: tuple[int, float] = (3, 0.65)
    """So far from it, at most so much is the plane: what that has on most sides is a lamp or a switch."""
    open: float = 0.06
    """At most so much of its outline goes on into more of that hue which is not the plane's."""
    hue: float = 0.03
    """Its hue is off the plane's nearby by no more than this, and off that of the plane's nearest pixels by no more than twice this; ..."""
    joined_hue: float = 0.07
    """... or off the latter by no more than this, where ..."""
    joined: tuple[float, float] = (0.02, 0.4)
    """... so much of its outline is the plane, and ..."""
    joined_length: float = 3.5
    """... it is no longer than this (as `max_length`): skirting boards and casings are nearly of a white wall's hue."""
    deeper: float = 1.0
    """A hue may be deeper by this share of it for a light that is darker by 1, as in the light that a surface throws back."""
    lighter: float = 0.1
    """Its light is above that of the plane's nearest pixels by no more than this, and ..."""
    darker: float = 0.8
    """... below it by no more: shadows lie beside what stands in front."""
    reach: int = 14
    """The plane's nearest pixels are looked for so far, ..."""
    beside: float = 3.5
    """... and are those that are further than the very nearest by no more than this."""


@dataclass(frozen=True)
class _Views:
    """What is known of every pixel, or of those of a window: all [h,w], but `hue` [h,w,2]."""

    light: FloatArray
    hue: FloatArray
    off: FloatArray
    likely: FloatArray
    inside: BoolArray
    core: BoolArray
    alike: BoolArray

    def at(self, window: tuple[slice, slice]) -> _Views:
        return _Views(*(getattr(self, name)[window] for name in self.__dataclass_fields__))


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
    small = average(photo, size)
    core = ~grown(~inside, 1)
    light, hue = _light_and_hue(small, p.black)
    off, apart = _off(light, hue, core, p.nearby * float(np.sqrt(decided.size / probability.size)), p)
    alike = (apart < p.within) & (_change(small) < p.edge) & ~inside
    likely = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) * np.float32(1 / 255)
    views = _Views(light, hue, off, likely, inside, core, alike)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alike & (likely > p.possible)).astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    fitting = np.flatnonzero((areas >= p.pixels) & (areas <= p.max_share * decided.size))
    filled, result = 0, decided
    for label in (fitting[np.argsort(-areas[fitting], kind="stable")][: p.max_count] + 1).tolist():
        x, y, w, h = stats[label, :4].tolist()
        window = slice(max(0, y - p.reach), y + h + p.reach), slice(max(0, x - p.reach), x + w + p.reach)
        patch = labels[window] == label
        if _is_hole(patch, views.at(window), p):
            result = result.copy() if result is decided else result
            result[window][grown(patch, 1)] = 255
            filled += 1
    return result, filled


def _light_and_hue(photo: UInt8Array, black: float) -> tuple[FloatArray, FloatArray]:
    """Logarithms of a photo's (uint8 [h,w,3]) light, float32 [h,w], and of red and blue against green, float32 [h,w,2].

    Both are of linear values: a shadow lowers the light of a painted surface and leaves its hue.
    """
    logarithms = cv2.LUT(photo, np.log(decode_table() + np.float32(black)))
    mix = np.array([[1, 1, 1], [3, -3, 0], [0, -3, 3]], np.float32) / np.float32(3)
    mixed = cast(FloatArray, cv2.transform(logarithms, mix))
    return mixed[..., 0], mixed[..., 1:]


def _change(photo: UInt8Array) -> FloatArray:
    """By how much the colour (CIE Lab) of a photo uint8 [h,w,3] changes from one pixel to the next, float32 [h,w]."""
    lab = cv2.cvtColor(photo.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
    across, down = (cv2.Sobel(lab, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    # (NumPy's sum along so short an axis takes ten times as long.)
    return cast(FloatArray, np.sqrt(cv2.transform(across * across + down * down, np.ones((1, 3), np.float32))))


def _off(light: FloatArray, hue: FloatArray, core: BoolArray, nearby: float, parameters: HoleParameters) -> tuple[FloatArray, FloatArray]:
    """How far every pixel's hue is off the mean of the plane nearby, float32 [h,w], and the same in standard deviations (infinite where the
    plane is far away)."""
    size = (core.shape[1], core.shape[0])
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    own = core.astype(np.float32)

    def near(values: FloatArray) -> FloatArray:
        # Smooth enough for half the size.
        small = cv2.resize(values, half, interpolation=cv2.INTER_AREA)
        return cast(FloatArray, cv2.GaussianBlur(small, (0, 0), max(0.5, nearby / 2.0)))

    def enlarged(values: FloatArray) -> FloatArray:
        return cast(FloatArray, cv2.resize(values, size, interpolation=cv2.INTER_LINEAR))

    weight = np.maximum(near(own), 1e-6)
    red, blue = cv2.split(hue)
    masked = [cast(FloatArray, channel * own) for channel in (light, red, blue)]
    usual, *means = (near(values) / weight for values in masked)
    squares = (near(values * channel) / weight for values, channel in zip(masked[1:], (red, blue), strict=True))
    spreads = [
        enlarged(np.sqrt(np.maximum(square - mean * mean, 0.0)) + np.float32(parameters.spread))
        for square, mean in zip(squares, means, strict=True)
    ]
    red, blue = _hue_apart((red, blue), [enlarged(mean) for mean in means], enlarged(usual) - light, parameters.deeper)
    seen = enlarged(weight) > 1e-4
    scaled = cv2.magnitude(red / spreads[0], blue / spreads[1])
    return cast(FloatArray, cv2.magnitude(red, blue)), np.where(seen, scaled, np.float32(np.inf)).astype(np.float32)


def _hue_apart(hue: Sequence[AnyArray], plane: Sequence[AnyArray], darker: AnyArray, deeper: float) -> tuple[AnyArray, AnyArray]:
    """By how much a hue (both parts) is another than the plane's, where its light is `darker` than the plane's; arrays of one shape.

    In its own shadow a surface is lit by what surfaces like it throw back: its hue is the same there, and deeper.
    """
    red, blue = hue[0] - plane[0], hue[1] - plane[1]
    along = (red * plane[0] + blue * plane[1]) / np.maximum(plane[0] * plane[0] + plane[1] * plane[1], np.float32(1e-4))
    own = np.clip(along, 0.0, np.float32(deeper) * np.maximum(darker, 0.0))
    return red - own * plane[0], blue - own * plane[1]


def _is_hole(patch: BoolArray, views: _Views, parameters: HoleParameters) -> bool:
    """Whether a patch, bool [h,w], is the plane's; `views` are of its window."""
    p, v = parameters, views
    if v.likely[patch].mean() < p.likely or not v.core.any():
        return False
    outline = grown(patch, 1) & ~patch
    length = int(outline.sum())
    if int((outline & v.alike).sum()) > p.open * length:
        return False
    around = grown(patch, p.around[0]) & ~grown(patch, p.around[0] - 1)
    if int((around & v.inside).sum()) > p.around[1] * int(around.sum()):
        return False
    width = 2.0 * float(cv2.distanceTransform(np.pad(patch, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    long = int(patch.sum()) / width**2
    if width < p.width or long > p.max_length:
        return False
    away = cv2.distanceTransform((~patch).astype(np.uint8), cv2.DIST_L2, 3)
    beside = v.core & (away < float(away[v.core].min()) + p.beside)
    darker = np.asarray(np.median(v.light[beside]) - np.median(v.light[patch]))
    if not -p.lighter <= darker <= p.darker:
        return False
    off_beside = float(np.hypot(*_hue_apart(np.median(v.hue[patch], axis=0), np.median(v.hue[beside], axis=0), darker, p.deeper)))
    if float(np.median(v.off[patch])) <= p.hue and off_beside <= 2.0 * p.hue:
        return True
    joined = p.joined[0] * length <= int((outline & v.inside).sum()) <= p.joined[1] * length and long <= p.joined_length
    return joined and off_beside <= p.joined_hue
