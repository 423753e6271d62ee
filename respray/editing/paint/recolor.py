"""A new colour on a surface, under the surface's own light.

Model, in linear light: photo = reference x shading + specular (see `surface.reflection`); new pixel = target x shading + specular. The
colour of the light (lamp here, window there) is kept as a smooth ratio field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.contract.request import Recolor
from respray.editing.core.codes import worth_of_code
from respray.editing.core.color import LUMINANCE, decode_scene, from_display, hex_to_linear, max_channel, min_channel
from respray.editing.core.field import Tile, smooth, upsample
from respray.editing.core.painter import Painter
from respray.editing.paint.burnt_areas import BurntAreaParameters, find_burnt_areas
from respray.editing.paint.gamut import build_paint_table
from respray.editing.paint.jpeg_light import JpegLight
from respray.editing.paint.recolor_pixels import (
    MAX_SHADING,
    ROWS_PER_SHADING,
    TABLE_ROWS,
    LitRecolorer,
    PixelRecolorer,
    apply_light,
)
from respray.editing.surface.exposure import choose_exposure
from respray.editing.surface.highlights import SheenChange
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import BoolArray, FloatArray, IntArray, UInt8Array

# Variance of shading below which nothing is smoothed: it keeps the guided filter's division defined.
MIN_EPSILON = 1e-9


@dataclass(frozen=True)
class RecolorParameters:
    """Parameters of a new paint. `python -m tools.fit.recolor` tries those again that say so; the others were chosen on the tuning rooms
    (9000-9019)."""

    min_noisy_gain: float = 1.5
    """Noise is smoothed when the surface becomes this many times brighter: a dark surface made light brings its noise up with it."""
    noise_radius: int = 6
    """Radius of that smoothing, pixels. Its window of 13 holds a JPEG block of 8."""
    noise_strength: float = 2.0
    """Variation below this many standard deviations of the noise is smoothed. Two hold 95 % of it."""
    steep_code: int = 232
    """8-bit code from which on shading is smoothed whatever the new colour. Near white a camera presses much light into few codes, so that
    steps and JPEG blocks there are large once the shoulder is undone."""
    steep_noise_codes: float = 2.0
    """Standard deviation of JPEG's errors there, 8-bit codes."""
    min_jpeg_gain: float = 8.0
    """How many times brighter a surface becomes before JPEG's errors are smoothed out of its light. Below, its own grain is worth more: the
    dark wooden floor in tests/e2e/test_masked_photo.py becomes 7.3 times as bright, its grain is skewed, and smoothing moves its median."""
    ease: float = 0.1
    """Contrast above the reference is lowered by up to this power when the surface becomes brighter: no photographer lets the sunlit part
    of a floor burn out once the floor is light. Refitted by tools.fit.recolor."""
    full_ease_gain: float = 8.0
    """A surface that becomes this many times brighter is eased in full."""
    light_grid: int = 64
    """The light's colour is estimated on a grid of so many cells each way."""
    light_blur: float = 2.0
    """Standard deviation of the blur of that grid, cells. Refitted by tools.fit.recolor."""
    light_range: float = 0.35
    """The light's colour relative to the surface's average stays within 1 -+ this in every channel. Refitted by tools.fit.recolor."""
    chroma_strength: float = 1.7
    """Standard deviations of JPEG's chroma below which a change of the light's colour is taken for JPEG's: it is never off by more than the
    square root of three."""
    mirrored: float = 0.02
    """Share of the room's mean light that a hard floor mirrors all over, whatever its colour: seen from above, varnish and polished
    stone mirror 0.04 (Fresnel), and some floors are matt. It is lost in a pale floor, and a third to a half of a dark one. Chosen among
    0.02 to 0.04 on 62 floors of rooms 7000-7079 and 9000-9015, for the smallest error with one exposure factor."""
    hue_cell: int = 3
    """Pixels of the work picture, each way, whose mean hue is compared with the smooth field to tell light from a pattern."""
    max_neutral: float = 0.01
    """Light whose colour differs by less than this is taken as of one colour."""


