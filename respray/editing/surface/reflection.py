"""How a surface reflects: its own colour under the light, and the shine of other things on top of it.

Dichromatic model (Shafer, "Using color to separate reflection components", 1985) in linear light: pixel = reference x shading +
shine x white. Both unknowns are linear in the pixel, so that a whole image is split by one 2x3 matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.core.color import LUMINANCE
from respray.editing.core.compiled import compiled
from respray.imaging.arrays import FloatArray

# The reference colour comes from pixels between these luminance percentiles: the lit, matt middle of the surface.
MIDDLE = (20.0, 80.0)
# Of those, the more saturated ones carry less shine.
SATURATED = (50.0, 95.0)
# Chroma (distance from grey over luminance) at which a surface starts to have a colour of its own, and at which it surely has one.
GREY_CHROMA, COLOURED_CHROMA = 0.30, 1.0
# Ridge on shine, in squared luminance: a grey surface cannot be told from shine by colour, so it gets none.
RIDGE = 0.04
# Shine below this share of the reference luminance is grain and noise.
SHINE_FLOOR = 0.04
# Shading up to this value is never called shine.
SHINE_FROM = 1.1
LEAST = 1e-4
# From the first of these scene-linear values on (code 204; fitted) a camera presses a channel together, which makes any colour paler; from
# the second (245) on the channel says only "at least this".
BURNT, BURNT_OUT = 0.6, 0.95
# A yellow wall has next to no blue, and what it has is noise: this share of the surface's luminance counts as if it were there.
FAINT = 0.15
# Light up to this many times the reference's explains a burnt pixel without any shine; at twice that, it is all shine.
MOST_LIGHT = 4.0
# Pixels that the fit looks at, evenly spread.
FIT_PIXELS = 20_000


@dataclass(frozen=True)
class Reflection:
    """`reference` float32 [3]: linear colour at shading 1. `split` float32 [2,3]: linear pixel -> (luminance, raw shine), over the
    reference's luminance. `coloured` 0..1: how well the surface's own colour can be told from shine.
    """

    reference: FloatArray
    split: FloatArray
    coloured: float

    @property
    def luminance(self) -> float:
        """Luminance of `reference`, never zero."""
        return max(float(self.reference @ LUMINANCE), LEAST)

    def parts(self, linear: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Linear [h,w,3] -> shading [h,w] and shine [h,w], both over the reference luminance; together they are the pixel's luminance,
        or more where the pixel is burnt out.
        """
        shading, shine = np.empty((2, *linear.shape[:2]), np.float32)
        weakest = int(self.reference.argmin())
        _part(np.ascontiguousarray(linear), self.split, weakest, np.float32(max(float(self.reference[weakest]), LEAST)), shading, shine)
        return shading, shine


@compiled
def _part(linear: FloatArray, split: FloatArray, weakest: int, reference: np.float32, shading: FloatArray, shine: FloatArray) -> None:
    """Fill `shading` and `shine` as `Reflection.parts` says; `weakest` is the reference's lowest channel and `reference` its value.

    Where channels are burnt out, the pixel is explained by strong light rather than by shine, as far as that is plausible: burning out
    makes any colour paler, and oak in the sun is no mirror. What the light was, the channel that burns out last tells best.
    """
    faint = np.float32(FAINT) / (split[0, 0] + split[0, 1] + split[0, 2])
    floor, start, one, two = np.float32(SHINE_FLOOR), np.float32(SHINE_FROM), np.float32(1), np.float32(2)
    burnt, burnt_range, most_light = np.float32(BURNT), np.float32(1 / (BURNT_OUT - BURNT)), np.float32(MOST_LIGHT)
    for y in range(linear.shape[0]):
        for x in range(linear.shape[1]):
            red, green, blue = linear[y, x]
            light = split[0, 0] * red + split[0, 1] * green + split[0, 2] * blue
            # Shine lies on top of the surface's own light: what is no brighter than the lit surface is pattern, grain or a pale plank.
            gleam = split[1, 0] * red + split[1, 1] * green + split[1, 2] * blue - floor
            gleam = max(min(gleam, light - start), np.float32(0))
            own = light - gleam
            brightest = max(red, green, blue)
            if brightest > burnt:
                needed = (linear[y, x, weakest] + faint) / (reference + faint)
                share = min((brightest - burnt) * burnt_range, one) * min(max(two - needed / most_light, np.float32(0)), one)
                own += share * (max(min(needed, most_light), own) - own)
                gleam *= one - share
            shading[y, x], shine[y, x] = own, gleam


def fit_reflection(pixels: FloatArray) -> Reflection:
    """Fit the model to a surface's solid pixels, linear float32 [n,3], n >= 1."""
    pixels = pixels[:: max(1, len(pixels) // FIT_PIXELS)]
    light = pixels @ LUMINANCE
    middle = _between(pixels, light, MIDDLE)
    pure = _between(middle, chroma_of(middle), SATURATED).mean(axis=0)
    plain = middle.mean(axis=0)
    axis_pure, axis_plain = (np.maximum(c, LEAST) / max(float(c @ LUMINANCE), LEAST) for c in (pure, plain))
    weight = _ramp(float(chroma_of(axis_pure)), GREY_CHROMA, COLOURED_CHROMA)
    axis = axis_plain + weight * (axis_pure - axis_plain)
    reference_light = max(float(np.median(light)), LEAST)
    reflection = _with_axis(axis, reference_light, weight)
    # The shine just found is not part of the surface's own brightness.
    own, _ = reflection.parts(np.ascontiguousarray(pixels[None], dtype=np.float32))
    return _with_axis(axis, max(reference_light * float(np.median(own)), LEAST), weight)


def _between(pixels: FloatArray, values: FloatArray, percentiles: tuple[float, float]) -> FloatArray:
    """The pixels [n,3] whose values [n] lie between two percentiles; all where none does, as of two pixels."""
    low, high = np.percentile(values, percentiles)
    chosen = pixels[(values >= low) & (values <= high)]
    return chosen if len(chosen) else pixels


def chroma_of(linear: FloatArray) -> FloatArray:
    """Distance from the grey axis over luminance: linear [...,3] -> [...]."""
    light = np.maximum(linear @ LUMINANCE, LEAST)
    return np.linalg.norm(linear - light[..., None], axis=-1) / light


def _with_axis(axis: FloatArray, light: float, coloured: float) -> Reflection:
    basis = np.stack([axis, np.ones(3)], axis=1).astype(np.float64)
    shine = (np.linalg.inv(basis.T @ basis + np.diag([0.0, RIDGE])) @ basis.T)[1] * coloured
    split = np.stack([LUMINANCE, shine]) / light
    return Reflection((axis * light).astype(np.float32), split.astype(np.float32), coloured)


def _ramp(value: float, low: float, high: float) -> float:
    t = min(1.0, max(0.0, (value - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)
