"""Taking a concept out: transparency, a flat background, or a filling from the surroundings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from respray.contract.request import Remove
from respray.editing.core.codes import encode_scene
from respray.editing.core.color import LUMINANCE, decode_scene, from_display, hex_to_linear
from respray.editing.core.field import Tile, upsample
from respray.editing.core.unmix import MixedPixels, estimate_background
from respray.editing.fill.diffusion import diffused
from respray.editing.fill.inpaint import Inpainter, fill, hole_of
from respray.editing.mask.overlap import PROTECT_ALPHA
from respray.editing.paint.composite import for_tiles
from respray.editing.paint.edges import background_field, edge_of, foreground_field, rim_of
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.layers import on_white

# A filled hole's alpha is continued from so many pixels around it, at no more than so many pixels on its longer side.
ALPHA_BORDER = 8
ALPHA_SIDE = 256
# A cut-out's antialiased edge is at most so wide (pixels).
BEHIND_EDGE = 3


@dataclass(frozen=True)
class Canvas:
    """One output while it is edited. Edits leave it as it is and answer another one.

    Attributes:
        rgb: uint8 [H,W,3], sRGB.
        alpha: uint8 [H,W], the photo's own, or once something is transparent.
    """

    rgb: UInt8Array
    alpha: UInt8Array | None = None

    @property
    def image(self) -> UInt8Array:
        """What is encoded: [H,W,3], or [H,W,4] with straight alpha."""
        return self.rgb if self.alpha is None else np.dstack([self.rgb, self.alpha])

    @property
    def seen(self) -> UInt8Array:
        """[H,W,3], on white."""
        return self.rgb if self.alpha is None else on_white(self.rgb, self.alpha)


def remove(
    canvas: Canvas,
    rule: Remove,
    parts: Sequence[Surface],
    *,
    shadow: UInt8Array | None = None,
    protected: UInt8Array | None = None,
    floor: BoolArray | None = None,
    flat: bool = False,
    network: Inpainter | None = None,
) -> Canvas:
    """Remove surfaces from a canvas.

    Args:
        canvas: the output as it is.
        rule: how they are removed.
        parts: the surfaces of one concept.
        shadow: uint8 [H,W], where a natural shadow stays on a new background.
        protected: uint8 [H,W], what is never filled over, nor put on a background.
        floor: bool [H,W], what of the photo is floor, where that is known.
        flat: whether they lie on the floor, as a rug does.
        network: a learned inpainter, where one is mounted.

    Returns:
        A canvas of its own; `canvas` itself where there is nothing to remove.
    """
    if not parts:
        return canvas
    if rule.mode == "inpaint":
        selected = np.zeros(canvas.rgb.shape[:2], np.uint8)
        for part in parts:
            x0, y0, x1, y1 = part.box
            selected[y0:y1, x0:x1] = cv2.max(selected[y0:y1, x0:x1], edge_of(part).selected())
        hole = hole_of(selected, protected, floor if flat else None)
        return _filled(canvas, lambda image: fill(image, hole, network, floor, flat), hole)
    rgb, alpha = canvas.rgb.copy(), canvas.alpha
    if rule.color is None:
        alpha = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha.copy()
    elif alpha is not None:
        alpha = alpha.copy()
    # A background is put behind what is seen, and shows nothing of what is behind it.
    before = canvas.rgb if rule.color is None else canvas.seen
    for part in parts:
        x0, y0, x1, y1 = part.box
        source, target = before[y0:y1, x0:x1], rgb[y0:y1, x0:x1]
        if rule.color is not None:
            cast = None if shadow is None else shadow[y0:y1, x0:x1]
            _put_background(source, target, part, hex_to_linear(rule.color), cast)
            if alpha is not None:
                kept = None if protected is None else protected[y0:y1, x0:x1]
                _put_behind(target, alpha[y0:y1, x0:x1], part.alpha, rule.color, kept)
        elif alpha is not None:
            _make_transparent(source, target, part, alpha[y0:y1, x0:x1])
    return Canvas(rgb, alpha)


def _filled(canvas: Canvas, fill_in: Callable[[UInt8Array], UInt8Array], hole: BoolArray) -> Canvas:
    """A canvas with its hole (bool [H,W]) filled as it is seen on white, and as transparent there as around it."""
    if canvas.alpha is None:
        return replace(canvas, rgb=fill_in(canvas.rgb))
    seen = fill_in(canvas.seen)
    alpha = _filled_alpha(canvas.alpha, hole)
    rgb = canvas.rgb.copy()
    share = alpha[hole].astype(np.float32)[:, None] / 255.0
    # Straight colours that look like the filling on white.
    straight = (seen[hole] - 255.0 * (1.0 - share)) / np.maximum(share, 1.0 / 255.0)
    rgb[hole] = np.round(np.clip(straight, 0.0, 255.0)).astype(np.uint8)
    return Canvas(rgb, alpha)


def _filled_alpha(alpha: UInt8Array, hole: BoolArray) -> UInt8Array:
    """`alpha` continued into the hole from its border, at a small size: it has no detail there."""
    result = alpha.copy()
    x, y, width, height = cv2.boundingRect(hole.astype(np.uint8))
    if not width:
        return result
    box = slice(max(0, y - ALPHA_BORDER), y + height + ALPHA_BORDER), slice(max(0, x - ALPHA_BORDER), x + width + ALPHA_BORDER)
    inside, known = hole[box], alpha[box]
    scale = min(1.0, ALPHA_SIDE / max(known.shape))
    size = (max(1, round(known.shape[1] * scale)), max(1, round(known.shape[0] * scale)))
    gap = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    gap = cv2.dilate(gap, np.ones((3, 3), np.uint8))
    small = diffused(np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.uint8), gap > 0, ALPHA_BORDER)
    result[box][inside] = cv2.resize(small, known.shape[::-1], interpolation=cv2.INTER_LINEAR)[inside]
    return result


@dataclass(frozen=True)
class _Separated:
    """A tile of a surface apart from what lies around it. `linear`: the photo, `kept`: the background without the surface's colour and,
    where nothing of it shows, its smooth extension (scene-linear float32 [h,w,3]); the surface's `share` of each pixel, and the `strength`
    of the removal there (float32 [h,w,1])."""

    linear: FloatArray
    kept: FloatArray
    share: FloatArray
    strength: FloatArray


class _Separator:
    """Separates a surface from what lies around it, tile by tile; `source` uint8 [h,w,3] is its box."""

    def __init__(self, part: Surface, source: UInt8Array) -> None:
        self._part, self._source, self._edge = part, source, edge_of(part)
        self._foreground, self._background = foreground_field(part), background_field(part)

    def separate(self, tile: Tile) -> _Separated:
        linear = decode_scene(self._source[tile.window])
        share, strength = self._edge.whole_shares(tile.window)
        colours = (linear, upsample(self._foreground, tile), upsample(self._background, tile))
        pixels = MixedPixels(*(np.ascontiguousarray(colour).reshape(-1, 3) for colour in colours))
        at = np.flatnonzero(rim_of(self._part, tile))
        mixed = MixedPixels(pixels.linear[at], pixels.foreground[at], pixels.background[at])
        # In a cut-out, what the matte leaves of the surface's colour would stay as a seam.
        share.ravel()[at], strength.ravel()[at] = self._edge.mixed_shares(mixed, tile.window, at, may_grow=True)
        kept = estimate_background(pixels, share.ravel()).reshape(linear.shape)
        return _Separated(linear, kept, share[..., None], strength[..., None])


def _put_background(source: UInt8Array, target: UInt8Array, part: Surface, color: FloatArray, shadow: UInt8Array | None) -> None:
    """Write a flat colour (linear [3]) in place of a surface, under the `shadow` (uint8 [h,w]) that stays; arrays are of its box."""
    separator, edge = _Separator(part, source), edge_of(part)
    level = np.float32(part.reflection.luminance)

    def work(tile: Tile) -> None:
        alpha = part.alpha[tile.window]
        if not alpha.any():
            return
        seen = separator.separate(tile)
        light = np.ones(alpha.shape, np.float32)
        if shadow is not None:
            dark = np.minimum((seen.linear @ LUMINANCE) / level, 1.0)
            light = 1.0 - shadow[tile.window].astype(np.float32) / 255.0 * (1.0 - dark)
        # A flat colour is a colour on the screen, not a paint under the photo's light: shadow scales it there.
        flat = from_display(color * light[..., None]).astype(np.float32)
        result = edge.blend(seen.linear, flat * seen.share + seen.kept * (1.0 - seen.share), seen.strength)
        np.copyto(target[tile.window], encode_scene(result), where=(alpha > 0)[..., None])

    for_tiles(source.shape[1], source.shape[0], work)


def _put_behind(target: UInt8Array, opacity: UInt8Array, background: UInt8Array, color: str, protected: UInt8Array | None) -> None:
    """What became background (uint8 [h,w]) is opaque; the edge beside it, which is still partly transparent, has the colour behind it,
    unless it is `protected` (uint8 [h,w]).
    """
    reach = 2 * BEHIND_EDGE + 1
    beside = cv2.dilate(background, np.ones((reach, reach), np.uint8)) > 0
    if protected is not None:
        beside &= protected < PROTECT_ALPHA
    edge = beside & (background == 0) & (opacity < 255)
    share = opacity[edge].astype(np.float32)[:, None] / 255.0
    behind = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)], np.float32)
    target[edge] = np.round(target[edge] * share + behind * (1.0 - share))
    opacity[beside] = 255


def _make_transparent(source: UInt8Array, target: UInt8Array, part: Surface, opacity: UInt8Array) -> None:
    """Take a surface out of `opacity` (uint8 [h,w]), and its colour out of what stays of mixed pixels; arrays are of its box."""
    separator, edge = _Separator(part, source), edge_of(part)

    def work(tile: Tile) -> None:
        alpha = part.alpha[tile.window]
        if not alpha.any():
            return
        seen = separator.separate(tile)
        stays = 1.0 - seen.strength * seen.share
        opacity[tile.window] = np.round(opacity[tile.window] * stays[..., 0])
        result = edge.remainder(seen.linear, seen.kept, seen.share, seen.strength)
        np.copyto(target[tile.window], encode_scene(result), where=(alpha > 0)[..., None])

    for_tiles(source.shape[1], source.shape[0], work)