class Recolorer(Painter):
    """`Recolor` prepared for one `Surface`; may be used from several threads.

    Attributes:
        exposure: factor on the shading: the surface's light, or a little less on a floor in the sun (`surface.exposure`).
        mirrored: float32 [3], scene-linear RGB that the result holds beside the paint, at shading 1.
        margin: pixels that `paint` needs around what is used of its result.
        warnings: sentences for the report.
    """

    def __init__(
        self,
        surface: Surface,
        rule: Recolor,
        parameters: RecolorParameters = RecolorParameters(),
        burnt: BurntAreaParameters = BurntAreaParameters(),
        ground: bool = False,
        polished: bool = False,
    ) -> None:
        """Prepare a paint.

        Args:
            surface: what is painted.
            rule: the paint.
            parameters: of the paint.
            burnt: of areas that are burnt out in the photo.
            ground: whether it is what furniture stands on, which the sun falls on.
            polished: whether it mirrors the room a little all over, as hard floors do.
        """
        p = self._parameters = parameters
        self._burnt_parameters = burnt
        target = from_display(hex_to_linear(rule.color)).astype(np.float32)
        self._strength = np.float32(rule.strength)
        self._reflection = reflection = surface.reflection
        shading, specular = reflection.decompose(surface.small)
        self.exposure = choose_exposure(surface, shading, float(target.max())) if ground else surface.light
        gain = float(target @ LUMINANCE) * self.exposure / reflection.luminance
        # A dark surface made light brings its noise and JPEG blocks up with it; variation below twice the noise is smoothed away.
        self._epsilon = (p.noise_strength * surface.noise / reflection.luminance) ** 2 if gain > p.min_noisy_gain else 0.0
        self._light_of_codes = decode_scene(np.arange(256, dtype=np.uint8)[:, None])[:, 0]
        self._steep_light = float(self._light_of_codes[p.steep_code])
        bright = bool((surface.small[surface.solid] > self._steep_light).any())
        self._steep = _steep_epsilon(reflection.luminance, p) if bright else None
        self.brightens = gain > p.min_noisy_gain
        self._jpeg = None
        if surface.jpeg is not None and gain > p.min_jpeg_gain:
            self._jpeg = JpegLight(surface.jpeg, surface.alpha, reflection.luminance, gain * reflection.luminance)
        if self._steep is not None and self._jpeg is None:
            self._steep += np.float32(self._epsilon)
        self.margin = 2 * p.noise_radius if bright or (self._epsilon > 0.0 and self._jpeg is None) else 0
        if self._jpeg is not None:
            self.margin += self._jpeg.margin
        ease = p.ease * float(np.clip(np.log2(max(gain, 1e-3)) / np.log2(p.full_ease_gain), 0.0, 1.0))
        steps = np.linspace(0.0, MAX_SHADING, TABLE_ROWS, dtype=np.float32)[:, None]
        lit = (target * surface.tint).astype(np.float32)
        self._table = build_paint_table(lit, np.where(steps > 1.0, steps ** (1.0 - ease), steps) * np.float32(self.exposure))
        self._sheen = None if rule.sheen is None else SheenChange(surface, rule.sheen)
        gloss = 1.0 if self._sheen is None else self._sheen.factor
        mirrored = np.float32(p.mirrored * gloss if polished else 0.0) * surface.room
        # What shades a floor is what the floor mirrors there: a shadow under a table stays as deep.
        self._table[:, :3] += np.minimum(steps, np.float32(1)) * mirrored
        self.mirrored = mirrored * self._strength
        field = _light_color(surface, specular, p, burnt.burnt_from)
        self._field = field if float(np.abs(field - 1.0).max()) > p.max_neutral else np.ones((1, 1, 3), np.float32)
        self._pixelwise = PixelRecolorer(reflection, self._table, self._field)
        self._burnt = find_burnt_areas(surface, burnt)
        self.warnings: list[str] = []
        if self._sheen is not None and self._sheen.unsure:
            self.warnings.append("the photo shows no highlights on the surface that could be told from its light: 'sheen' changes little")

    def pixelwise(self, brightest: int) -> PixelRecolorer | None:
        """See `respray.editing.core.painter.Painter`: where nothing is smoothed, and no sheen or burnt-out area is told from what is
        around a pixel."""
        light = float(self._light_of_codes[brightest])
        smooths = self._jpeg is not None or self._epsilon > 0.0 or (self._steep is not None and light > self._steep_light)
        if smooths or self._burns(light) or self._sheen is not None or self._strength < 1.0:
            return None
        return self._pixelwise

    def smoothed(self, tile: Tile, codes: UInt8Array, rim: BoolArray, at: IntArray, own: FloatArray) -> LitRecolorer | None:
        """See `respray.editing.core.painter.Painter`."""
        if self._strength < 1.0:
            return None
        shading, specular = np.empty((2, *rim.shape), np.float32)
        highest = self._reflection.decompose_codes(codes, rim, self._light_of_codes, shading, specular)
        brightest = float(self._light_of_codes[highest])
        for plane, values in zip((shading, specular), self._reflection.decompose(own[None]), strict=True):
            plane.ravel()[at] = values[0]
        if len(own):
            brightest = max(brightest, float(own.max()))
        lowest = None
        if self._burns(brightest):
            lowest = min_channel(decode_scene(codes))
            lowest.ravel()[at] = np.minimum(np.minimum(*own.T[:2]), own.T[2])
        return LitRecolorer(self._pixelwise, tile, *self._smoothed(tile, shading, specular, brightest, lowest))

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """Paint one tile.

        Args:
            tile: where it lies in the surface's box.
            linear: float32 [h,w,3], scene-linear RGB of the photo there.

        Returns:
            Float32 [h,w,3], scene-linear RGB.
        """
        brightest = float(linear.max()) if linear.size else 0.0
        lowest = min_channel(linear) if self._burns(brightest) else None
        shading, specular = self._smoothed(tile, *self._reflection.decompose(linear), brightest, lowest)
        out = np.empty_like(linear)
        window = (tile.y0, tile.x0, tile.height, tile.width)
        apply_light(shading, specular, np.float32(self._reflection.luminance), self._table, self._field, window, out)
        return out if self._strength == 1.0 else linear + (out - linear) * self._strength

    def _burns(self, brightest: float) -> bool:
        """Whether some of a tile may be burnt out, by its brightest light."""
        return self._burnt is not None and brightest > self._burnt_parameters.burnt_from

    def _smoothed(
        self, tile: Tile, shading: FloatArray, specular: FloatArray, brightest: float, lowest: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """Shading and specular light of a tile (float32 [h,w] each) as they are painted: without what noise, JPEG and burnt-out areas have
        done to them. `brightest`: its highest light; `lowest`: float32 [h,w], of each pixel's channels, where some may be burnt out."""
        p, burnt = self._parameters, self._burnt_parameters
        if lowest is not None and self._burnt is not None:
            share = np.clip((lowest - burnt.burnt_from) / (burnt.burnt_to - burnt.burnt_from), 0.0, 1.0)
            shading = shading * (1.0 + np.float32(burnt.gain) * share * upsample(self._burnt, tile))
        if self._jpeg is not None:
            shading = self._jpeg.smooth(tile, shading)
        if brightest > self._steep_light and self._steep is not None:
            shading = smooth(shading, p.noise_radius, self._steep, ROWS_PER_SHADING)
        elif self._epsilon > 0.0 and self._jpeg is None:
            shading = smooth(shading, p.noise_radius, np.array([self._epsilon], np.float32))
        return (shading, specular) if self._sheen is None else self._sheen.change(tile, shading, specular)


def _steep_epsilon(luminance: float, parameters: RecolorParameters) -> FloatArray:
    """Variance of shading below which variation is JPEG's and rounding's, for every row of the table: float32 [TABLE_ROWS].

    Zero up to `steep_code`; then it grows with the light that one code is worth. `luminance` is that of shading 1.
    """
    p = parameters
    scene = decode_scene(np.arange(256, dtype=np.uint8)[None, :, None]).ravel()
    worth = np.maximum(np.gradient(scene) - float(scene[p.steep_code] - scene[p.steep_code - 1]), 0.0)
    worth[: p.steep_code] = 0.0
    shading = np.linspace(0.0, MAX_SHADING, TABLE_ROWS)
    noise = p.noise_strength * p.steep_noise_codes * np.interp(shading * luminance, scene, worth) / luminance
    return np.maximum(noise**2, MIN_EPSILON).astype(np.float32)


def _certainty(deviation: FloatArray, error: FloatArray) -> FloatArray:
    """How much of a colour's deviation [h,w,3] is more than errors of this standard deviation [h,w,3]: float32 [h,w,1], 0..1 (James,
    Stein, "Estimation with quadratic loss", 1961)."""
    square = np.maximum((deviation * deviation).sum(axis=-1, keepdims=True), 1e-12)
    share: FloatArray = np.maximum(1.0 - (error * error).sum(axis=-1, keepdims=True) / square, 0.0).astype(np.float32)
    return share


def _averages(planes: Sequence[FloatArray], size: tuple[int, int]) -> FloatArray:
    """Planes [h,w] each averaged to `size` (width, height): float32 [height,width,3]. (Three values a pixel take several times as long.)"""
    return cast(FloatArray, cv2.merge([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]))


def _explained(field: FloatArray, matt: Sequence[FloatArray], reference: FloatArray, weight: FloatArray, cell: int) -> float:
    """How surely hues that change over a surface are its light's, 0..1: light changes them slowly, a pattern from motif to motif. So what a
    smooth field leaves over counts against what it explains (James, Stein, as below).

    `field` float32 [g,g,3]: hues over the surface's own; `matt` float32 [h,w] each, linear RGB times `weight` [h,w]; both averaged over
    `cell` pixels, in which there is noise.
    """
    size = max(1, weight.shape[1] // cell), max(1, weight.shape[0] // cell)
    counts = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    pixels = _averages(matt, size) / reference
    hues = pixels / np.maximum(pixels @ LUMINANCE, 1e-6)[..., None]
    means = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)
    explained, left = (float((counts * part**2).sum()) for part in (means - 1.0, hues - means))
    return max(1.0 - left / max(explained, 1e-9), 0.0)


def _light_color(surface: Surface, specular: FloatArray, parameters: RecolorParameters, burnt_from: float) -> FloatArray:
    """Smooth colour of the light relative to the surface's average, float32 [g,g,3], luminance-neutral, clipped to plausible lamps.

    `specular` float32 [hs,ws] is that of the surface's `small` picture; pixels with a channel from `burnt_from` on have no say.
    """
    p, reflection = parameters, surface.reflection
    # Burnt-out pixels are white under any light.
    weight = (surface.solid & (max_channel(surface.small) < burnt_from)).astype(np.float32)
    size = (p.light_grid, p.light_grid)
    mirrored = specular * np.float32(reflection.luminance)
    matt = [(plane - mirrored) * weight for plane in cv2.split(surface.small)]
    color = cast(FloatArray, cv2.GaussianBlur(_averages(matt, size), (0, 0), p.light_blur))
    color += reflection.reference * 1e-3
    ratio = color / reflection.reference
    ratio /= np.maximum((color @ LUMINANCE) / reflection.luminance, 1e-6)[..., None]
    smooth_share = _explained(ratio, matt, reflection.reference, weight, p.hue_cell)
    # Where a surface has a strong colour, a change of it is more likely specular light or material than light.
    trust: FloatArray = np.full((*ratio.shape[:2], 1), (1.0 - reflection.colored) * smooth_share, np.float32)
    if surface.jpeg is not None:
        # A JPEG's chroma jumps by whole steps: a hue that changes by less than one is no light.
        light = np.maximum(color @ LUMINANCE, 1e-6)
        error = surface.jpeg.chroma * (worth_of_code(light) / light)[..., None]
        trust = trust * _certainty(ratio - 1.0, error * p.chroma_strength)
    field: FloatArray = (1.0 + (np.clip(ratio, 1.0 - p.light_range, 1.0 + p.light_range) - 1.0) * trust).astype(np.float32)
    return field
