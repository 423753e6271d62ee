"""The edge of a surface: which of its pixels are mixed, the colours on both sides, and what its matte means to an edit.

A sharp matte says how much of each pixel the surface is. A feathered one says how much is to be edited, and has its surface's coverage
beside it. `SharpEdge` and `FeatheredEdge` are the only places that know the difference; `edge_of` chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import cv2
import numpy as np

from respray.editing.core.codes import encode_scene
from respray.editing.core.color import decode_scene
from respray.editing.core.field import Tile, Window
from respray.editing.core.reduce import average
from respray.editing.core.unmix import MixedPixels, UnmixParameters, estimate_coverage, recomposite
from respray.editing.mask.fringe import MAX_TAIL_SHARE, repaint, without_tail
from respray.editing.surface.surface import SOLID_ALPHA, Surface, at_work_size
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# A pixel is a surface's when its matte has this much of it.
HALF_ALPHA = 128


@dataclass(frozen=True)
class EdgeParameters:
    """Where pixels are mixed and which colours are believed there.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    rim: int = 1
    """Pixels on the matte's side of its edge that may be mixed."""
    rim_beside: int = 2
    """The same where another edited surface begins behind the edge: its old colour would shine in its new one's place. (Taken everywhere,
    the second row costs more than it brings: it takes a pattern for a mixture.)"""
    max_detour: float = 3.0
    """Cells of a smooth field by which a clean one may be further away than a doubtful one, to be asked first."""
    min_own_share: float = 0.25
    """Under a feather, a pixel that shows less of the surface than this is another thing, and surely the surface at twice as much."""


EDGE = EdgeParameters()


@dataclass(frozen=True)
class PaintedTile:
    """A tile of an edit, with a margin.

    Attributes:
        codes: uint8 [h,w,3], the photo.
        painted: scene-linear float32 [h,w,3], all of it in the surface's new colours; may be written to.
        at: int [n], the mixed pixels (index row by row).
        mixed: what the photo shows there.
        share: float32 [n], the surface's share of each.
        strength: float32 [n], how much of the edit each gets.
        own: scene-linear float32 [n,3], the surface's own colour in them.
        new: scene-linear float32 [n,3], the same painted.
        inner: the tile without its margin.
    """

    codes: UInt8Array
    painted: FloatArray
    at: IntArray
    mixed: MixedPixels
    share: FloatArray
    strength: FloatArray
    own: FloatArray
    new: FloatArray
    inner: Window


