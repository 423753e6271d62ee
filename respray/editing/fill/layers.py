"""Filling a hole by PatchMatch, floor and what stands on it each from itself.

Patches are searched at a small size; every pixel then takes the photo's full detail from where its patch comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.fill.ground import far_border
from respray.editing.fill.patchmatch import Guess, complete
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Patches are searched at this size (longest side of the hole's surroundings).
SEARCH_SIDE = 420
# Floor and what stands on it are filled this many searched pixels beyond their border, so that patches there are whole.
OVERLAP = 8
# A reduced pixel is known, or may be copied, when this share of it is.
WHOLE = 0.999
# Of the longest side: the light on a floor is smooth over LIGHT_SHARE, and a rim's own light fades (by e) within LIGHT_REACH.
LIGHT_SHARE, LIGHT_REACH = 0.04, 0.08
# The matt parts of a floor, by rank of brightness; what is this much (codes) brighter shows none of its pattern.
MATT_RANKS = (0.2, 0.5)
GLEAM = 50.0
MEMBRANE_SIDE = 24


def patched(crop: UInt8Array, gap: BoolArray, floor: BoolArray | None, guess: Guess) -> UInt8Array:
    """The filling of the gap, uint8 [h,w,3]; floor and the rest each from itself where the border between them is seen."""
    height, width = gap.shape
    size = searched_size(height, width)
    small_gap = reduced(~gap, size) < WHOLE
    x, y, w, h = cv2.boundingRect(gap.astype(np.uint8))
    layers = _Layers(crop.astype(np.int16), gap, size, (x, y, w, h))
    border = None if floor is None else far_border(reduced(floor, size) >= 0.5, small_gap)
    if floor is None or border is None:
        return layers.result(layers.fill(layers.picture, small_gap, ~gap, guess))
    known, standing = floor & ~gap, ~floor & ~gap
    below = border.floor(size[1], size[0])
    beyond = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * OVERLAP + 1, 2 * OVERLAP + 1))
    lower, upper = (small_gap & (cv2.dilate(part.astype(np.uint8), beyond) > 0) for part in (below > 0.0, below < 1.0))
    light = _light(crop, known, size)
    # Where a floor gleams it shows no planks.
    matt = known & (light.mean(axis=-1) < GLEAM)
    ground = layers.fill(layers.picture - light, lower, matt, "diffused") + layers.cut(light)
    rest = layers.fill(layers.picture, upper, standing, "down")
    share = layers.cut(border.floor(height, width))[..., None]
    return layers.result(share * ground + (1.0 - share) * rest)


@dataclass(frozen=True)
class _Layers:
    """Fillings of one gap (bool [h,w]) in `picture` (int16 [h,w,3]), searched for at `size` (width, height) and cut to `box`, which holds
    the gap (x, y, width, height).
    """

    picture: IntArray
    gap: BoolArray
    size: tuple[int, int]
    box: tuple[int, int, int, int]

    def cut(self, image: FloatArray) -> FloatArray:
        """The part of a picture in the box."""
        x, y, width, height = self.box
        return image[y : y + height, x : x + width]

    def result(self, filling: FloatArray) -> UInt8Array:
        """The picture with a filling of the box in its gap, uint8 [h,w,3]."""
        codes = self.picture.astype(np.uint8)
        np.copyto(self.cut(codes), np.clip(np.round(filling), 0, 255).astype(np.uint8), where=self.cut(self.gap)[..., None])
        return codes

    def fill(self, picture: IntArray, hole: BoolArray, among: BoolArray, guess: Guess) -> FloatArray:
        """PatchMatch in `picture` (as `self.picture`), float32 [h,w,3] of the box; every pixel takes the detail of where it comes from.

        `hole` (bool) is at the searched size; `among` (bool [h,w]) may be copied.
        """
        full = (picture.shape[1], picture.shape[0])
        known = reduced(~self.gap, self.size)
        small = cv2.resize(picture * (~self.gap)[..., None], self.size, interpolation=cv2.INTER_AREA) / np.maximum(known, 1e-3)[..., None]
        codes = np.clip(np.round(small), 0, 255).astype(np.uint8)
        found = complete(codes, hole, guess=guess, among=reduced(among, self.size) > WHOLE)
        large = self.cut(cv2.resize(found.image, full, interpolation=cv2.INTER_CUBIC)).astype(np.float32)
        if full == self.size:
            return large
        lost = picture - cv2.resize(cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA), full, interpolation=cv2.INTER_CUBIC)
        moved = found.offset * (np.array(full[::-1]) / self.size[::-1])
        down, across = cv2.split(self.cut(cv2.resize(np.round(moved).astype(np.float32), full, interpolation=cv2.INTER_NEAREST)))
        x, y, width, height = self.box
        rows = np.clip(np.arange(y, y + height)[:, None] + down.astype(int), 0, full[1] - 1)
        columns = np.clip(np.arange(x, x + width) + across.astype(int), 0, full[0] - 1)
        return large + lost[rows, columns]


def searched_size(height: int, width: int) -> tuple[int, int]:
    """Width and height at which a picture is searched for patches."""
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def reduced(mask: BoolArray, size: tuple[int, int]) -> FloatArray:
    """The share of every pixel of a smaller picture that is in `mask`, float32."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _light(picture: UInt8Array, known: BoolArray, size: tuple[int, int]) -> IntArray:
    """How much brighter the floor that is `known` (bool [h,w]) is than its matt parts, int16 [h,w,3] in codes, smoothly continued.

    Light does not repeat as planks do: copied with them, a sunlit patch would end in the middle of the floor. A sum and no factor,
    because what is bright on a floor is mostly a gleam on top of its colour.
    """
    share = reduced(known, size)
    small = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    sigma = LIGHT_SHARE * max(size)
    mass = cv2.GaussianBlur(share, (0, 0), sigma)
    even = cv2.GaussianBlur(small, (0, 0), sigma) / np.maximum(mass, 1e-4)[..., None]
    seen = share > 0.5
    order = np.argsort(even[seen].sum(axis=1))
    low, high = (int(len(order) * rank) for rank in MATT_RANKS)
    matt = even[seen][order[low : high + 1]].mean(axis=0) if len(order) else np.float32(0)
    # The object's shadow and the gleam beside it are the rim's own: further in, the floor is as where nothing gleams.
    away = cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, 5)[..., None]
    light = (membrane(even, seen) - matt) * np.exp(-away / np.float32(LIGHT_REACH * max(size)))
    return cv2.resize(np.round(light).astype(np.int16), (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)


def membrane(values: FloatArray, known: BoolArray) -> FloatArray:
    """float32 [h,w,c] where `known`, stretched over the rest as a membrane (Laplace's equation, relaxed from coarse to fine)."""
    height, width = known.shape
    if min(height, width) > MEMBRANE_SIDE:
        size = ((width + 1) // 2, (height + 1) // 2)
        share = reduced(known, size)
        half = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-4)[..., None]
        start = cv2.resize(membrane(half, share > 0.0), (width, height), interpolation=cv2.INTER_LINEAR)
        rounds = 16
    else:
        start, rounds = np.full_like(values, values[known].mean(axis=0) if known.any() else 1.0), 600
    keep = known[..., None]
    for _ in range(rounds):
        start = np.where(keep, values, start)
        start = cv2.blur(start, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.where(keep, values, start).astype(np.float32)
