"""Pixels at an edge that show a surface and what lies around it at once: how much of each, and what they look like in a new colour."""

from __future__ import annotations

import math

import cv2
import numpy as np

from respray.editing.core.compiled import compiled
from respray.editing.core.field import Tile
from respray.editing.mask.fringe import MOST
from respray.editing.surface.surface import SOLID_ALPHA, Surface, at_work_size
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Colours of surface and surroundings that differ by less than this (distance over the brighter one) cannot tell the one's share in a
# pixel, and that surely can; a pixel further from the line between both than this share of their distance is a third thing.
ALIKE, DIFFERENT = 0.1, 0.35
OFF_LINE = 0.25
# Less than this of the surface is noise.
FAINT = 0.02
# A pixel that shows less of the surface than this is another thing, and surely the surface at twice as much.
ALIEN = 0.25
# A pixel is a surface's when its matte has this much of it.
HALF = 128
# A pixel that the matte claims for the surface alone shows something else only from this share on, and surely at twice as much.
GRAIN = 0.04
# Pixels on the matte's side of its edge that may be mixed; and where another edited surface begins behind the edge, whose old colour would
# shine in its new one's place. (Taken everywhere, the second row costs more than it brings: it takes a pattern for a mixture.)
RIM, RIM_BESIDE = 1, 2
# Cells of a smooth field by which a clean one may be further away than a doubtful one, to be asked first.
FURTHER = 3.0


def rim_of(surface: Surface, tile: Tile, reach: int = RIM) -> BoolArray:
    """Pixels of a tile of a surface that may be mixed with what lies around the concept: touched, and not deep in it; bool [h,w]."""
    near = tile.grown(reach)
    extent = surface.whole if surface.hard is None else surface.hard
    least = cv2.erode(extent[near.y0 : near.y1, near.x0 : near.x1], np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    inside = least[tile.y0 - near.y0 :, tile.x0 - near.x0 :][: tile.y1 - tile.y0, : tile.x1 - tile.x0]
    return (inside < 255) & (surface.alpha[tile.y0 : tile.y1, tile.x0 : tile.x1] > 0)


def colour_of(surface: Surface, picture: UInt8Array | None = None) -> FloatArray:
    """The surface's colour near the edge, extended over it: float32 [hs/2,ws/2,3] scene-linear. `picture` uint8 [h,w,3]: its box as it is
    now, where it is not as in the photo any more."""
    small, size = _half(surface, picture)
    solid = (cv2.resize(surface.alpha, size, interpolation=cv2.INTER_AREA) >= SOLID_ALPHA).astype(np.uint8)
    # A photo's edge is wider than a matte's: beside it the surface's colour has some of its surroundings' in it.
    return _extend(small, cv2.erode(solid, np.ones((3, 3), np.uint8)), solid)


def surroundings(surface: Surface, picture: UInt8Array | None = None) -> FloatArray:
    """The colour of what lies around the surface's concept, extended over it; as `colour_of`."""
    small, size = _half(surface, picture)
    # Outside the matte's tail: the fringe has the surface's colour in it.
    outside = (cv2.resize(surface.whole, size, interpolation=cv2.INTER_AREA) == 0).astype(np.uint8)
    if surface.hard is not None and not outside.any() and int(surface.hard.max()) >= HALF:
        # A feather that reaches the borders of the photo.
        outside = (cv2.resize(surface.hard, size, interpolation=cv2.INTER_AREA) == 0).astype(np.uint8)
    return _extend(small, outside, outside)


def _half(surface: Surface, picture: UInt8Array | None) -> tuple[FloatArray, tuple[int, int]]:
    """These fields are smooth, so half the work resolution is enough; and its width and height."""
    hs, ws = surface.small.shape[:2]
    small = surface.small if picture is None else at_work_size(picture, (ws, hs))
    size = (max(1, ws // 2), max(1, hs // 2))
    return cv2.resize(small, size, interpolation=cv2.INTER_AREA), size


def _extend(small: FloatArray, clean: UInt8Array, known: UInt8Array) -> FloatArray:
    """Every cell gets the colour of the nearest `clean` one, or of the nearest `known` one where that is much nearer.

    The nearest and no mean of many: across its edge, stripes and planks run on.
    """
    if not known.any():
        return np.full_like(small, small.mean(axis=(0, 1)))
    far, colour = _nearest(small, known)
    if clean.any() and clean is not known:
        further, better = _nearest(small, clean)
        colour = np.where((further <= far + FURTHER)[..., None], better, colour)
    return colour


def _nearest(small: FloatArray, known: UInt8Array) -> tuple[FloatArray, FloatArray]:
    """How far the nearest `known` cell is, float32 [h,w], and its colour."""
    distance, label = cv2.distanceTransformWithLabels(1 - known, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(label.max()) + 1, np.int64)
    at = np.flatnonzero(known)
    table[label.ravel()[at]] = at
    return distance, small.reshape(-1, small.shape[2])[table[label]]


def sample(field: FloatArray, tile: Tile, rows: IntArray, columns: IntArray) -> FloatArray:
    """What `respray.editing.core.field.upsample` answers at some pixels of the tile: a small field [hs,ws,c] -> [n,c], bilinear."""
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


def shown_softly(
    linear: FloatArray, alpha: UInt8Array, hard: UInt8Array, fore: FloatArray, back: FloatArray, *, more: bool = False
) -> tuple[FloatArray, FloatArray]:
    """The surface's share of pixels under a wide soft edge (`alpha` and `hard` uint8 [n] of `mask.matte.Matte`), and how much of the
    edit they get: float32 [n] each; else as `shown`.

    Beyond the surface's own edge a pixel is taken for the surface, unless it surely is something else: a shadow or a pattern on it is no
    mixture.
    """
    selected = alpha.astype(np.float32) / np.float32(255)
    share = shown(linear, hard, fore, back, more=more)
    strength = np.minimum(selected / np.maximum(hard.astype(np.float32) / np.float32(255), np.float32(FAINT)), np.float32(1))
    seen = shown(linear, np.full_like(alpha, 255), fore, back)
    seen += np.clip((seen - ALIEN) / ALIEN, 0.0, 1.0, dtype=np.float32) * (1 - seen)
    beyond = hard < HALF
    share[beyond] = seen[beyond]
    strength[beyond] = np.minimum(selected / np.maximum(seen, np.float32(FAINT)), np.float32(1))[beyond]
    return share, strength


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
        if alpha[i] == 255:
            # Well inside, a little of something else is grain, noise or JPEG's.
            seen = 1.0 - max(min(1.0 - seen, 2.0 * (1.0 - seen - GRAIN)), 0.0)
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


def behind(linear: FloatArray, share: FloatArray, fore: FloatArray, back: FloatArray) -> FloatArray:
    """What lies around the surface in mixed pixels, as `foreground` is what the surface has in them: float32 [n,3]."""
    rest = linear - share[:, None] * fore - (1.0 - share)[:, None] * back
    return np.maximum(back + (1.0 - share)[:, None] * rest, np.float32(0))


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