class Edge(Protocol):
    """What a surface's matte means to an edit. All arrays are of the surface's box; a `Window` is a part of it."""

    @property
    def coverage(self) -> UInt8Array:
        """How much of each pixel the concept is, uint8 [h,w]."""

    def whole_shares(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """The surface's share of unmixed pixels and how much of the edit they get, float32 [h,w] each, 0..1."""

    def mixed_shares(self, mixed: MixedPixels, window: Window, at: IntArray, *, may_grow: bool = False) -> tuple[FloatArray, FloatArray]:
        """The same of mixed pixels `at` (int [n], index into the window row by row), from what they show: float32 [n] each."""

    def write(self, tile: PaintedTile, window: Window, target: UInt8Array) -> None:
        """Put a painted tile (of `window`, with its margin) into `target` (uint8 [h,w,3] without it), where the matte is above zero."""

    def blend(self, linear: FloatArray, edited: FloatArray, strength: FloatArray) -> FloatArray:
        """Pixels with as much of an edit as `strength` (float32 [h,w,1]) says, scene-linear float32 [h,w,3]."""

    def remainder(self, linear: FloatArray, kept: FloatArray, share: FloatArray, strength: FloatArray) -> FloatArray:
        """The colour of what stays of pixels (`linear`) that are cut out, where `kept` is the background's, float32 [h,w,3]."""

    def selected(self) -> UInt8Array:
        """What is taken out to be filled: alpha uint8 [h,w]."""


class SharpEdge:
    """Alpha is the surface's share of a pixel, and all of that share is edited."""

    def __init__(self, surface: Surface) -> None:
        self._alpha = surface.alpha
        self.coverage = surface.whole

    def whole_shares(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """See `Edge`."""
        share = _opacity(without_tail(self._alpha[window]))
        return share, np.ones_like(share)

    def mixed_shares(self, mixed: MixedPixels, window: Window, at: IntArray, *, may_grow: bool = False) -> tuple[FloatArray, FloatArray]:
        """See `Edge`."""
        share = estimate_coverage(mixed, np.take(self._alpha[window], at), MAX_TAIL_SHARE, may_grow=may_grow)
        return share, np.ones_like(share)

    def write(self, tile: PaintedTile, window: Window, target: UInt8Array) -> None:
        """See `Edge`: the new pixels replace the old ones, and take their fringe along."""
        alpha, at = self._alpha[window], tile.at
        codes = encode_scene(tile.painted)
        photo = np.take(tile.codes.reshape(-1, 3), at, axis=0)
        codes.reshape(-1, 3)[at] = self.mixed_codes(photo, np.take(alpha, at), tile.mixed, tile.share, tile.own, tile.new)
        cv2.copyTo(codes[tile.inner], alpha[tile.inner], target)

    def mixed_codes(
        self, photo: UInt8Array, alpha: UInt8Array, mixed: MixedPixels, share: FloatArray, own: FloatArray, new: FloatArray
    ) -> UInt8Array:
        """Mixed pixels in new colours, uint8 [n,3], sRGB: `photo` uint8 [n,3] is what they were, `alpha` uint8 [n] their matte; the others
        as in `PaintedTile`."""
        edge = encode_scene(recomposite(mixed, share, own, new))
        return repaint(edge, share, alpha, photo, (mixed.foreground, mixed.background, own, new))

    def blend(self, linear: FloatArray, edited: FloatArray, strength: FloatArray) -> FloatArray:
        """See `Edge`."""
        return edited

    def remainder(self, linear: FloatArray, kept: FloatArray, share: FloatArray, strength: FloatArray) -> FloatArray:
        """See `Edge`."""
        return kept

    def selected(self) -> UInt8Array:
        """See `Edge`."""
        return self._alpha


class FeatheredEdge:
    """Alpha is how much of the edit a pixel gets, whatever the surface's share of it, which `coverage` tells."""

    def __init__(self, surface: Surface, coverage: UInt8Array) -> None:
        self._alpha = surface.alpha
        self.coverage = coverage

    def whole_shares(self, window: Window) -> tuple[FloatArray, FloatArray]:
        """See `Edge`."""
        strength = _opacity(without_tail(self._alpha[window]))
        return np.ones_like(strength), strength

    def mixed_shares(self, mixed: MixedPixels, window: Window, at: IntArray, *, may_grow: bool = False) -> tuple[FloatArray, FloatArray]:
        """See `Edge`.

        Beyond the surface's own edge a pixel is taken for the surface, unless it surely is something else: a shadow or a pattern on it is
        no mixture.
        """
        least, alien = np.float32(UnmixParameters().min_share), EDGE.min_own_share
        alpha, coverage = np.take(self._alpha[window], at), np.take(self.coverage[window], at)
        wanted = _opacity(alpha)
        share = estimate_coverage(mixed, coverage, MAX_TAIL_SHARE, may_grow=may_grow)
        strength = np.minimum(wanted / np.maximum(_opacity(coverage), least), np.float32(1))
        seen = estimate_coverage(mixed, np.full_like(alpha, 255), MAX_TAIL_SHARE)
        seen += np.clip((seen - alien) / alien, 0.0, 1.0, dtype=np.float32) * (1 - seen)
        beyond = coverage < HALF_ALPHA
        share[beyond] = seen[beyond]
        strength[beyond] = np.minimum(wanted / np.maximum(seen, least), np.float32(1))[beyond]
        return share, strength

    def write(self, tile: PaintedTile, window: Window, target: UInt8Array) -> None:
        """See `Edge`: the difference that the paint makes is added, so that edits under wide edges add up in any order."""
        alpha, new = self._alpha[window], tile.painted
        new.reshape(-1, 3)[tile.at] = recomposite(tile.mixed, tile.share, tile.own, tile.new)
        strength = _opacity(alpha)
        strength.ravel()[tile.at] = tile.strength
        change = (strength[..., None] * (new - decode_scene(tile.codes)))[tile.inner]
        cv2.copyTo(encode_scene(np.maximum(decode_scene(target) + change, np.float32(0))), alpha[tile.inner], target)

    def blend(self, linear: FloatArray, edited: FloatArray, strength: FloatArray) -> FloatArray:
        """See `Edge`."""
        blended: FloatArray = linear + strength * (edited - linear)
        return blended

    def remainder(self, linear: FloatArray, kept: FloatArray, share: FloatArray, strength: FloatArray) -> FloatArray:
        """See `Edge`: the photo where it is not selected, over the background where it is, with straight alpha."""
        rest = (1.0 - strength) * linear + strength * (1.0 - share) * kept
        stays: FloatArray = rest / np.maximum(1.0 - strength * share, np.float32(1e-3))
        return stays

    def selected(self) -> UInt8Array:
        """See `Edge`: what is selected at least by half."""
        return cast(UInt8Array, cv2.threshold(self._alpha, HALF_ALPHA - 1, 255, cv2.THRESH_BINARY)[1])


def edge_of(surface: Surface) -> Edge:
    """The edge of a surface's matte."""
    return SharpEdge(surface) if surface.coverage is None else FeatheredEdge(surface, surface.coverage)


def _opacity(alpha: UInt8Array) -> FloatArray:
    return alpha.astype(np.float32) / np.float32(255)


def rim_of(surface: Surface, tile: Tile, reach: int = EDGE.rim) -> BoolArray:
    """Find the pixels that may be mixed with what lies around the concept: touched, and not deep in it.

    Args:
        surface: the surface.
        tile: the part of its box to look at.
        reach: how far from the outside a pixel may be mixed, in pixels.

    Returns:
        Bool [h,w] of the tile.
    """
    near = tile.grown(reach)
    coverage = edge_of(surface).coverage[near.window]
    if int(coverage.min()) == 255:  # most tiles of a large surface
        return np.zeros((tile.y1 - tile.y0, tile.x1 - tile.x0), np.bool_)
    lowest = cv2.erode(coverage, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return (lowest[tile.window_in(near)] < 255) & (surface.alpha[tile.window] > 0)


def foreground_field(surface: Surface, picture: UInt8Array | None = None) -> FloatArray:
    """The surface's colour near the edge, extended over it.

    Args:
        surface: the surface.
        picture: uint8 [h,w,3], its box as it is now, where it is not as in the photo any more.

    Returns:
        Scene-linear RGB float32 [hs/2,ws/2,3].
    """
    solid = (average(surface.alpha, _half_size(surface)) >= SOLID_ALPHA).astype(np.uint8)
    # A photo's edge is wider than a matte's: beside it the surface's colour has some of its surroundings' in it.
    clean = cast(UInt8Array, cv2.erode(solid, np.ones((3, 3), np.uint8)))
    return _extended(surface, picture, _nearest_known(clean, solid) if solid.any() else None)


def background_field(surface: Surface, picture: UInt8Array | None = None, outside: IntArray | None = None) -> FloatArray:
    """The colour of what lies around the surface's concept, extended over it; as `foreground_field`. `outside`: as `nearest_outside` says,
    where it is known."""
    return _extended(surface, picture, nearest_outside(surface) if outside is None else outside)


def nearest_outside(surface: Surface) -> IntArray | None:
    """Which cell outside the surface's concept is the nearest to each: int [hs/2,ws/2], indexes row by row; None where there is none. All
    materials of a concept have the same."""
    size = _half_size(surface)
    # Outside the matte's tail: the fringe has the surface's colour in it.
    outside = (average(surface.whole, size) == 0).astype(np.uint8)
    coverage = edge_of(surface).coverage
    if not outside.any() and int(coverage.max()) >= HALF_ALPHA:
        # A feather that reaches the borders of the photo. (A sharp matte's coverage has no more outside than the matte.)
        outside = (average(coverage, size) == 0).astype(np.uint8)
    return _nearest_known(outside, outside) if outside.any() else None


def _half_size(surface: Surface) -> tuple[int, int]:
    """Width and height of the fields around edges: they are smooth, so half the work resolution is enough."""
    height, width = surface.small.shape[:2]
    return max(1, width // 2), max(1, height // 2)


def _extended(surface: Surface, picture: UInt8Array | None, places: IntArray | None) -> FloatArray:
    """The colours at `places` in the surface's box, or in a `picture` of it; where there are none, the mean of all."""
    height, width = surface.small.shape[:2]
    small = surface.small if picture is None else at_work_size(picture, (width, height))
    small = cast(FloatArray, cv2.resize(small, _half_size(surface), interpolation=cv2.INTER_AREA))
    if places is None:
        return np.full_like(small, small.mean(axis=(0, 1)))
    return np.take(small.reshape(-1, small.shape[2]), places, axis=0)


def _nearest_known(clean: UInt8Array, known: UInt8Array) -> IntArray:
    """Of every cell the nearest `clean` one, or the nearest `known` one (of which there are some) where that is much nearer.

    The nearest and no mean of many: across its edge, stripes and planks run on.
    """
    far, places = _nearest(known)
    if clean is not known and clean.any():
        further, better = _nearest(clean)
        places = np.where(further <= far + EDGE.max_detour, better, places)
    return places


def _nearest(known: UInt8Array) -> tuple[FloatArray, IntArray]:
    """How far the nearest `known` cell is, float32 [h,w], and its index."""
    distance, label = cv2.distanceTransformWithLabels(1 - known, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(label.max()) + 1, np.int64)
    at = np.flatnonzero(known)
    table[label.ravel()[at]] = at
    return cast(FloatArray, distance), table[label]
