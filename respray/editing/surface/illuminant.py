"""The light of a photo, as far as one picture tells: how bright a white surface is in it, and what tint the light has.

One photo holds only the product of paint and light. What is here are the most likely values, fitted on rendered rooms (docs/quality.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import erfc, exp, log, pi, sqrt
from typing import cast

import cv2
import numpy as np

from respray.editing.core.color import LUMINANCE, decode_scene, max_channel, min_channel
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# No luminance is divided by, or raised to a power, that is smaller than this.
MIN_LUMINANCE = 1e-3
# Nor by a probability that is smaller, and no number is raised to one whose log is larger.
MIN_WEIGHT, MAX_LOG = 1e-30, 700.0


@dataclass(frozen=True)
class IlluminantParameters:
    """Parameters of the light's level and tint. `python -m tools.fit.illuminant` fits those again that say so, and prints what is here.

    Level: what is bright beside a surface tells how bright white is in the photo, give or take `level_spread`. On the surface that is
    weighed against what paints reflect in their brightest channel (`expected_level`): it is white, as things high in a photo are that have
    no colour but what light may give them, or any other paint.

    Tint: what hangs high in a photo looks down, and the light on it has bounced off floor and furniture, so that a tint at the top of a
    photo is mostly light, one at the bottom mostly paint. Shares are given for far down, and what is added to them at the top edge.
    """

    max_samples: int = 40_000
    """Pixels that statistics of the photo are taken from, at most. Bounds the time."""
    burnt_code: int = 250
    """8-bit codes from here on are burnt out: they say "at least this", and windows and lamps are among them. Not fitted."""
    max_neutral_chroma: float = 0.25
    """Chroma (distance from grey over luminance) below which a pixel may be plaster, ceiling or cloth, whose colour is mostly that of the
    light (`surface.temperature`). Not fitted."""
    min_neutral_luminance: float = 0.02
    """Scene-linear luminance below which a pixel is black rather than neutral, and its chroma noise. Not fitted."""
    min_share: float = 0.02
    """Share of the photo's pixels that a percentile must stand on, or it says nothing. Not fitted."""
    bright_percentile: float = 85.0
    """Of the brightest channel of what is beside a surface and not burnt out, near things counting more: what white would reflect there, or
    nearly. Chosen among 75 to 98 on the rooms that the level is fitted to, with walls repainted."""
    near: float = 0.033
    """Distance from the surface, in shares of the photo's longest side, at which a pixel counts half: what is near is in the same light,
    and a wall in the shade of a bright room has shaded things beside it. Chosen among 0.004 to 0.2 likewise; between 0.02 and 0.07 it
    hardly matters."""
    beside_margin: float = 0.0125
    """What is nearer than this may be of the surface itself, where its mask is not exact. Not fitted."""
    bright_saturation: float = 0.5
    """A pixel counts as exp(this x saturation) times as bright: strong colours reflect less than white does, in their brightest channel
    too. Chosen among 0, 0.5, 0.8 and 1.2 likewise."""
    level_factor: float = 1.03
    """Level of the photo where that percentile is 1. Fitted by tools.fit.illuminant."""
    level_power: float = 0.865
    """Exponent of that percentile. Fitted by tools.fit.illuminant."""
    level_spread: float = 0.458
    """Standard deviation of the log of a surface's level around the photo's. Fitted by tools.fit.illuminant."""
    typical_level: float = 0.665
    """Level of a photo that shows nothing beside the surface. Fitted by tools.fit.illuminant."""
    min_level: float = 0.4
    """Level of a photo, at least. A night photo is dark because it is night. Not fitted: of the surfaces that the level is fitted to, a
    twentieth are in less light."""
    max_level: float = 1.6
    """Level of a photo, at most. Not fitted: a twentieth of them are in more."""
    max_albedo: float = 0.9
    """No paint reflects more of the light than this in its brightest channel: what is brighter proves more light. Not fitted: white wall
    paints have light reflectance values of 0.8 to 0.9."""
    albedo_power: float = 1.0 / 3.0
    """Other paints than white are as likely to reflect less than r as (r / `max_albedo`) ** this. Not fitted: with a third, any lightness
    (CIE L*) is as likely as any other."""
    white_peak: float = 0.861
    """What white paints reflect in their brightest channel. Fitted by tools.fit.illuminant."""
    white_spread: float = 0.1
    """Standard deviation of its log. Fitted by tools.fit.illuminant."""
    white_odds: float = 1.51
    """Log of the odds that something at the photo's top edge is white, before it is looked at: ceilings are. Fitted by
    tools.fit.illuminant."""
    white_fall: float = 3.97
    """How much those fall down to the bottom edge: few paint a floor white. Fitted by tools.fit.illuminant."""
    white_warm: float = 0.0954
    """How warm a white looks in a photo (`warm_and_green`). Fitted by tools.fit.illuminant, like the next eight: means and standard
    deviations over surfaces."""
    white_warm_spread: float = 0.0752
    """Its spread: that of the light."""
    white_green: float = 0.0349
    """How green a white looks."""
    white_green_spread: float = 0.0532
    """Its spread. Light is hardly ever greener or more purple than daylight: what is so, is of that paint."""
    grey_share: float = 0.325
    """Share of anything else that is grey or black, and looks as white does but for its brightness."""
    colour_warm: float = 0.573
    """How warm the rest of it looks."""
    colour_warm_spread: float = 0.507
    """Its spread."""
    colour_green: float = 0.0359
    """How green it looks."""
    colour_green_spread: float = 0.4
    """Its spread."""
    height_scale: float = 0.333
    """Width of the bell curve (exp(-x^2)) with which what is added at the top fades downwards, in heights of the photo. Fitted by
    tools.fit.illuminant."""
    own_share: float = 0.0359
    """Share of a grey surface's own tint (log of colour over luminance) that is light, far down. Fitted by tools.fit.illuminant."""
    own_share_top: float = 0.374
    """What is added to `own_share` at the top edge. Fitted by tools.fit.illuminant."""
    own_chroma: float = 0.529
    """Chroma at which these shares fade (bell curve): an off-white wall is as likely white under warm light as a warm white; a blue one is
    blue. Fitted by tools.fit.illuminant."""
    room_share: float = 0.0447
    """Share of the photo's mean tint that is light, far down: what bounces off everything, and the cast that the camera has left in.
    Fitted by tools.fit.illuminant."""
    room_share_top: float = 0.199
    """What is added to `room_share` at the top edge. Fitted by tools.fit.illuminant."""
    max_tint: float = 0.3
    """Largest tint in any channel, log of colour over luminance. Chosen on the tuning rooms (9000-9019)."""


