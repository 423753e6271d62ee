"""How a surface reflects: its own colour under the light, and the specular reflection of other things on top of it.

Dichromatic model (Shafer, "Using color to separate reflection components", 1985) in linear light: pixel = reference x shading +
specular x white. Both unknowns are linear in the pixel, so that a whole image is decomposed by one 2x3 matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import boolean, float32, int64, uint8, uint32, void
from numba.core.types import Tuple, UniTuple

from respray.editing.core.color import LUMINANCE, SCENE_TOP
from respray.editing.core.compiled import compiled, compiled_for, read_only
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# Numbers for a compiled loop.
Limits = tuple[np.float32, ...]
Channels = tuple[np.uint32, np.uint32, np.uint32]
Numbers = tuple[Channels, Limits, np.float32, Limits, Limits]
# `DichromaticModel.numbers`, as compiled loops declare them.
NUMBERS = Tuple((UniTuple(uint32, 3), UniTuple(float32, 6), float32, UniTuple(float32, 7), UniTuple(float32, 5)))
# No luminance is divided by that is smaller than this.
MIN_LUMINANCE = 1e-4


@dataclass(frozen=True)
class ReflectionParameters:
    """Parameters of the dichromatic model. `python -m tools.fit.reflection` tries those again that say so."""

    mid_luminance: tuple[float, float] = (20.0, 80.0)
    """Percentiles of luminance: pixels between them are the lit, matt middle of the surface. Chosen on the tuning rooms (9000-9019)."""
    saturated: tuple[float, float] = (50.0, 95.0)
    """Percentiles of chroma, of those pixels: the more saturated ones carry less specular light. Chosen like `mid_luminance`."""
    grey_chroma: float = 0.30
    """Chroma (distance from grey over luminance) up to which a surface has no colour of its own. Refitted by tools.fit.reflection."""
    colored_chroma: float = 1.0
    """Chroma from which on a surface surely has a colour of its own. Refitted by tools.fit.reflection."""
    ridge: float = 0.04
    """Ridge on the specular part, luminance squared: a grey surface cannot be told from it by colour, so it gets none. Refitted by
    tools.fit.reflection."""
    min_specular: float = 0.04
    """Specular light below this share of the reference's luminance is grain and noise. Refitted by tools.fit.reflection."""
    max_matt_shading: float = 1.1
    """Shading up to this value (1 = the reference) never holds specular light. Refitted by tools.fit.reflection."""
    burnt_from: float = 0.6
    """Scene-linear value (code 204) from which on a camera presses a channel together, which makes any colour paler. Refitted by
    tools.fit.reflection."""
    burnt_to: float = 0.95
    """Scene-linear value (code 245) from which on a channel says only "at least this". By definition of the shoulder
    (`core.color.from_display`), which is steep from there on."""
    noise_share: float = 0.15
    """Share of the surface's luminance that is added to its weakest channel, in the pixel and in the reference: a yellow wall has next to
    no blue, and what it has is noise. Chosen on the tuning rooms: without it the grain of such a wall in navy grew fourfold."""
    max_burnt_shading: float = 4.0
    """Shading up to this value explains a burnt pixel without any specular light; at twice that, it is all specular. Chosen on the
    tuning rooms, for pale planks in the sun."""
    max_fit_pixels: int = 20_000
    """Pixels that the fit looks at, evenly spread. Bounds the time."""


