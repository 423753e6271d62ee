"""Filling a hole by PatchMatch, floor and what stands on it each from itself.

Patches are searched at a small size; every pixel then takes the photo's full detail from where its patch comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.editing.fill.backdrop import find_backdrop
from respray.editing.fill.ground import FarBorder, far_border
from respray.editing.fill.patchmatch import Guess, complete
from respray.imaging.arrays import AnyArray, BoolArray, FloatArray, IntArray, UInt8Array

# Patches are searched at most at this size (longest side of the hole's surroundings, pixels). Bounds the time.
MAX_SEARCH_SIDE = 420
# A reduced pixel is known, or may be copied, when this share of it is.
WHOLE = 0.999
# Side (pixels) at which a membrane is relaxed from nothing, with MEMBRANE_ROUNDS; each larger size starts from the one below.
MEMBRANE_SIDE = 24
MEMBRANE_ROUNDS, REFINING_ROUNDS = 600, 16


@dataclass(frozen=True)
class LayerParameters:
    """How floor and what stands on it are filled apart. Shares are of the longest side of the searched picture.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    overlap: int = 8
    """Both are filled this many searched pixels beyond their border, so that patches there are whole."""
    light_share: float = 0.04
    """The light on a floor is smooth over this share (standard deviation)."""
    light_reach: float = 0.08
    """A rim's own light (the object's shadow, a gleam beside it) fades by e within this share."""
    matt_ranks: tuple[float, float] = (0.2, 0.5)
    """The matt parts of a floor, by rank of brightness, 0..1."""
    grain: float = 1.5
    """What varies within so many searched pixels (standard deviation) is a plain surface's grain, and no light."""
    max_gleam: float = 50.0
    """What is this much brighter than them (8-bit codes) shows none of the floor's pattern."""


@dataclass(frozen=True)
class Filling:
    """A filled picture, uint8 [h,w,3], and what of its surroundings it goes on from, bool [h,w]: what else is beside it stands in front."""

    picture: UInt8Array
    goes_on_from: BoolArray


def patched(
    crop: UInt8Array,
    gap: BoolArray,
    floor: BoolArray | None,
    guess: Guess,
    flat: bool = False,
    parameters: LayerParameters = LayerParameters(),
) -> Filling:
    """Fill a gap by PatchMatch; floor and the rest each from itself where the border between them is seen.

    Args:
        crop: uint8 [h,w,3], sRGB.
        gap: bool [h,w].
        floor: bool [h,w], what is floor, where that is known.
        guess: how the gap is first guessed where no border is seen.
        flat: whether what is removed lay on the floor, so that all of the gap is floor.
        parameters: of the layers.
    """
    p = parameters
    height, width = gap.shape
    size = searched_size(height, width)
    small_gap = reduced(~gap, size) < WHOLE
    x, y, w, h = cv2.boundingRect(gap.astype(np.uint8))
    layers = _Layers(crop.astype(np.int16), gap, size, (x, y, w, h))
    border = None
    if floor is not None:
        small_floor = reduced(floor, size) >= 0.5
        border = FarBorder.nowhere(*small_gap.shape) if flat and small_floor.any() else far_border(small_floor, small_gap)
    if floor is None or border is None:
        filling, seen = layers.fill_evenly(small_gap, ~gap, guess, p)
        return Filling(layers.result(filling), seen)
    known, standing = floor & ~gap, ~floor & ~gap
    below = border.floor(size[1], size[0])
    beyond = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * p.overlap + 1, 2 * p.overlap + 1))
    lower, upper = (small_gap & (cv2.dilate(part.astype(np.uint8), beyond) > 0) for part in (below > 0.0, below < 1.0))
    light = _light(crop, known, size, p)
    # Where a floor gleams it shows no planks.
    matt = known & (light.mean(axis=-1) < p.max_gleam)
    ground = layers.fill(layers.picture - light, lower, matt, "diffused") + layers.cut(light)
    if not upper.any():
        return Filling(layers.result(ground), known)
    rest, seen = layers.fill_evenly(upper, standing, "down", p)
    share = border.floor(height, width)
    filling = rest + (ground - rest) * layers.cut(share)[..., None]
    return Filling(layers.result(filling), known | (seen & (share < 0.5)))