@dataclass(frozen=True)
class Illuminant:
    """The light of one photo.

    Attributes:
        peaks: float32 [h,w], light of the brightest channel of every `sample_step`-th pixel, strong colours counting as brighter; NaN where
            it is burnt out.
        room: float32 [3], the photo's mean scene-linear RGB: what comes from everything in it.
        parameters: what it was estimated with.
    """

    peaks: FloatArray = field(repr=False)
    room: FloatArray
    parameters: IlluminantParameters = field(default=IlluminantParameters(), repr=False)

    @property
    def room_tint(self) -> FloatArray:
        """Float32 [3], log of `room` over its luminance."""
        return log_tint(self.room)

    def brightness_beside(self, alpha: UInt8Array) -> float:
        """How bright the bright things beside a surface are.

        The surface has no say in that: a dark wall makes no dark room, and what the surface itself shows is weighed on its own. What is
        near it has the most.

        Args:
            alpha: uint8 [H,W], the surface's matte.

        Returns:
            Scene-linear light; 0 where next to nothing is seen beside it.
        """
        p, step = self.parameters, sample_step(alpha.shape, self.parameters)
        free = (alpha[::step, ::step] == 0).astype(np.uint8)
        # Without limit where the samples miss the surface: then all of the photo is as near.
        pixels = cast(FloatArray, cv2.distanceTransform(free, cv2.DIST_L2, 5))
        apart = np.minimum(pixels / np.float32(max(free.shape)), np.float32(2.0))
        beside = (apart > p.beside_margin) & ~np.isnan(self.peaks)
        if int(beside.sum()) <= p.min_share * self.peaks.size:
            return 0.0
        peaks, weights = self.peaks[beside], 1.0 / (1.0 + (apart[beside] / p.near) ** 2)
        return max(_percentile(peaks, weights, p.bright_percentile), MIN_LUMINANCE)

    def level_beside(self, alpha: UInt8Array) -> float:
        """Scene-linear luminance of a white surface in the photo, as far as what is beside a surface tells. Argument as above."""
        return photo_level(self.brightness_beside(alpha), self.parameters)

    def tint_on(self, reference: FloatArray, height: float) -> FloatArray:
        """The light's likely colour on one surface.

        Args:
            reference: float32 [3], scene-linear RGB of the surface.
            height: where the surface's middle lies in the photo, from 0 (top) to 1 (bottom).

        Returns:
            Float32 [3], linear RGB of luminance 1.
        """
        return light_tint(log_tint(reference), self.room_tint, height, self.parameters)


