"""Filling a hole with pieces of the picture itself: PatchMatch completion, coarse to fine.

Sources: Barnes et al., "PatchMatch" (2009) for the search, Wexler, Shechtman, Irani, "Space-Time Completion of Video" (2007) for the
alternation of search and voting. All hole pixels are updated at once (as in jump flooding) instead of in scan order.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import cv2
import numpy as np
from numba import boolean, float32, float64, int64, void

from respray.editing.core.compiled import CORES, compiled_for, shared
from respray.editing.fill.diffusion import diffused
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# A patch is 2 x RADIUS + 1 pixels wide. No parameter: it is compiled into the loops.
RADIUS = 3
# How a hole is first guessed: by diffusion, from rim to rim in every row, or carried straight down as the corners and edges of walls run.
Guess = Literal["diffused", "across", "down"]
# Mean squared difference (8-bit codes) that a source one picture side away must make up for, down and across. In a hole that is large or
# spans several surfaces: rooms are layered, floor goes on beside floor, and what lies above or below is something else.
DISTANCE_COST: dict[Guess, tuple[float, float]] = {
    "diffused": (6_000.0, 6_000.0),
    "across": (400_000.0, 20_000.0),
    "down": (60_000.0, 20_000.0),
}


@dataclass(frozen=True)
class PatchMatchParameters:
    """How long is searched, and whose word counts.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    The numbers of rounds and steps bound the time.
    """

    max_coarsest_side: int = 40
    """The smallest picture of the pyramid is at most twice as large (longest side, pixels)."""
    max_rounds: int = 10
    """Rounds of search and voting at the coarsest level; two fewer at each finer one ..."""
    min_rounds: int = 3
    """... but not fewer than these."""
    search_rounds: int = 4
    """Searches among neighbours in a round, each half as far as the one before."""
    random_steps: int = 5
    """Random tries after each, each a quarter as far as the one before."""
    rim_fade: float = 1.3
    """The weight of a vote falls by this factor per pixel from the rim: what lies near it is known best."""


@dataclass(frozen=True)
class Completed:
    """`image` uint8 [H,W,3]; `offset` int [H,W,2]: rows and columns from every hole pixel to the one it is most like, 0 elsewhere."""

    image: UInt8Array
    offset: IntArray


def complete(
    image: UInt8Array,
    hole: BoolArray,
    seed: int = 0,
    *,
    guess: Guess = "diffused",
    among: BoolArray | None = None,
    parameters: PatchMatchParameters = PatchMatchParameters(),
) -> Completed:
    """Fill a hole from the rest of the picture. Time grows with the hole: meant for pictures of at most about 600 pixels on the longest
    side. A picture without enough known patches is filled by diffusion.

    Args:
        image: uint8 [H,W,3], sRGB.
        hole: bool [H,W].
        seed: of the random tries.
        guess: how the hole is first guessed, and how far away its sources may lie.
        among: bool [H,W], what may be copied.
        parameters: of the search.

    Returns:
        The picture, unchanged outside the hole, and where everything in it comes from.
    """
    p = parameters
    if not hole.any():
        return Completed(image, np.zeros((*hole.shape, 2), int))
    # A thin hole is gone in the smallest pictures.
    levels = [level for level in _pyramid(image, hole, ~hole if among is None else among & ~hole, p) if level[1].any()]
    rng = np.random.default_rng(seed)
    field: IntArray | None = None
    filled: FloatArray | None = None
    start: FloatArray
    for number, (known, gap, usable) in enumerate(reversed(levels)):
        source = _sources(usable)
        if not source.any():
            source = _sources(~gap)
        if not source.any():
            return Completed(diffused(image, hole, 5), np.zeros((*hole.shape, 2), int))
        if filled is None:
            start = _start(known, gap, usable, guess)
        else:
            start = cast(FloatArray, cv2.resize(filled, (known.shape[1], known.shape[0]), interpolation=cv2.INTER_CUBIC))
        filled = np.where(gap[..., None], start, known).astype(np.float32)
        rounds = max(p.min_rounds, p.max_rounds - 2 * number)
        filled, field = _level(filled, gap, source, field, rng, rounds, np.array(DISTANCE_COST[guess]), p)
    assert filled is not None
    assert field is not None  # there is at least one level
    inside = hole[..., None]
    return Completed(np.where(inside, np.clip(np.round(filled), 0, 255), image).astype(np.uint8), inside * (field - _own_places(hole)))


def _start(picture: FloatArray, gap: BoolArray, usable: BoolArray, guess: Guess) -> FloatArray:
    """A first guess for the hole of float32 [h,w,3]; `usable`: the pixels to guess from."""
    codes = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    unknown = ~usable if usable.any() else gap
    filled = np.where(gap[..., None], diffused(codes, unknown, 3), picture)
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


def _pyramid(
    image: UInt8Array, hole: BoolArray, usable: BoolArray, parameters: PatchMatchParameters
) -> list[tuple[FloatArray, BoolArray, BoolArray]]:
    levels = [(image.astype(np.float32), hole, usable)]
    while max(levels[-1][1].shape) > 2 * parameters.max_coarsest_side and min(levels[-1][1].shape) > 4 * RADIUS + 8:
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
    parameters: PatchMatchParameters,
) -> tuple[FloatArray, IntArray]:
    """Alternate search and voting at one size. Returns the filled picture and, for every pixel, its source (y, x) int [h,w,2]."""
    height, width = gap.shape
    # Every pixel whose patch reaches into the hole needs a source.
    size = 2 * RADIUS + 1
    need = cv2.dilate(gap.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    # (NumPy answers columns one after the other.)
    places = np.ascontiguousarray(np.argwhere(need))
    index = np.full((height, width), -1)
    index[need] = np.arange(len(places))
    candidates = np.argwhere(source)
    match = candidates[rng.integers(len(candidates), size=len(places))]
    if previous is not None:
        old_h, old_w = previous.shape[:2]
        ys, xs = places.T
        coarse = previous[np.minimum(ys // 2, old_h - 1), np.minimum(xs // 2, old_w - 1)] * 2 + places % 2
        coarse = np.clip(coarse, 0, [height - 1, width - 1])
        match = np.where(source[coarse[:, 0], coarse[:, 1]][:, None], coarse, match)
    trust = parameters.rim_fade ** -cv2.distanceTransform(gap.astype(np.uint8), cv2.DIST_L2, 3)[need]
    # In squared codes over a whole patch, for a way of one pixel.
    penalty = size**2 * distance_cost / max(gap.shape) ** 2
    hidden = np.ascontiguousarray(np.argwhere(gap))
    with ThreadPoolExecutor(CORES) as pool:
        for _ in range(rounds):
            search = _Search(picture, source, places, index, penalty, match, pool)
            for step in range(parameters.search_rounds):
                jump = 1 << (parameters.search_rounds - 1 - step)
                for way in ((0, jump), (jump, 0), (0, -jump), (-jump, 0)):
                    search.ask_neighbours(way)
                reach = max(height, width)
                for _ in range(parameters.random_steps):
                    search.ask_around(np.round(rng.uniform(-reach, reach, match.shape)).astype(int))
                    reach = max(1, reach // 4)
            match, cost = search.match, search.cost
            weight = trust * np.exp(-cost / (2.0 * float(np.percentile(cost, 75)) + 1e-3)) + 1e-9
            voted = picture.copy()
            shared(pool, len(hidden), partial(_vote, picture, hidden, index, match, weight, voted))
            picture = voted
    field = _own_places(gap)
    field[need] = match
    return picture, field


class _Search:
    """One round's search for the source patch that is most like each hole patch, and not far away: a floor is filled with floor, not with
    a like-coloured wall. `match` int [n,2] is the best so far for every place, `cost` float64 [n] what it costs.
    """

    def __init__(
        self,
        picture: FloatArray,
        source: BoolArray,
        places: IntArray,
        index: IntArray,
        penalty: FloatArray,
        match: IntArray,
        pool: Executor,
    ) -> None:
        self._picture, self._source, self._places, self._index, self._penalty = picture, source, places, index, penalty
        self._pool = pool
        self.match, self.cost = match, np.full(len(places), np.inf)
        self.ask_around(np.zeros_like(match))

    def ask_around(self, away: IntArray) -> None:
        """Try for each place what lies `away` (int [n,2]) from its match."""
        self._ask(np.arange(len(self.match)), away)

    def ask_neighbours(self, way: tuple[int, int]) -> None:
        """Try for each place the match of the place one `way` (rows, columns) off, less that way."""
        near = self._places + way
        inside = np.all((near >= 0) & (near < self._index.shape), axis=1)
        neighbour = np.full(len(near), -1)
        neighbour[inside] = self._index[near[inside, 0], near[inside, 1]]
        self._ask(neighbour, np.full(near.shape, np.negative(way)))

    def _ask(self, whom: IntArray, away: IntArray) -> None:
        match, cost = self.match.copy(), self.cost.copy()
        what = (self._picture, self._source, self._places, self._penalty, self.match, whom, away, match, cost)
        shared(self._pool, len(match), partial(_improve, *what))
        self.match, self.cost = match, cost


@compiled_for(
    void(
        float32[:, :, ::1],
        boolean[:, ::1],
        int64[:, ::1],
        float64[::1],
        int64[:, ::1],
        int64[::1],
        int64[:, ::1],
        int64[:, ::1],
        float64[::1],
        int64,
        int64,
    )
)
def _improve(
    picture: FloatArray,
    source: BoolArray,
    places: IntArray,
    penalty: FloatArray,
    match: IntArray,
    whom: IntArray,
    away: IntArray,
    better: IntArray,
    cost: FloatArray,
    first: int,
    last: int,
) -> None:
    """For places `first` to `last`: where the proposal, `match[whom] + away`, is a source patch and fits better, take it into `better` and
    `cost` in place. Nobody is asked where `whom` is negative. Patches at the picture's edge repeat its pixels."""
    height, width = source.shape
    for i in range(first, last):
        if whom[i] < 0:
            continue
        v, u = match[whom[i], 0] + away[i, 0], match[whom[i], 1] + away[i, 1]
        if v < 0 or u < 0 or v >= height or u >= width or not source[v, u]:
            continue
        y, x = places[i]
        total = penalty[0] * (v - y) ** 2 + penalty[1] * (u - x) ** 2
        for dy in range(-RADIUS, RADIUS + 1):
            if total >= cost[i]:
                break
            row = min(max(y + dy, 0), height - 1)
            for dx in range(-RADIUS, RADIUS + 1):
                column = min(max(x + dx, 0), width - 1)
                for channel in range(3):
                    difference = picture[row, column, channel] - picture[v + dy, u + dx, channel]
                    total += difference * difference
        if total < cost[i]:
            better[i, 0], better[i, 1], cost[i] = v, u, total


@compiled_for(void(float32[:, :, ::1], int64[:, ::1], int64[:, ::1], int64[:, ::1], float64[::1], float32[:, :, ::1], int64, int64))
def _vote(
    picture: FloatArray, hidden: IntArray, index: IntArray, match: IntArray, weight: FloatArray, voted: FloatArray, first: int, last: int
) -> None:
    """Hole pixels `first` to `last` of `hidden` become, in `voted`, the weighted mean of what the patches that cover them say."""
    height, width = index.shape
    for i in range(first, last):
        y, x = hidden[i]
        red = green = blue = mass = 0.0
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                row, column = y - dy, x - dx
                if row < 0 or column < 0 or row >= height or column >= width:
                    continue
                centre = index[row, column]
                v, u, share = match[centre, 0] + dy, match[centre, 1] + dx, weight[centre]
                red += share * picture[v, u, 0]
                green += share * picture[v, u, 1]
                blue += share * picture[v, u, 2]
                mass += share
        voted[y, x, 0], voted[y, x, 1], voted[y, x, 2] = red / mass, green / mass, blue / mass
