"""Mouldings, skirting boards, rails: narrow surfaces with two long straight edges, which are decided together and along all of it.

A moulding that is one or two pixels of the network's mask wide is decided away here and swells there, because each place is asked alone.
Where the network's probability is a straight ridge (`narrow_ridges`), each side of it gets the line that the photo and the ridge agree on
best (`straight_line`), weak places included, and the surface is what lies between both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from respray.editing.core.reduce import average
from respray.editing.mask.narrow_ridges import Ridge, RidgeParameters, find_ridges
from respray.editing.mask.straight import StraightParameters, preference
from respray.editing.mask.straight_edge import MIN_MOVE, stretches
from respray.editing.mask.straight_line import Strip, best_line, best_stretches, seen_along, strip_along
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray, UInt8Array


@dataclass(frozen=True)
class NarrowParameters:
    """When a narrow surface is what lies between two lines. Lengths in cells (pixels of the network's mask), if nothing else is said.

    Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md).
    """

    width: tuple[float, float] = (0.5, 4.5)
    """Its edges are so far apart, all along it."""
    off: float = 0.9
    """The middle of the ridge is so near to the middle between them: further on it is around a corner."""
    cut: float = 1.5
    """So much of its ends, which other edges bound, is left as it is."""
    min_length: float = 5.0
    """What is left of it is at least so long."""
    band: float = 1.75
    """What the matte has so far beyond its edges is no part of it, and its own edge is looked for so far off."""
    nearby: float = 12.0
    """Its colour is the mean of what the network is sure of, so far to both sides along it."""
    strange: float = 30.0
    """What differs from that by more (codes, distance in RGB) stands in front of it, ..."""
    mostly: float = 0.75
    """... but not where more than so much of its width does not: light falls on a part of it."""


@dataclass(frozen=True)
class Narrow:
    """A narrow surface: `strip`, the photo laid out along it, and `edges`, float32 [2,n], how far across its edges are (pixels)."""

    strip: Strip
    edges: FloatArray


def settle_narrow(
    alpha: UInt8Array, probability: UInt8Array, work: UInt8Array, parameters: NarrowParameters = NarrowParameters()
) -> UInt8Array:
    """Give narrow surfaces straight edges in a matte.

    Args:
        alpha: uint8 [H,W], the matte.
        probability: uint8 [h,w], the network's answer.
        work: uint8 [h2,w2,3], the photo's `work_picture`.
        parameters: of the decision.

    Returns:
        The matte; `alpha` itself where there is nothing narrow.
    """
    p = parameters
    size = (work.shape[1], work.shape[0])
    cell = float(np.sqrt(size[0] * size[1] / probability.size))
    likely = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) * np.float32(1 / 255)
    ridges = find_ridges(likely, cell)
    if not ridges:
        return alpha
    photo = cast(FloatArray, cv2.GaussianBlur(work, (0, 0), StraightParameters().blur).astype(np.float32))
    found = [narrow for ridge in ridges if (narrow := _narrow(ridge, photo, cell, p)) is not None]
    matte = average(alpha, size)
    decided = [_decided(narrow, matte, p.band * cell) for narrow in found]
    same = np.zeros(likely.shape, np.uint8)
    for narrow in found:
        _add_same(same, narrow, photo, likely, cell, p)
    result = alpha.copy()
    zoom = np.array([alpha.shape[1] / size[0], alpha.shape[0] / size[1]])
    shapes = [_outline(narrow) for narrow, _ in decided]
    for narrow, on in decided:
        for first, last in stretches(on):
            # Its very ends, where it covers a part of a pixel only, stay: there it goes on.
            if last - first > 4:
                _lay(result, _part(narrow, first + 1, last - 1), shapes, same, p.band * cell, zoom)
    return result


def _narrow(ridge: Ridge, photo: FloatArray, cell: float, parameters: NarrowParameters) -> Narrow | None:
    """The surface that a ridge is of; None where no two edges can be told, or too little is between corners."""
    p = parameters
    sides = zip(ridge.sides, (1.0, -1.0), strict=True)
    laid = [strip_along(photo, ridge.origin, ridge.along, ridge.spacing, side, inner, cell) for side, inner in sides]
    edges = np.stack([np.linspace(*best_line(strip, cell), strip.places, dtype=np.float32) for strip in laid])
    apart = edges[1] - edges[0]
    if apart.min() < p.width[0] * cell or apart.max() > p.width[1] * cell:
        return None
    fits = np.flatnonzero(ridge.strong & (np.abs(ridge.sides.mean(axis=0) - edges.mean(axis=0)) <= p.off * cell))
    strong = np.flatnonzero(ridge.strong)
    cut, faded, end = round(p.cut * cell / ridge.spacing), RidgeParameters().max_fade * cell / ridge.spacing, len(apart) - 1
    if not len(fits):
        return None
    first = 0 if strong[0] > faded else int(fits[0]) + cut
    last = end if end - strong[-1] > faded else int(fits[-1]) - cut
    if (last - first) * ridge.spacing < p.min_length * cell:
        return None
    return _part(Narrow(laid[0], edges), first, last)


def _part(narrow: Narrow, first: int, last: int) -> Narrow:
    """A surface from one place to another."""
    strip, part = narrow.strip, slice(first, last + 1)
    origin = strip.origin + first * strip.spacing * strip.along
    return Narrow(replace(strip, origin=origin, change=strip.change[:, part], border=strip.border[part]), narrow.edges[:, part])


def _decided(narrow: Narrow, matte: UInt8Array, band: float) -> tuple[Narrow, BoolArray]:
    """A surface whose edges are its lines where the photo shows as much of both as of the matte's own, and those elsewhere; and where it
    has lines that are anything new, bool [n]."""
    strip = narrow.strip
    middle = narrow.edges.mean(axis=0)
    steps = np.arange(int(2.0 * band) + 1, dtype=np.float32)[:, None]
    gain, off, owns = np.zeros(strip.places, np.float32), np.zeros(strip.places, np.float32), []
    for line, side in zip(narrow.edges, (-1.0, 1.0), strict=True):
        x, y = strip.at(middle + np.float32(side) * steps)
        ended = cv2.remap(matte, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) < 128
        reach = np.where(ended.any(axis=0), ended.argmax(axis=0), len(steps) - 1) - 0.5
        own = (middle + side * np.maximum(reach, 0.0)).astype(np.float32)
        gain += preference(seen_along(strip, line), seen_along(strip, own), np.abs(line - own))
        off += np.abs(line - own)
        owns.append(own)
    on = best_stretches(gain * np.float32(strip.spacing), np.float32(StraightParameters().step_loss) * off, (True, True))
    return Narrow(strip, np.where(on, narrow.edges, np.stack(owns))), on & (off > MIN_MOVE)


def _add_same(same: UInt8Array, narrow: Narrow, photo: FloatArray, likely: FloatArray, cell: float, parameters: NarrowParameters) -> None:
    """Mark (255) the pixels of a surface that have its colour nearby, in uint8 [h,w] at the work size."""
    strip = narrow.strip
    x, y = strip.at(narrow.edges[0] + (narrow.edges[1] - narrow.edges[0]) * np.array([[0.25], [0.5], [0.75]], np.float32))
    colours = cv2.remap(photo, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.remap(likely, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) ** 2
    window = (2 * max(1, int(parameters.nearby * cell / strip.spacing)) + 1, 1)

    def near(values: FloatArray) -> FloatArray:
        return cast(FloatArray, cv2.blur(values.sum(axis=0, keepdims=True), window, borderType=cv2.BORDER_CONSTANT)[0])

    mean = near(colours * weight[..., None]) / np.maximum(near(weight), np.float32(1e-6))[:, None]
    shape, (left, top) = _filled([_outline(narrow)], same.shape, np.ones(2), _box(_outline(narrow), same.shape))
    rows, columns = np.nonzero(shape)
    rows, columns = rows + top, columns + left
    way = np.stack([columns + 0.5, rows + 0.5], axis=1) - strip.origin
    place = np.clip(np.rint(way @ strip.along / strip.spacing).astype(np.int64), 0, strip.places - 1)
    alike = np.linalg.norm(photo[rows, columns] - mean[place], axis=1) < parameters.strange
    share = np.bincount(place, alike, strip.places) / np.maximum(np.bincount(place, minlength=strip.places), 1)
    alike |= share[place] > parameters.mostly
    same[rows[alike], columns[alike]] = 255


def _lay(alpha: UInt8Array, narrow: Narrow, shapes: list[Float64Array], same: UInt8Array, band: float, zoom: Float64Array) -> None:
    """Write a surface into a matte, in place; all of them (`shapes`) stay."""
    wide = _outline(Narrow(narrow.strip, narrow.edges + np.array([[-band], [band]], np.float32)))
    box = _box(wide * zoom, alpha.shape)
    around, (left, top) = _filled([wide], alpha.shape, zoom, box)
    if not around.size:
        return
    view = alpha[top : top + around.shape[0], left : left + around.shape[1]]
    kept = _filled(shapes, alpha.shape, zoom, box)[0]
    x, y = np.meshgrid((np.arange(left, left + view.shape[1]) + 0.5) / zoom[0], (np.arange(top, top + view.shape[0]) + 0.5) / zoom[1])
    places = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
    free = cv2.remap(same, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) > 0
    inside = around > 0
    np.minimum(view, kept, out=view, where=inside)
    np.maximum(view, kept, out=view, where=inside & free)


def _outline(narrow: Narrow) -> Float64Array:
    """The outline of a surface, float64 [2n,2] (x, y), pixels of the work size."""
    strip = narrow.strip
    upper, lower = (np.stack(strip.at(edge[None]), axis=-1)[0].astype(np.float64) + 0.5 for edge in narrow.edges)
    return np.concatenate([upper, lower[::-1]])


def _box(outline: Float64Array, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a picture of (H, W) that an outline [n,2] lies in."""
    least, most = np.floor(outline.min(axis=0)).astype(int) - 1, np.ceil(outline.max(axis=0)).astype(int) + 1
    return max(0, int(least[0])), max(0, int(least[1])), min(size[1], int(most[0])), min(size[0], int(most[1]))


def _filled(
    outlines: list[Float64Array], size: tuple[int, ...], zoom: Float64Array, box: tuple[int, int, int, int]
) -> tuple[UInt8Array, tuple[int, int]]:
    """The shapes of outlines (at the work size) in a box of a picture that is `zoom` times as large, uint8; and its left and top."""
    left, top, right, bottom = box
    filled = np.zeros((max(0, bottom - top), max(0, right - left)), np.uint8)
    for outline in outlines if filled.size else ():
        # OpenCV counts pixel centres as integers, and here sixteenths of pixels.
        points = np.rint((outline * zoom - 0.5 - np.array([left, top])) * 16.0).astype(np.int32)
        cv2.fillPoly(filled, [points], (255,), cv2.LINE_AA, 4)
    return filled, (left, top)
