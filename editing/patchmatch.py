"""Filling a hole with pieces of the picture itself: PatchMatch completion, coarse to fine, vectorised.

Sources: Barnes et al., "PatchMatch" (2009) for the search, Wexler, Shechtman, Irani, "Space-Time Completion of Video" (2007) for the
alternation of search and voting. All hole pixels are updated at once (as in jump flooding) instead of in scan order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

RADIUS = 3
COARSEST_SIDE = 40
SEARCH_ROUNDS = 4
# Rounds of search and voting at the coarsest level, and how many fewer at each finer one.
MOST_ROUNDS, FEWEST_ROUNDS = 10, 3
RANDOM_STEPS = 5
# How a hole is first guessed: by diffusion, from rim to rim in every row, or carried straight down as the corners and edges of walls run.
Guess = Literal["diffused", "across", "down"]
# Mean squared difference (8-bit codes) that a source one picture side away must make up for, down and across. In a hole that is large or
# spans several surfaces: rooms are layered, floor goes on beside floor, and what lies above or below is something else.
DISTANCE_COST: dict[Guess, FloatArray] = {
    "diffused": np.array([6_000.0, 6_000.0]),
    "across": np.array([400_000.0, 20_000.0]),
    "down": np.array([60_000.0, 20_000.0]),
}
# Weight of a vote falls by this factor per pixel from the rim.
RIM_FADE = 1.3


@dataclass(frozen=True)
class Completed:
    """`image` uint8 [H,W,3]; `offset` int [H,W,2]: rows and columns from every hole pixel to the one it is most like, 0 elsewhere."""

    image: UInt8Array
    offset: IntArray


def complete(image: UInt8Array, hole: BoolArray, seed: int = 0, *, guess: Guess = "diffused", among: BoolArray | None = None) -> Completed:
    """Fill `hole` (bool [H,W]) of an image (uint8 [H,W,3]) from the rest; pixels outside the hole are returned unchanged.

    `among` (bool [H,W]): what may be copied. Time grows with the hole: meant for pictures of at most about 600 pixels on the longest side.
    A picture without enough known patches is returned filled by diffusion.
    """
    levels = _pyramid(image, hole, ~hole if among is None else among & ~hole)
    rng = np.random.default_rng(seed)
    field: IntArray | None = None
    filled: FloatArray | None = None
    start: FloatArray
    for number, (known, gap, usable) in enumerate(reversed(levels)):
        source = _sources(usable)
        if not source.any():
            source = _sources(~gap)
        if not source.any():
            return Completed(cv2.inpaint(image, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA), np.zeros((*hole.shape, 2), int))
        if filled is None:
            start = _start(known, gap, usable, guess)
        else:
            start = cv2.resize(filled, (known.shape[1], known.shape[0]), interpolation=cv2.INTER_CUBIC)
        filled = np.where(gap[..., None], start, known).astype(np.float32)
        rounds = max(FEWEST_ROUNDS, MOST_ROUNDS - 2 * number)
        filled, field = _level(filled, gap, source, field, rng, rounds, DISTANCE_COST[guess])
    assert filled is not None
    assert field is not None  # there is at least one level
    return Completed(np.where(hole[..., None], np.clip(np.round(filled), 0, 255), image).astype(np.uint8), field - _own_places(hole))


def _start(picture: FloatArray, gap: BoolArray, usable: BoolArray, guess: Guess) -> FloatArray:
    """A first guess for the hole of float32 [h,w,3]; `usable`: the pixels to guess from."""
    codes = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    unknown = ~usable if usable.any() else gap
    filled = np.where(gap[..., None], cv2.inpaint(codes, unknown.astype(np.uint8), 3, cv2.INPAINT_TELEA), picture)
    if guess == "down":
        above = np.maximum.accumulate(np.where(unknown, -1, np.arange(len(gap))[:, None]), axis=0)
        reached = gap & (above >= 0)
        filled[reached] = np.take_along_axis(picture, np.maximum(above, 0)[..., None], axis=0)[reached]
    elif guess == "across":
        for y in np.flatnonzero(gap.any(axis=1) & ~unknown.all(axis=1)):
            hidden, known = np.flatnonzero(gap[y]), np.flatnonzero(~unknown[y])
            for channel in range(picture.shape[2]):
                filled[y, hidden, channel] = np.interp(hidden, known, picture[y, known, channel])
    return filled


def _pyramid(image: UInt8Array, hole: BoolArray, usable: BoolArray) -> list[tuple[FloatArray, BoolArray, BoolArray]]:
    levels = [(image.astype(np.float32), hole, usable)]
    while max(levels[-1][1].shape) > 2 * COARSEST_SIDE and min(levels[-1][1].shape) > 4 * RADIUS + 8:
        picture, gap, good = levels[-1]
        size = ((gap.shape[1] + 1) // 2, (gap.shape[0] + 1) // 2)
        known = (~gap).astype(np.float32)
        mass = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        total = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA)
        smaller = mass < 0.5
        usable = (cv2.resize(good.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5) & ~smaller
        levels.append((total / np.maximum(mass, 1e-3)[..., None], smaller, usable))
    return levels


def _own_places(hole: BoolArray) -> IntArray:
    return np.moveaxis(np.indices(hole.shape), 0, -1)


def _sources(usable: BoolArray) -> BoolArray:
    """Centres of patches that lie inside the picture and are usable all over."""
    size = 2 * RADIUS + 1
    clear = cv2.erode(usable.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    clear[:RADIUS], clear[-RADIUS:], clear[:, :RADIUS], clear[:, -RADIUS:] = False, False, False, False
    return clear


def _level(
    picture: FloatArray,
    gap: BoolArray,
    source: BoolArray,
    previous: IntArray | None,
    rng: np.random.Generator,
    rounds: int,
    distance_cost: FloatArray,
) -> tuple[FloatArray, IntArray]:
    """Alternate search and voting at one size. Returns the filled picture and, for every pixel, its source (y, x) int [h,w,2]."""
    height, width = gap.shape
    # Every pixel whose patch reaches into the hole needs a source.
    size = 2 * RADIUS + 1
    need = cv2.dilate(gap.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    ys, xs = np.nonzero(need)
    index = np.full((height, width), -1)
    index[ys, xs] = np.arange(len(ys))
    candidates = np.argwhere(source)
    match = candidates[rng.integers(len(candidates), size=len(ys))]
    if previous is not None:
        old_h, old_w = previous.shape[:2]
        coarse = previous[np.minimum(ys // 2, old_h - 1), np.minimum(xs // 2, old_w - 1)] * 2 + np.stack([ys % 2, xs % 2], axis=1)
        coarse = np.clip(coarse, 0, [height - 1, width - 1])
        match = np.where(source[coarse[:, 0], coarse[:, 1]][:, None], coarse, match)
    # What lies near the rim is known best; further in, a patch's word counts less.
    trust = RIM_FADE ** -cv2.distanceTransform(gap.astype(np.uint8), cv2.DIST_L2, 3)[ys, xs]
    for _ in range(rounds):
        patches = _patches(picture, ys, xs)
        search = _Search(picture, patches, source, np.stack([ys, xs], axis=1), distance_cost)
        cost = search.cost(match, slice(None))
        for step in range(SEARCH_ROUNDS):
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                jump = 1 << (SEARCH_ROUNDS - 1 - step)
                near_y, near_x = ys + dy * jump, xs + dx * jump
                inside = (near_y >= 0) & (near_y < height) & (near_x >= 0) & (near_x < width)
                neighbour = np.where(inside, index[np.clip(near_y, 0, height - 1), np.clip(near_x, 0, width - 1)], -1)
                proposal = match[neighbour] - np.array([dy * jump, dx * jump])
                match, cost = search.improve(match, cost, proposal, neighbour >= 0)
            reach = max(height, width)
            for _ in range(RANDOM_STEPS):
                proposal = match + np.round(rng.uniform(-reach, reach, match.shape)).astype(int)
                match, cost = search.improve(match, cost, proposal, None)
                reach = max(1, reach // 4)
        picture = _vote(picture, gap, ys, xs, match, trust * np.exp(-cost / (2.0 * float(np.percentile(cost, 75)) + 1e-3)))
    field = _own_places(gap)
    field[ys, xs] = match
    return picture, field


def _patches(picture: FloatArray, ys: FloatArray, xs: FloatArray) -> FloatArray:
    """Patches around pixels, edge pixels repeated: float32 [n, size*size, 3]."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    rows = np.clip(ys[:, None] + offsets, 0, picture.shape[0] - 1)
    columns = np.clip(xs[:, None] + offsets, 0, picture.shape[1] - 1)
    return picture[rows[:, :, None], columns[:, None, :]].reshape(len(ys), -1, picture.shape[2])