@dataclass(frozen=True)
class DichromaticModel:
    """The reflection of one surface.

    Attributes:
        reference: float32 [3], scene-linear RGB of the surface at shading 1.
        split: float32 [2,3], scene-linear pixel -> (luminance, raw specular light), both over the reference's luminance.
        colored: 0..1, how well the surface's own colour can be told from specular light.
        parameters: what it was fitted with, and decomposes with.
    """

    reference: FloatArray
    split: FloatArray
    colored: float
    parameters: ReflectionParameters = field(default=ReflectionParameters(), repr=False)

    @property
    def luminance(self) -> float:
        """Luminance of `reference`, never zero."""
        return max(float(self.reference @ LUMINANCE), MIN_LUMINANCE)

    def decompose(self, linear: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Split pixels into the surface's own light and what is mirrored in it.

        Args:
            linear: float32 [h,w,3], scene-linear RGB.

        Returns:
            Shading and specular light, float32 [h,w] each, both over the reference's luminance. Together they are the pixel's luminance,
            or more where the pixel is burnt out.
        """
        shading, specular = np.empty((2, *linear.shape[:2]), np.float32)
        _decompose(np.ascontiguousarray(linear), self.numbers, shading, specular)
        return shading, specular

    def decompose_codes(self, codes: UInt8Array, without: BoolArray, lights: FloatArray, shading: FloatArray, specular: FloatArray) -> int:
        """`decompose` of codes (uint8 [h,w,3]) whose scene-linear light is `lights` (float32 [256]), into `shading` and `specular`.

        Returns:
            The highest code outside `without` (bool [h,w]), 0 where there is none.
        """
        return int(_decompose_codes(codes, without, lights, self.numbers, shading, specular))

    @cached_property
    def numbers(self) -> Numbers:
        """The model as compiled loops take it: the channels from the reference's weakest to its strongest; `split`, `reference` and
        `limits` of `split_pixel`; `rises` of `_as_told_by_weaker`."""
        p, order = self.parameters, np.argsort(self.reference, kind="stable")
        # Reciprocals, where the loop would divide.
        burnt = (p.burnt_from, 1 / (p.burnt_to - p.burnt_from), p.max_burnt_shading, 1 / p.max_burnt_shading)
        limits = (p.noise_share, p.min_specular, p.max_matt_shading, *burnt)
        faint, (weak, middle, strong) = p.noise_share * self.luminance, np.maximum(self.reference[order], MIN_LUMINANCE)
        rises = (faint, middle / (weak + faint), strong / (middle + faint), p.burnt_to, self.colored / (SCENE_TOP - p.burnt_to))
        first, second, third = (np.uint32(channel) for channel in order)
        split, given, told = (tuple(np.float32(number) for number in numbers) for numbers in (self.split.ravel(), limits, rises))
        return (first, second, third), split, np.float32(weak), given, told


@compiled_for(void(float32[:, :, ::1], NUMBERS, float32[:, ::1], float32[:, ::1]))
def _decompose(
    linear: FloatArray,
    model: Numbers,
    shading: FloatArray,
    specular: FloatArray,
) -> None:
    """Fill `shading` and `specular`, float32 [h,w], as `DichromaticModel.decompose` says; `model` is its `numbers`."""
    order, split, reference, limits, rises = model
    pixel = np.empty(3, np.float32)
    for y in range(linear.shape[0]):
        for x in range(linear.shape[1]):
            pixel[0], pixel[1], pixel[2] = linear[y, x]
            _as_told_by_weaker(pixel, order, rises)
            shading[y, x], specular[y, x] = split_pixel(pixel[0], pixel[1], pixel[2], split, order[0], reference, limits)


@compiled_for(int64(read_only(uint8[:, :, :]), boolean[:, ::1], float32[::1], NUMBERS, float32[:, ::1], float32[:, ::1]))
def _decompose_codes(
    codes: UInt8Array, without: BoolArray, lights: FloatArray, model: Numbers, shading: FloatArray, specular: FloatArray
) -> int:
    """See `DichromaticModel.decompose_codes`; `model` is its `numbers`."""
    order, split, reference, limits, rises = model
    highest, full = np.uint8(0), rises[3]
    for y in range(codes.shape[0]):
        row, left_out, shades, mirrored = codes[y], without[y], shading[y], specular[y]
        for x in range(len(row)):
            red, green, blue = row[x]
            shades[x], mirrored[x] = split_pixel(lights[red], lights[green], lights[blue], split, order[0], reference, limits)
            highest = max(highest, np.uint8(0) if left_out[x] else max(red, green, blue))
    if lights[highest] > full:
        # A loop of its own: the one above would take twice as long.
        pixel = np.empty(3, np.float32)
        for y in range(codes.shape[0]):
            for x in range(codes.shape[1]):
                pixel[0], pixel[1], pixel[2] = lights[codes[y, x, 0]], lights[codes[y, x, 1]], lights[codes[y, x, 2]]
                if max(pixel[0], pixel[1], pixel[2]) > full:
                    _as_told_by_weaker(pixel, order, rises)
                    shading[y, x], specular[y, x] = split_pixel(pixel[0], pixel[1], pixel[2], split, order[0], reference, limits)
    return int(highest)


@compiled
def _as_told_by_weaker(pixel: FloatArray, order: Channels, rises: Limits) -> None:
    """Take back, in `pixel` [3], what the last codes of a channel say beyond what the next weaker one does.

    These codes stand for ever more light, and a coloured surface reaches them in one channel after the other: where red is burnt out,
    green tells the light. Else a lamp's glow on a wall ends in a ring.

    Args:
        pixel: float32 [3], scene-linear RGB, written over.
        order: the channels from the reference's weakest to its strongest.
        rises: what is added to the weaker channel, noise; times which it makes the next one, and this the strongest; the light from which
            on a channel is full; and the share per light above that to which it is told by the weaker one (none for greys).
    """
    faint, first_rise, second_rise, full, per_light = rises
    weak, middle, strong = pixel[order[0]], pixel[order[1]], pixel[order[2]]
    if middle > full:
        middle += min((middle - full) * per_light, np.float32(1)) * min(max((weak + faint) * first_rise, weak) - middle, np.float32(0))
    if strong > full:
        strong += min((strong - full) * per_light, np.float32(1)) * min(max((middle + faint) * second_rise, middle) - strong, np.float32(0))
    pixel[order[1]], pixel[order[2]] = middle, strong


@compiled
def split_pixel(
    red: np.float32, green: np.float32, blue: np.float32, split: Limits, weakest: np.uint32, reference: np.float32, limits: Limits
) -> tuple[np.float32, np.float32]:
    """Shading and specular light of one pixel, of which no channel is full (`_as_told_by_weaker`).

    Where channels are burnt out, the pixel is explained by strong light rather than by specular light, as far as that is plausible: burning
    out makes any colour paler, and oak in the sun is no mirror. What the light was, the channel that burns out last tells best.

    Args:
        red, green, blue: scene-linear.
        split: six float32, those of `DichromaticModel.split`, row by row.
        weakest: the reference's lowest channel.
        reference: the reference's value in that channel.
        limits: noise_share, min_specular, max_matt_shading, burnt_from, 1 / (burnt_to - burnt_from), max_burnt_shading and
            1 / max_burnt_shading of `ReflectionParameters`.
    """
    noise_share, floor, start, burnt, burnt_range, max_light, per_light = limits
    light = split[0] * red + split[1] * green + split[2] * blue
    # A mirrored thing lies on top of the surface's own light: what is no brighter than the lit surface is pattern, grain or a pale
    # plank.
    mirrored = split[3] * red + split[4] * green + split[5] * blue - floor
    mirrored = max(min(mirrored, light - start), np.float32(0))
    own = light - mirrored
    brightest = max(red, green, blue)
    if brightest > burnt:
        one, two = np.float32(1), np.float32(2)
        faint = noise_share / (split[0] + split[1] + split[2])
        least = red if weakest == 0 else (green if weakest == 1 else blue)
        needed = (least + faint) / (reference + faint)
        share = min((brightest - burnt) * burnt_range, one) * min(max(two - needed * per_light, np.float32(0)), one)
        own += share * (max(min(needed, max_light), own) - own)
        mirrored *= one - share
    return own, mirrored


def fit_reflection(pixels: FloatArray, parameters: ReflectionParameters = ReflectionParameters()) -> DichromaticModel:
    """Fit the model to a surface.

    Args:
        pixels: float32 [n,3], n >= 1, scene-linear RGB of pixels that show nothing but the surface.
        parameters: of the model.

    Example:
        >>> wall = np.array([0.4, 0.2, 0.1], np.float32) * np.linspace(0.5, 1.5, 101, dtype=np.float32)[:, None]
        >>> model = fit_reflection(wall)
        >>> model.reference.round(2).tolist() == np.float32([0.4, 0.2, 0.1]).tolist()
        True
        >>> shading, specular = model.decompose(wall[None])
        >>> round(float(shading[0, 0]), 2), round(float(specular.max()), 2)
        (0.5, 0.0)
    """
    p = parameters
    pixels = pixels[:: max(1, len(pixels) // p.max_fit_pixels)]
    light = pixels @ LUMINANCE
    middle = _between(pixels, light, p.mid_luminance)
    pure = _between(middle, chroma_of(middle), p.saturated).mean(axis=0)
    plain = middle.mean(axis=0)
    axis_pure, axis_plain = (np.maximum(c, MIN_LUMINANCE) / max(float(c @ LUMINANCE), MIN_LUMINANCE) for c in (pure, plain))
    weight = _ramp(float(chroma_of(axis_pure)), p.grey_chroma, p.colored_chroma)
    axis = axis_plain + weight * (axis_pure - axis_plain)
    reference_light = max(float(np.median(light)), MIN_LUMINANCE)
    model = _with_axis(axis, reference_light, weight, p)
    # The specular light just found is not part of the surface's own brightness.
    own, _ = model.decompose(np.ascontiguousarray(pixels[None], dtype=np.float32))
    return _with_axis(axis, max(reference_light * float(np.median(own)), MIN_LUMINANCE), weight, p)


def _between(pixels: FloatArray, values: FloatArray, percentiles: tuple[float, float]) -> FloatArray:
    """The pixels [n,3] whose values [n] lie between two percentiles; all where none does, as of two pixels."""
    low, high = np.percentile(values, percentiles)
    chosen = pixels[(values >= low) & (values <= high)]
    return chosen if len(chosen) else pixels


def chroma_of(linear: FloatArray) -> FloatArray:
    """Distance from the grey axis over luminance.

    Args:
        linear: float [...,3], linear RGB.

    Returns:
        Float [...], 0 for greys.

    Example:
        >>> chroma_of(np.array([[0.3, 0.3, 0.3], [0.6, 0.3, 0.3]])).round(2).tolist()
        [0.0, 0.7]
    """
    light = np.maximum(linear @ LUMINANCE, MIN_LUMINANCE)
    chroma: FloatArray = np.linalg.norm(linear - light[..., None], axis=-1) / light
    return chroma


def _with_axis(axis: FloatArray, light: float, colored: float, parameters: ReflectionParameters) -> DichromaticModel:
    """The model of a colour `axis` [3] (luminance 1) at the luminance `light`: least squares over (axis, white) with a ridge on white."""
    basis = np.stack([axis, np.ones(3)], axis=1).astype(np.float64)
    specular = (np.linalg.inv(basis.T @ basis + np.diag([0.0, parameters.ridge])) @ basis.T)[1] * colored
    split = np.stack([LUMINANCE, specular]) / light
    return DichromaticModel((axis * light).astype(np.float32), split.astype(np.float32), colored, parameters)


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, smooth between (Hermite)."""
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)
