"""Pixels at an edge that show a surface and what lies around it at once: how much of each, and what they look like in a new colour."""

from __future__ import annotations

import math

import cv2
import numpy as np

from editing.compiled import compiled
from editing.field import Tile
from editing.fringe import MOST
from editing.surface import Surface
from imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Colours of surface and surroundings that differ by less than this (distance over the brighter one) cannot tell the one's share in a
# pixel, and that surely can; a pixel further from the line between both than this share of their distance is a third thing.
ALIKE, DIFFERENT = 0.1, 0.35
OFF_LINE = 0.25
# Less than this of the surface is noise.
FAINT = 0.02


def rim_of(surface: Surface, tile: Tile) -> BoolArray:
    """Pixels of a tile of a surface that may be mixed with what lies around the concept: touched, and not deep in it; bool [h,w]."""
    near = tile.grown(1)
    least = cv2.erode(surface.whole[near.y0 : near.y1, near.x0 : near.x1], np.ones((3, 3), np.uint8))
    inside = least[tile.y0 - near.y0 :, tile.x0 - near.x0 :][: tile.y1 - tile.y0, : tile.x1 - tile.x0]
    return (inside < 255) & (surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1] > 0)


def surroundings(surface: Surface) -> tuple[FloatArray, FloatArray]:
    """The surface's colour and its surroundings' near the edge, extended over it: float32 [hs/2,ws/2,3] scene-linear each."""
    hs, ws = surface.small.shape[:2]
    # These fields are smooth, so half the work resolution is enough.
    size = (max(1, ws // 2), max(1, hs // 2))
    small = cv2.resize(surface.small, size, interpolation=cv2.INTER_AREA)
    alpha, whole = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (surface.alpha, surface.whole))
    # Outside the matte's tail: the fringe has the surface's colour in it.
    return _extend(small, alpha >= 250), _extend(small, whole == 0)


def _extend(small: FloatArray, known: BoolArray) -> FloatArray:
    weight = known.astype(np.float32)
    # Far from all that is known, its mean.
    total = np.full_like(small, 1e-9) * (small[known].mean(axis=0) if known.any() else small.mean(axis=(0, 1)))
    mass = np.full(weight.shape, 1e-9, np.float32)
    for size, share in ((3, 1.0), (9, 1e-2), (31, 1e-4)):
        mass += share * cv2.blur(weight, (size, size))
        total += share * cv2.blur(small * weight[..., None], (size, size))
    return total / mass[..., None]


def sample(field: FloatArray, tile: Tile, rows: IntArray, columns: IntArray) -> FloatArray:
    """What `editing.field.upsample` answers at some pixels of the tile: a small field [hs,ws,c] -> [n,c], bilinear."""
    values = np.empty((len(rows), field.shape[2]), np.float32)
    _sample(field, rows + tile.y0, columns + tile.x0, tile.height, tile.width, values)
    return values


@compiled
def _sample(field: FloatArray, rows: IntArray, columns: IntArray, height: int, width: int, values: FloatArray) -> None:
    """`rows` and `columns` of a box of `height` x `width`, over all of which the field is stretched."""
    bottom, right = field.shape[0] - 1, field.shape[1] - 1
    for i in range(len(rows)):
        y = min(max((rows[i] + 0.5) * (bottom + 1) / height - 0.5, 0.0), float(bottom))
        x = min(max((columns[i] + 0.5) * (right + 1) / width - 0.5, 0.0), float(right))
        y0, x0 = int(y), int(x)
        y1, x1, down, over = min(y0 + 1, bottom), min(x0 + 1, right), y - y0, x - x0
        for c in range(field.shape[2]):
            upper = field[y0, x0, c] + (field[y0, x1, c] - field[y0, x0, c]) * over
            lower = field[y1, x0, c] + (field[y1, x1, c] - field[y1, x0, c]) * over
            values[i, c] = upper + (lower - upper) * down


def shown(linear: FloatArray, alpha: UInt8Array, fore: FloatArray, back: FloatArray, *, more: bool = False) -> FloatArray:
    """The surface's share of mixed pixels, float32 [n]: the matte's (`alpha` uint8 [n]), corrected by what the photo shows there.

    A mask is off by a pixel here and there. Where it claims more of a bright surface than a pixel holds, taking that much out would leave
    less than no light. `more`: also where it claims less, for a cut-out, in which the old colour would stay as a seam. (A new colour must
    not spread so: what looks like the surface right beside it may be another thing.) Colours as for `foreground`.
    """
    share = np.empty(len(alpha), np.float32)
    _shown(linear, alpha, fore, back, MOST, more, share)
    return share


@compiled
def _shown(
    linear: FloatArray, alpha: UInt8Array, fore: FloatArray, back: FloatArray, most: FloatArray, more: bool, share: FloatArray
) -> None:
    """`most`: the largest share at each alpha of a matte's tail, which as opacity means none."""
    for i in range(len(alpha)):
        tail = alpha[i] < len(most)
        claimed = 0.0 if tail else alpha[i] / 255.0
        # Along the line from the surroundings' colour to the surface's, and off it.
        square = along = here = bright_fore = bright_back = 0.0
        for c in range(3):
            axis, own = fore[i, c] - back[i, c], linear[i, c] - back[i, c]
            square += axis * axis
            along += own * axis
            here += own * own
            bright_fore += fore[i, c] ** 2
            bright_back += back[i, c] ** 2
        square = max(square, 1e-8)
        seen = along / square
        off = math.sqrt(max(here - along * seen, 0.0) / square)
        contrast = math.sqrt(square / max(bright_fore, bright_back, 1e-8))
        trust = min(max((contrast - ALIKE) / (DIFFERENT - ALIKE), 0.0), 1.0) * min(max(2.0 - off / OFF_LINE, 0.0), 1.0)
        limit = claimed
        if more:
            limit = float(most[alpha[i]]) if tail else 1.0
        claimed += trust * (min(max(seen, 0.0), limit) - claimed)
        share[i] = claimed if claimed >= FAINT else 0.0


def foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray) -> FloatArray:
    """The surface's own colour in mixed pixels (Forte, "Approximate fast foreground colour estimation", 2021).

    All scene-linear float32 [n,3], `share` [n]: matte 0..1; `fore` and `back`: smooth colours of surface and surroundings.
    """
    own = np.empty_like(linear)
    _foreground(linear, share, fore, back, own)
    return own


