"""Taking a concept out: transparency, a flat background, or a filling from the surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.contract.request import Remove
from respray.editing.core.codes import encode_scene
from respray.editing.core.color import LUMINANCE, decode_scene, from_display, hex_to_linear
from respray.editing.core.field import Tile, upsample
from respray.editing.fill.inpaint import Inpainter, fill, hole_of
from respray.editing.mask.fringe import without_tail
from respray.editing.paint.composite import for_tiles
from respray.editing.paint.edges import HALF, colour_of, rim_of, shown, shown_softly, surroundings
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, UInt8Array


@dataclass
class Canvas:
    """One output while it is edited: `rgb` uint8 [H,W,3] sRGB, `alpha` uint8 [H,W] once something is transparent."""

    rgb: UInt8Array
    alpha: UInt8Array | None = None

    @property
    def image(self) -> UInt8Array:
        """What is encoded: [H,W,3], or [H,W,4] with straight alpha."""
        return self.rgb if self.alpha is None else np.dstack([self.rgb, self.alpha])


def apply_remove(
    canvas: Canvas,
    rule: Remove,
    parts: list[Surface],
    *,
    shadow: UInt8Array | None = None,
    protected: UInt8Array | None = None,
    floor: BoolArray | None = None,
    network: Inpainter | None = None,
) -> None:
    """Remove `parts` from `canvas` in place.

    `shadow` (uint8 [H,W]) is where a natural shadow stays on a new background; `protected` (uint8 [H,W]) is never filled over;
    `floor` (bool [H,W]) is what of the photo is floor, where that is known.
    """
    if not parts:
        return
    before = canvas.rgb.copy()
    if rule.mode == "inpaint":
        alpha = np.zeros(before.shape[:2], np.uint8)
        for part in parts:
            x0, y0, x1, y1 = part.box
            # Of a wide edge, what is selected at least by half.
            chosen = part.alpha if part.hard is None else cv2.threshold(part.alpha, HALF - 1, 255, cv2.THRESH_BINARY)[1]
            alpha[y0:y1, x0:x1] = cv2.max(alpha[y0:y1, x0:x1], chosen)
        canvas.rgb = fill(before, hole_of(alpha, protected), network, floor)
        return
    for part in parts:
        _replace(canvas, before, part, rule, shadow)


def _replace(canvas: Canvas, before: UInt8Array, part: Surface, rule: Remove, shadow: UInt8Array | None) -> None:
    """Transparent: the background's own colour with straight alpha. Background: that colour over a flat one, and over its shadow."""
    x0, y0, x1, y1 = part.box
    inner, outer = colour_of(part), surroundings(part)
    flat = None if rule.color is None else hex_to_linear(rule.color)
    level = np.float32(part.reflection.luminance)

    source, target = before[y0:y1, x0:x1], canvas.rgb[y0:y1, x0:x1]
    cast = None if shadow is None else shadow[y0:y1, x0:x1]
    if flat is None and canvas.alpha is None:
        canvas.alpha = np.full(before.shape[:2], 255, np.uint8)
    opacity = None if canvas.alpha is None else canvas.alpha[y0:y1, x0:x1]

    def work(tile: Tile) -> None:
        place = (slice(tile.y0, tile.y1), slice(tile.x0, tile.x1))
        alpha = part.alpha[place]
        touched = alpha > 0
        if not touched.any():
            return
        linear = decode_scene(source[place])
        back, fore = upsample(outer, tile), upsample(inner, tile)
        share = without_tail(alpha).astype(np.float32)[..., None] / np.float32(255)
        rim = rim_of(part, tile)
        # Where a soft matte takes only some of what a pixel shows, the rest of it stays as it is.
        strength = np.ones_like(share)
        if part.hard is None:
            share[rim, 0] = shown(linear[rim], alpha[rim], fore[rim], back[rim], more=True)
        else:
            share, strength = strength, share
            hard = part.hard[place]
            share[rim, 0], strength[rim, 0] = shown_softly(linear[rim], alpha[rim], hard[rim], fore[rim], back[rim], more=True)
        rest = 1.0 - share
        # What stays of a mixed pixel, without the colour of what was removed; where nothing stays, its smooth extension.
        kept = np.maximum(back + rest * (linear - share * fore - rest * back), 0.0)
        result = kept
        if flat is not None:
            light = np.ones(alpha.shape, np.float32)
            if cast is not None:
                dark = np.minimum((linear @ LUMINANCE) / level, 1.0)
                light = 1.0 - cast[place].astype(np.float32) / 255.0 * (1.0 - dark)
            # A flat colour is a colour on the screen, not a paint under the photo's light: shadow scales it there.
            result = from_display(flat * light[..., None]).astype(np.float32) * share + kept * rest
            if part.hard is not None:
                result = linear + strength * (result - linear)
        elif opacity is not None:
            stays = 1.0 - strength * share
            if part.hard is not None:
                result = ((1.0 - strength) * linear + strength * rest * kept) / np.maximum(stays, np.float32(1e-3))
            opacity[place] = np.round(opacity[place] * stays[..., 0])
        np.copyto(target[place], encode_scene(result), where=touched[..., None])

    for_tiles(x1 - x0, y1 - y0, work)
