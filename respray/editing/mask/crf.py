"""A network's coarse mask decided again, at a finer size: a conditional random field over the network's doubt, colours and edges.

Each pixel of a band around the mask's border asks the network, the colours on both sides nearby (`local_colours`), and its neighbours, the
less the photo changes between them (Boykov and Jolly, "Interactive Graph Cuts", 2001; Rother et al., "GrabCut", 2004). The field is solved
by mean-field sweeps, which keep a probability. So the border goes to an edge of the photo that also parts the colours, around legs and
frames that the coarse mask has smeared; where the photo shows nothing, it is a short one near the network's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
from numba import float32, int64, void

from respray.editing.core.compiled import compiled_for
from respray.editing.core.reduce import average
from respray.editing.mask.local_colours import ColourParameters, colour_bins, log_ratio
from respray.imaging.arrays import FloatArray, IntArray, UInt8Array

# Expectations that change by no more than this (a code is 0.008) are no news to their neighbours.
NEWS = 1e-4


@dataclass(frozen=True)
class FieldParameters:
    """What counts how much. Log odds; cells are pixels of the network's mask.

    Chosen on rooms 9000-9015 and 9700-9715 (docs/log/edges-and-borders.md).
    """

    fineness: float = 2.5
    """Pixels of the work size for a cell, ..."""
    max_side: int = 640
    """... as far as its longest side is no longer than this."""
    band: float = 3.0
    """Half width of the band that is decided, in cells; and ..."""
    undecided: float = 0.04
    """... what the network gives a probability further from 0 and 1 than this."""
    network: float = 1.0
    """What the network's log odds count, ..."""
    max_network: float = 4.6
    """... which are no larger than this."""
    colour: float = 1.0
    """What the colours' log odds count, ..."""
    max_colour: float = 2.5
    """... which are no larger than this."""
    alike: float = 3.0
    """What two neighbours without any change between them agree by. A change as large as the usual one nearby takes 40 % of that, ..."""
    nearby: float = 3.0
    """... which is so many cells to each side, ..."""
    min_edge: float = 1.5
    """... but a smaller one than this (codes, root mean square of red, green and blue) is noise, ..."""
    edge: float = 5.0
    """... and from this on it is an edge, whatever there is around it."""
    surely: float = 0.8
    """Pixels on whose side the network is so sure, a cell or more from its border, are what the first colours are taken from."""
    decided: float = 0.6
    """Those of the second round have this expectation (-1..1)."""
    sweeps: int = 12
    """Over the band in each round."""
    rounds: int = 2
    """The colours are taken anew between rounds."""
    blur: float = 0.5
    """Standard deviation, pixels of the work size, of a blur of the answer: enlarged, one without it has steps."""
    colours: ColourParameters = field(default_factory=ColourParameters)
    """Of the histograms."""


THINGS = FieldParameters(colours=ColourParameters(floors=(0.3, 0.3)))
"""For things: a colour that is nowhere near is as likely theirs (a lid, a leg) as not."""


class FieldPicture:
    """A photo whose concepts are decided one after the other: what their fields see of it is made once for all of the same size."""

    def __init__(self, photo: UInt8Array) -> None:
        """`photo` is uint8 [H,W,3], sRGB."""
        self.photo = photo
        self._last: tuple[tuple[object, ...], FloatArray, IntArray] | None = None

    def at(self, size: tuple[int, int], colours: ColourParameters) -> tuple[FloatArray, IntArray]:
        """The photo at a size (width, height), float32 [h,w,3] in codes, and its `colour_bins`; neither is to be changed."""
        key = (size, colours.lightness_bins, colours.chroma_bins, colours.chroma_step)
        if self._last is None or self._last[0] != key:
            small = average(self.photo, size).astype(np.float32)
            self._last = key, small, colour_bins(small, colours)
        return self._last[1:]