@dataclass(frozen=True)
class _Layers:
    """Fillings of one gap (bool [h,w]) in `picture` (int16 [h,w,3]), searched for at `size` (width, height) and cut to `box`, which holds
    the gap (x, y, width, height).
    """

    picture: IntArray
    gap: BoolArray
    size: tuple[int, int]
    box: tuple[int, int, int, int]

    def cut(self, image: AnyArray) -> AnyArray:
        """The part of a picture in the box."""
        x, y, width, height = self.box
        return image[y : y + height, x : x + width]

    def result(self, filling: FloatArray) -> UInt8Array:
        """The picture with a filling of the box in its gap, uint8 [h,w,3]."""
        codes = self.picture.astype(np.uint8)
        np.copyto(self.cut(codes), np.clip(np.round(filling), 0, 255).astype(np.uint8), where=self.cut(self.gap)[..., None])
        return codes

    def fill_evenly(self, hole: BoolArray, among: BoolArray, guess: Guess, parameters: LayerParameters) -> tuple[FloatArray, BoolArray]:
        """As `fill`, but where a plain surface is seen around most of the hole, that one goes on in its own light; and what of `among` the
        filling goes on from, bool [h,w]."""
        small = self._small(self.picture)
        surface = find_backdrop(small, hole, reduced(among, self.size) > WHOLE)
        if surface is None:
            return self.fill(self.picture, hole, among, guess, small), among
        full = (among.shape[1], among.shape[0])
        seen = among & (cv2.resize(surface.astype(np.uint8), full, interpolation=cv2.INTER_NEAREST) > 0)
        mass = cv2.GaussianBlur(surface.astype(np.float32), (0, 0), parameters.grain)[..., None]
        even = cv2.GaussianBlur(small * surface[..., None].astype(np.float32), (0, 0), parameters.grain) / np.maximum(mass, 1e-4)
        level = membrane(even, surface) - even[surface].mean(axis=0)
        light = cv2.resize(np.round(level).astype(np.int16), full, interpolation=cv2.INTER_LINEAR)
        return self.fill(self.picture - light, hole, seen, "diffused") + self.cut(light), seen

    def _small(self, picture: IntArray) -> UInt8Array:
        """What is known of a picture at the searched size, uint8."""
        known = reduced(~self.gap, self.size)
        small = cv2.resize(picture * (~self.gap)[..., None], self.size, interpolation=cv2.INTER_AREA) / np.maximum(known, 1e-3)[..., None]
        codes: UInt8Array = np.clip(np.round(small), 0, 255).astype(np.uint8)
        return codes

    def fill(self, picture: IntArray, hole: BoolArray, among: BoolArray, guess: Guess, small: UInt8Array | None = None) -> FloatArray:
        """PatchMatch in `picture` (as `self.picture`), float32 [h,w,3] of the box; every pixel takes the detail of where it comes from.

        `hole` (bool) is at the searched size; `among` (bool [h,w]) may be copied; `small` is `_small(picture)` where that is at hand.
        """
        full = (picture.shape[1], picture.shape[0])
        found = complete(self._small(picture) if small is None else small, hole, guess=guess, among=reduced(among, self.size) > WHOLE)
        large = self.cut(cv2.resize(found.image, full, interpolation=cv2.INTER_CUBIC)).astype(np.float32)
        if full == self.size:
            return large
        lost = picture - cv2.resize(cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA), full, interpolation=cv2.INTER_CUBIC)
        moved = found.offset * (np.array(full[::-1]) / self.size[::-1])
        down, across = cv2.split(self.cut(cv2.resize(np.round(moved).astype(np.float32), full, interpolation=cv2.INTER_NEAREST)))
        x, y, width, height = self.box
        rows = np.clip(np.arange(y, y + height)[:, None] + down.astype(int), 0, full[1] - 1)
        columns = np.clip(np.arange(x, x + width) + across.astype(int), 0, full[0] - 1)
        detailed: FloatArray = large + lost[rows, columns]
        return detailed


def searched_size(height: int, width: int) -> tuple[int, int]:
    """Width and height at which a picture is searched for patches."""
    scale = min(1.0, MAX_SEARCH_SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def reduced(mask: BoolArray, size: tuple[int, int]) -> FloatArray:
    """The share of every pixel of a smaller picture that is in `mask`, float32."""
    return cast(FloatArray, cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def _light(picture: UInt8Array, known: BoolArray, size: tuple[int, int], parameters: LayerParameters) -> IntArray:
    """How much brighter the floor that is `known` (bool [h,w]) is than its matt parts, int16 [h,w,3] in codes, smoothly continued.

    Light does not repeat as planks do: copied with them, a sunlit patch would end in the middle of the floor. A sum and no factor,
    because what is bright on a floor is mostly a gleam on top of its colour.
    """
    share = reduced(known, size)
    small = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    sigma = parameters.light_share * max(size)
    mass = cv2.GaussianBlur(share, (0, 0), sigma)
    even = cv2.GaussianBlur(small, (0, 0), sigma) / np.maximum(mass, 1e-4)[..., None]
    seen = share > 0.5
    order = np.argsort(even[seen].sum(axis=1))
    low, high = (int(len(order) * rank) for rank in parameters.matt_ranks)
    matt = even[seen][order[low : high + 1]].mean(axis=0) if len(order) else np.float32(0)
    # The object's shadow and the gleam beside it are the rim's own: further in, the floor is as where nothing gleams.
    away = cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, 5)[..., None]
    light = (membrane(even, seen) - matt) * np.exp(-away / np.float32(parameters.light_reach * max(size)))
    full: IntArray = cv2.resize(np.round(light).astype(np.int16), (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return full


def membrane(values: FloatArray, known: BoolArray) -> FloatArray:
    """Stretch known values over the rest as a membrane (Laplace's equation, relaxed from coarse to fine).

    Args:
        values: float32 [h,w,c].
        known: bool [h,w], where they count.

    Returns:
        Float32 [h,w,c].
    """
    height, width = known.shape
    if min(height, width) > MEMBRANE_SIDE:
        size = ((width + 1) // 2, (height + 1) // 2)
        share = reduced(known, size)
        half = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-4)[..., None]
        start = cv2.resize(membrane(half, share > 0.0), (width, height), interpolation=cv2.INTER_LINEAR)
        rounds = REFINING_ROUNDS
    else:
        start, rounds = np.full_like(values, values[known].mean(axis=0) if known.any() else 1.0), MEMBRANE_ROUNDS
    keep = known[..., None]
    for _ in range(rounds):
        start = np.where(keep, values, start)
        start = cv2.blur(start, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.where(keep, values, start).astype(np.float32)
