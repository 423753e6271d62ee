"""Filling the place of a removed object: which method, at which size, and how the filling is joined to the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from editing.ground import far_border
from editing.patchmatch import Guess, complete
from editing.shading import extend
from imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# The hole is the matte plus this share of the longest side all around (soft edge), and again as much below (contact shadow).
GROW_SHARE = 0.008
# Holes thinner than this (share of the longest side) are filled by cv2's Telea, which is exact enough and fast there.
THIN_SHARE = 0.012
TELEA_RADIUS = 4
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
# A hole larger than this share of the photo has more than one surface behind it: it is filled in layers (see `editing.patchmatch`).
LAYERED_SHARE = 0.03
# Surroundings that are searched, relative to the hole's size.
SURROUNDINGS = 1.0


class Inpainter(Protocol):
    """A learned filler, such as a LaMa-class network in ONNX."""

    def fill(self, image: UInt8Array, hole: BoolArray) -> UInt8Array:
        """Fill `hole` (bool [H,W]) of uint8 [H,W,3]; pixels outside the hole may be ignored by the caller."""


def hole_of(alpha: UInt8Array, protected: UInt8Array | None = None) -> BoolArray:
    """The hole to fill for a matte (uint8 [H,W]): grown to take the soft edge and the contact shadow, never into protected pixels."""
    height, width = alpha.shape
    grow = max(2, round(GROW_SHARE * max(height, width)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    mask = cv2.dilate((alpha > 0).astype(np.uint8), kernel)
    lower = np.zeros_like(mask)
    lower[grow:] = mask[:-grow]
    hole = cv2.max(mask, lower) > 0
    if protected is not None:
        hole &= protected == 0
    return hole


def fill(image: UInt8Array, hole: BoolArray, network: Inpainter | None = None, floor: BoolArray | None = None) -> UInt8Array:
    """Fill `hole` (bool [H,W]) of uint8 [H,W,3] sRGB. A thin hole: Telea. Else the network where one is mounted, else PatchMatch.

    `floor` (bool [H,W]) is what of the photo is floor, where that is known: then floor is filled from floor, and what stands on it from
    that.
    """
    if not hole.any():
        return image
    height, width = hole.shape
    thickness = 2.0 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max())
    if thickness < THIN_SHARE * max(height, width):
        return cv2.inpaint(image, hole.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = round(SURROUNDINGS * max(w, h)) + 16
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    crop, gap = image[y0:y1, x0:x1], hole[y0:y1, x0:x1]
    if network is not None:
        filled = network.fill(crop, gap)
    else:
        guess: Guess = "across" if float(hole.mean()) > LAYERED_SHARE else "diffused"
        filled = _join(crop, _patched(crop, gap, None if floor is None else floor[y0:y1, x0:x1], guess), gap)
    result = image.copy()
    result[y0:y1, x0:x1] = np.where(gap[..., None], filled, crop)
    return result


def _patched(crop: UInt8Array, gap: BoolArray, floor: BoolArray | None, guess: Guess) -> UInt8Array:
    """The filling of the gap, uint8 [h,w,3]; floor and the rest each from itself where the border between them is seen."""
    height, width = gap.shape
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small_gap = _reduced(~gap, size) < WHOLE
    x, y, w, h = cv2.boundingRect(gap.astype(np.uint8))
    layers = _Layers(crop.astype(np.int16), gap, size, (x, y, w, h))
    border = None if floor is None else far_border(_reduced(floor, size) >= 0.5, small_gap)
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
        known = _reduced(~self.gap, self.size)
        small = cv2.resize(picture * (~self.gap)[..., None], self.size, interpolation=cv2.INTER_AREA) / np.maximum(known, 1e-3)[..., None]
        codes = np.clip(np.round(small), 0, 255).astype(np.uint8)
        found = complete(codes, hole, guess=guess, among=_reduced(among, self.size) > WHOLE)
        large = self.cut(cv2.resize(found.image, full, interpolation=cv2.INTER_CUBIC)).astype(np.float32)
        if full == self.size:
            return large
        lost = picture - cv2.resize(cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA), full, interpolation=cv2.INTER_CUBIC)
        moved = (found.source - np.moveaxis(np.indices(hole.shape), 0, -1)).astype(np.float32)
        down, across = cv2.split(self.cut(cv2.resize(moved, full, interpolation=cv2.INTER_NEAREST)))
        x, y, width, height = self.box
        rows, columns = np.mgrid[y : y + height, x : x + width].astype(np.float32)
        rows += down * np.float32(full[1] / self.size[1])
        columns += across * np.float32(full[0] / self.size[0])
        return large + cv2.remap(lost, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _reduced(mask: BoolArray, size: tuple[int, int]) -> FloatArray:
    """The share of every pixel of a smaller picture that is in `mask`, float32."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _light(picture: UInt8Array, known: BoolArray, size: tuple[int, int]) -> IntArray:
    """How much brighter the floor that is `known` (bool [h,w]) is than its matt parts, int16 [h,w,3] in codes, smoothly continued.

    Light does not repeat as planks do: copied with them, a sunlit patch would end in the middle of the floor. A sum and no factor,
    because what is bright on a floor is mostly a gleam on top of its colour.
    """
    share = _reduced(known, size)
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
        share = _reduced(known, size)
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


def _join(crop: UInt8Array, filled: UInt8Array, gap: BoolArray) -> UInt8Array:
    """Spread what is left of a step at the rim smoothly over the hole (a membrane, as in Poisson cloning)."""
    inside = cv2.erode(gap.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rim = gap & ~inside
    if not rim.any():
        return filled
    outside = extend_channels(crop, ~gap)
    step = np.where(rim[..., None], outside - filled.astype(np.float32), 0.0)
    smooth = np.stack([extend(np.ascontiguousarray(step[..., c]), rim) for c in range(3)], axis=-1)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 3.0)
    return np.clip(np.round(filled + smooth), 0, 255).astype(np.uint8)


def extend_channels(image: UInt8Array, known: BoolArray) -> UInt8Array:
    """Every channel of an image extended from `known` over the rest, float32 [h,w,3]."""
    return np.stack([extend(image[..., c].astype(np.float32), known) for c in range(image.shape[2])], axis=-1)