def expected_level(photo_level: float, reference: FloatArray, height: float, parameters: IlluminantParameters) -> float:
    """The mean of the log of a surface's level over what is known of it (Bayes' rule).

    Known are the photo's level, and what the surface sends out in its brightest channel: level times reflectance. If it is white, that
    alone is a guess at the level; of any other paint each lightness is as likely as any, and hardly more than a bound. Each of both counts
    by how often it has such a colour so high in a photo, and by how well it goes with the photo's level.

    Args:
        photo_level: as of `Illuminant.level_beside`.
        reference: float32 [3], scene-linear RGB of the surface.
        height: where the surface's middle lies in the photo, from 0 (top) to 1 (bottom).
        parameters: of the model.

    Returns:
        Scene-linear luminance of a white surface in its place.

    Example:
        >>> grey, sage = (np.array(color, np.float32) for color in ([0.4, 0.4, 0.4], [0.34, 0.4, 0.27]))
        >>> [round(expected_level(0.7, color, 0.4, IlluminantParameters()), 2) for color in (grey, sage)]
        [0.5, 0.76]
    """
    p = parameters
    peak, photo = log(max(float(reference.max()), MIN_LUMINANCE)), log(photo_level)
    # White: two guesses with normal errors, the surer one counting more.
    of_light, of_paint = p.level_spread**2, p.white_spread**2
    guess = peak - log(p.white_peak)
    mean_white = (guess * of_light + photo * of_paint) / (of_light + of_paint)
    white = _white_odds(reference, height, p) + _log_normal(guess, photo, sqrt(of_light + of_paint))
    # Any other paint: the photo's guess, a little lower since pale is likelier than dark, but in no less light than it sends out.
    lower, least = photo - p.albedo_power * of_light, peak - log(p.max_albedo)
    cut = (least - lower) / p.level_spread
    share = max(erfc(cut * sqrt(0.5)) / 2.0, MIN_WEIGHT)
    mean_other = max(lower + p.level_spread * exp(-(cut**2) / 2.0) / sqrt(2.0 * pi) / share, least)
    other = log(p.albedo_power * share) + p.albedo_power * (least - (photo + lower) / 2.0)
    weight = 1.0 / (1.0 + exp(min(other - white, MAX_LOG)))
    return exp(weight * mean_white + (1.0 - weight) * mean_other)


def _white_odds(reference: FloatArray, height: float, parameters: IlluminantParameters) -> float:
    """Log of the odds that a surface is white, by its colour and its place alone. Arguments as of `expected_level`."""
    p, (warm, green) = parameters, warm_and_green(log_tint(reference))
    as_white = _log_normal(warm, p.white_warm, p.white_warm_spread) + _log_normal(green, p.white_green, p.white_green_spread)
    coloured = _log_normal(warm, p.colour_warm, p.colour_warm_spread) + _log_normal(green, p.colour_green, p.colour_green_spread)
    # As grey as white is, or of any colour.
    otherwise = float(np.logaddexp(log(p.grey_share) + as_white, log(1.0 - p.grey_share) + coloured))
    return p.white_odds - p.white_fall * height + as_white - otherwise


def _log_normal(value: float, mean: float, spread: float) -> float:
    """Log of the normal distribution's density, but for the constant that all share."""
    return -(((value - mean) / spread) ** 2) / 2.0 - log(spread) - log(2.0 * pi) / 2.0


def warm_and_green(tint: FloatArray) -> tuple[float, float]:
    """A tint, log of colour over luminance [3], on two axes.

    Light is warm or cool, by its temperature, and hardly ever green or purple; paints are all of it.

    Example:
        >>> warm_and_green(np.log(np.array([1.2, 1.0, 0.8], np.float32)))[0] > 0.1
        True
    """
    red, green, blue = (float(value) for value in tint)
    return (red - blue) / 2.0, green - (red + blue) / 2.0