def decide(probability: UInt8Array, picture: FieldPicture, parameters: FieldParameters = FieldParameters()) -> UInt8Array:
    """Decide a coarse mask again.

    Args:
        probability: uint8 [h,w], the network's answer.
        picture: of the photo.
        parameters: of the field.

    Returns:
        Probability uint8 [h2,w2] in the photo's shape and at most `max_side` long; `probability` itself where the photo is no finer.
    """
    p = parameters
    height, width = picture.photo.shape[:2]
    scale = min(1.0, p.max_side / max(height, width), p.fineness * float(np.sqrt(probability.size / (height * width))))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cell = float(np.sqrt(size[0] * size[1] / probability.size))
    if cell < 1.0:
        return probability
    likely = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) * np.float32(1 / 255)
    inside = (likely >= 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    band = (np.abs(depth) <= p.band * cell) | (np.abs(likely - 0.5) < 0.5 - p.undecided)
    where = np.flatnonzero(band)
    if not len(where):
        return probability
    odds = np.clip(np.log(np.maximum(likely, 1e-3) / np.maximum(1.0 - likely, 1e-3)), -p.max_network, p.max_network)
    state = np.tanh(odds / 2).astype(np.float32)
    small, bins = picture.at(size, p.colours)
    sides = (likely > p.surely) & (depth > cell), (likely < 1.0 - p.surely) & (depth < -cell)
    # A border that moves by a cell passes over fewer pixels where there are fewer for each.
    own = np.float32(p.network * max(1.0, p.fineness / cell)) * odds.ravel()[where]
    links = _links(small, where, cell, p)
    for _ in range(p.rounds):
        told = np.clip(log_ratio(bins, sides, where, cell, p.colours), -p.max_colour, p.max_colour)
        unary = (own + np.float32(p.colour) * told).astype(np.float32)
        _sweep(unary, links, where, size[0], p.sweeps, state.ravel())
        sides = state > p.decided, state < -p.decided
    soft = cv2.GaussianBlur(state, (0, 0), p.blur)
    return cast(UInt8Array, np.clip((soft + 1.0) * 127.5 + 0.5, 0.0, 255.0).astype(np.uint8))


def _links(photo: FloatArray, where: IntArray, cell: float, parameters: FieldParameters) -> FloatArray:
    """How much each pixel of the band agrees with its eight neighbours, float32 [n,8] (log odds; 0 outside the picture)."""
    p = parameters
    changes = np.empty(photo.shape[:2], np.float32)
    _change(photo, changes)
    window = 2 * round(p.nearby * cell) + 1
    usual = cv2.blur(changes, (window, window)).ravel()[where]
    links = np.empty((len(where), 8), np.float32)
    _link(photo, where, np.float32(p.alike), (6.0 * np.clip(usual, p.min_edge**2, p.edge**2)).astype(np.float32), links)
    return links


@compiled_for(void(float32[:, :, ::1], float32[:, ::1]))
def _change(photo: FloatArray, changes: FloatArray) -> None:
    """Mean square of what every pixel's channels change by to the pixels on its right and below: float32 [h,w]."""
    height, width = changes.shape
    for y in range(height):
        below = min(y + 1, height - 1)
        for x in range(width):
            after = min(x + 1, width - 1)
            total = np.float32(0)
            for c in range(3):
                across, down = photo[y, after, c] - photo[y, x, c], photo[below, x, c] - photo[y, x, c]
                total += across * across + down * down
            changes[y, x] = total / np.float32(6)


@compiled_for(void(float32[:, :, ::1], int64[::1], float32, float32[::1], float32[:, ::1]))
def _link(photo: FloatArray, where: IntArray, alike: np.float32, wide: FloatArray, links: FloatArray) -> None:
    """See `_links`, which is written here; `wide` float32 [n]: six times the square of the usual change. Neighbours as in `_sweep`."""
    height, width = photo.shape[:2]
    for i in range(len(where)):
        y, x = where[i] // width, where[i] % width
        k = 0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if dy == 0 and dx == 0:
                    continue
                links[i, k] = np.float32(0)
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    square = np.float32(0)
                    for c in range(3):
                        change = photo[y, x, c] - photo[y + dy, x + dx, c]
                        square += change * change
                    links[i, k] = alike * np.exp(-square / wide[i]) * np.float32(1.0 if dy == 0 or dx == 0 else 0.70710678)
                k += 1


@compiled_for(void(float32[::1], float32[:, ::1], int64[::1], int64, int64, float32[::1]))
def _sweep(unary: FloatArray, links: FloatArray, where: IntArray, width: int, sweeps: int, state: FloatArray) -> None:
    """Mean-field updates of `state` float32 [h*w] (expectations -1..1) at `where`, forth and back; a pixel without news is passed over."""
    count = len(where)
    last = len(state) - 1
    news = np.zeros(len(state), np.bool_)
    for i in range(count):
        news[where[i]] = True
    for sweep in range(sweeps):
        for step in range(count):
            i = step if sweep % 2 == 0 else count - 1 - step
            here = where[i]
            if not news[here]:
                continue
            news[here] = False
            total = unary[i]
            k = 0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if dy == 0 and dx == 0:
                        continue
                    there = min(max(here + dy * width + dx, 0), last)
                    total += links[i, k] * state[there]
                    k += 1
            now = np.tanh(total * np.float32(0.5))
            if abs(now - state[here]) > np.float32(NEWS):
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        if dy != 0 or dx != 0:
                            news[min(max(here + dy * width + dx, 0), last)] = True
            state[here] = now