@dataclass(frozen=True)
class _Search:
    """One round's question: which source patch is most like each hole patch, and not far away."""

    picture: FloatArray
    patches: FloatArray
    source: BoolArray
    places: FloatArray
    distance_cost: FloatArray

    def cost(self, match: FloatArray, rows: FloatArray | slice) -> FloatArray:
        """Squared difference of patches plus a penalty on distance: a floor is filled with floor, not with a like-coloured wall."""
        difference = _patches(self.picture, match[:, 0], match[:, 1]) - self.patches[rows]
        away = (match - self.places[rows]) / max(self.source.shape)
        return np.einsum("npc,npc->n", difference, difference) + self.patches.shape[1] * (away**2 @ self.distance_cost)

    def improve(self, match: FloatArray, cost: FloatArray, proposal: FloatArray, usable: BoolArray | None) -> tuple[FloatArray, FloatArray]:
        """Take each proposal that is a source patch and fits better."""
        bound = np.array(self.source.shape)
        valid = np.all((proposal >= 0) & (proposal < bound), axis=1)
        if usable is not None:
            valid &= usable
        clipped = np.clip(proposal, 0, bound - 1)
        valid &= self.source[clipped[:, 0], clipped[:, 1]]
        chosen = np.flatnonzero(valid)
        if not len(chosen):
            return match, cost
        new_cost = self.cost(proposal[chosen], chosen)
        better = new_cost < cost[chosen]
        rows = chosen[better]
        match, cost = match.copy(), cost.copy()
        match[rows], cost[rows] = proposal[rows], new_cost[better]
        return match, cost


def _vote(picture: FloatArray, gap: BoolArray, ys: FloatArray, xs: FloatArray, match: FloatArray, weight: FloatArray) -> FloatArray:
    """Every hole pixel becomes the weighted mean of what the patches that cover it say."""
    height, width = gap.shape
    weight = weight.astype(np.float32) + 1e-9
    total, mass = np.zeros_like(picture), np.zeros((height, width), np.float32)
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            y, x = ys + dy, xs + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            # Pixels are unique within one offset, so plain indexed addition is safe.
            source = picture[match[inside, 0] + dy, match[inside, 1] + dx]
            total[y[inside], x[inside]] += source * weight[inside, None]
            mass[y[inside], x[inside]] += weight[inside]
    voted = total / np.maximum(mass, 1e-12)[..., None]
    return np.where((gap & (mass > 0))[..., None], voted, picture)