def light_tint(own_tint: FloatArray, room_tint: FloatArray, height: float, parameters: IlluminantParameters) -> FloatArray:
    """The light's likely colour from what was measured.

    Args:
        own_tint: float32 [3], `log_tint` of the surface.
        room_tint: float32 [3], `log_tint` of the photo's mean.
        height: as in `Illuminant.tint_on`.
        parameters: of the model.

    Returns:
        Float32 [3], linear RGB of luminance 1.
    """
    p = parameters
    chroma = float(np.linalg.norm(np.exp(own_tint) - 1.0))
    top = _bell(height / p.height_scale)
    of_own = (p.own_share + p.own_share_top * top) * _bell(chroma / p.own_chroma)
    of_room = p.room_share + p.room_share_top * top
    tint = np.exp(np.clip(of_own * own_tint + of_room * room_tint, -p.max_tint, p.max_tint))
    light: FloatArray = (tint / float(tint @ LUMINANCE)).astype(np.float32)
    return light


def _percentile(values: FloatArray, weights: FloatArray, percent: float) -> float:
    """The value [n] below which so many percent of the `weights` [n] lie."""
    order = np.argsort(values)
    below = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order[int(np.searchsorted(below, percent / 100.0 * below[-1]))]])


def _bell(distance: float) -> float:
    return float(np.exp(-(distance**2)))


def estimate_illuminant(photo: UInt8Array, parameters: IlluminantParameters = IlluminantParameters()) -> Illuminant:
    """Estimate the light of a photo.

    Args:
        photo: uint8 [H,W,3], sRGB.
        parameters: of the model.

    Example:
        >>> light = estimate_illuminant(np.full((40, 60, 3), 200, np.uint8))
        >>> round(light.level_beside(np.zeros((40, 60), np.uint8)), 2), bool(np.allclose(light.room_tint, 0.0, atol=1e-6))
        (0.64, True)
    """
    codes = samples_of(photo, parameters)
    scene = decode_scene(codes)
    peaks = max_channel(scene)
    saturation = np.float32(1) - min_channel(scene) / np.maximum(peaks, np.float32(MIN_LUMINANCE))
    bright = peaks * np.exp(np.float32(parameters.bright_saturation) * saturation)
    bright[codes.max(axis=-1) >= parameters.burnt_code] = np.nan
    return Illuminant(bright, scene.reshape(-1, 3).mean(axis=0), parameters)


def photo_level(bright: float, parameters: IlluminantParameters) -> float:
    """`Illuminant.level_beside` from `Illuminant.brightness_beside`."""
    p = parameters
    return float(np.clip(p.level_factor * bright**p.level_power, p.min_level, p.max_level)) if bright > 0.0 else p.typical_level


def sample_step(size: tuple[int, ...], parameters: IlluminantParameters) -> int:
    """Of a photo of `size` (H, W, ...), each so manieth row and column are looked at."""
    return max(1, int((size[0] * size[1] / parameters.max_samples) ** 0.5))


def samples_of(photo: UInt8Array, parameters: IlluminantParameters) -> UInt8Array:
    """An even grid of pixels of a photo uint8 [H,W,3], at most about `max_samples`: uint8 [h,w,3]."""
    step = sample_step(photo.shape, parameters)
    return np.ascontiguousarray(photo[::step, ::step])


def nearly_neutral(scene: FloatArray, light: FloatArray, parameters: IlluminantParameters) -> BoolArray:
    """Which pixels, scene-linear RGB float32 [...,3] of luminance `light` [...], may be plaster, ceiling or cloth: bool [...]."""
    chroma = np.linalg.norm(scene - light[..., None], axis=-1) / np.maximum(light, MIN_LUMINANCE)
    neutral: BoolArray = (chroma < parameters.max_neutral_chroma) & (light > parameters.min_neutral_luminance)
    return neutral


def log_tint(color: FloatArray) -> FloatArray:
    """Log of a linear RGB colour [3] over its luminance, float32 [3]; all zero for greys."""
    light = max(float(color @ LUMINANCE), MIN_LUMINANCE)
    tint: FloatArray = np.log(np.maximum(color / light, 0.05)).astype(np.float32)
    return tint