@compiled
def _foreground(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray, own: FloatArray) -> None:
    for i in range(len(share)):
        a = share[i]
        for c in range(3):
            rest = linear[i, c] - a * fore[i, c] - (np.float32(1) - a) * back[i, c]
            own[i, c] = max(fore[i, c] + a * rest, np.float32(0))


def exchange(
    linear: FloatArray, share: FloatArray, colours: tuple[FloatArray, FloatArray], own: FloatArray, painted: FloatArray
) -> FloatArray:
    """Mixed pixels with the surface's `own` colour exchanged for the `painted` one; arrays as for `foreground`, `colours` are `fore` and
    `back`.

    What the two colours do not explain of a pixel is partly the surface's (in `own`), partly what lies behind it, and partly the mask's
    error: that last part goes as far as the edit makes the surface darker, or a white surface's error would outshine a black one's.
    """
    mixed = np.empty_like(linear)
    _exchange(linear, share, *colours, own, painted, mixed)
    return mixed


@compiled
def _exchange(
    linear: FloatArray,
    share: FloatArray,
    fore: FloatArray,
    back: FloatArray,
    own: FloatArray,
    painted: FloatArray,
    mixed: FloatArray,
) -> None:
    none, one, two = np.float32(0), np.float32(1), np.float32(2)
    for i in range(len(share)):
        a = share[i]
        for c in range(3):
            rest = linear[i, c] - a * fore[i, c] - (one - a) * back[i, c]
            behind = max(back[i, c] + (one - a) * rest, none)
            kept = min(max(painted[i, c] / max(own[i, c], np.float32(1e-4)), none), one)
            mixed[i, c] = max(a * painted[i, c] + (one - a) * behind + two * a * (one - a) * kept * rest, none)
