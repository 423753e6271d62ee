"""The light of a photo, as far as one picture tells: how bright a white surface is in it, and what tint the light has.

One photo holds only the product of paint and light. What is here are the most likely values, fitted on rendered rooms (docs/quality.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from respray.editing.core.color import LUMINANCE, decode_scene
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# No luminance is divided by, or raised to a power, that is smaller than this.
MIN_LUMINANCE = 1e-3
# Nor by a weight that is smaller: something is always the less unlikely.
MIN_WEIGHT = 1e-30


@dataclass(frozen=True)
class IlluminantParameters:
    """Parameters of the light's level and tint. `python -m tools.fit.illuminant` fits those again that say so.

    Level: the photo's bright pixels tell how bright white is in it, give or take `level_spread`. On one surface that is weighed against
    what paints reflect in their brightest channel: they are white, the more likely the paler they are and the higher they hang, or may be
    anything (`expected_level`).

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
    bright_percentile: float = 90.0
    """Of the brightest channel of what is not burnt out: what white would reflect there, or nearly. Chosen among 75, 90 and 95 on the rooms
    that the level is fitted to."""
    bright_saturation: float = 0.5
    """A pixel counts as exp(this x saturation) times as bright: strong colours reflect less than white does, in their brightest channel
    too. Chosen among 0, 0.5, 0.8 and 1.2 likewise."""
    level_factor: float = 0.88
    """Level of the photo where that percentile is 1. Fitted by tools.fit.illuminant."""
    level_power: float = 1.07
    """Exponent of that percentile. Fitted by tools.fit.illuminant."""
    level_spread: float = 0.48
    """Standard deviation of the log of a surface's level around the photo's. Fitted by tools.fit.illuminant."""
    min_level: float = 0.4
    """Level of a photo, at least. A night photo is dark because it is night. Not fitted: next to no room is so dark."""
    max_level: float = 1.6
    """Level of a photo, at most. Not fitted: next to no room is so bright."""
    max_albedo: float = 0.85
    """No paint reflects more of the light than this in any channel: a surface that is brighter proves more light. White wall paints
    have light reflectance values of 0.8 to 0.9."""
    white_peak: float = 0.86
    """What white paints reflect in their brightest channel. Fitted by tools.fit.illuminant."""
    white_spread: float = 0.113
    """Standard deviation of its log. Fitted by tools.fit.illuminant."""
    white_odds: float = 3.15
    """Log of the odds that something grey at the photo's top edge is white, before its brightness is looked at: ceilings are. Fitted by
    tools.fit.illuminant."""
    white_fall: float = 6.5
    """How much those fall down to the bottom edge: few paint a floor white. Fitted by tools.fit.illuminant."""
    white_chroma: float = 0.6
    """Chroma at which those have fallen by 1, with the square of it. Fitted by tools.fit.illuminant."""
    other_peak: float = 0.28
    """What other materials reflect in their brightest channel: up to here any value is as likely as any other, and says nothing of the
    light; higher ones are rarer, and a hint of more light. Fitted by tools.fit.illuminant."""
    other_spread: float = 0.69
    """Standard deviation of its log above that. Fitted by tools.fit.illuminant."""
    height_scale: float = 0.28
    """Width of the bell curve (exp(-x^2)) with which what is added at the top fades downwards, in heights of the photo. Fitted by
    tools.fit.illuminant."""
    own_share: float = 0.1
    """Share of a grey surface's own tint (log of colour over luminance) that is light, far down. Fitted by tools.fit.illuminant."""
    own_share_top: float = 0.46
    """What is added to `own_share` at the top edge. Fitted by tools.fit.illuminant."""
    own_chroma: float = 0.5
    """Chroma at which these shares fade (bell curve): an off-white wall is as likely white under warm light as a warm white; a blue one is
    blue. Fitted by tools.fit.illuminant."""
    room_share: float = 0.05
    """Share of the photo's mean tint that is light, far down: what bounces off everything, and the cast that the camera has left in.
    Fitted by tools.fit.illuminant."""
    room_share_top: float = 0.14
    """What is added to `room_share` at the top edge. Fitted by tools.fit.illuminant."""
    max_tint: float = 0.3
    """Largest tint in any channel, log of colour over luminance. Chosen on the tuning rooms (9000-9019)."""


@dataclass(frozen=True)
class Illuminant:
    """The light of one photo.

    Attributes:
        level: scene-linear luminance of a white surface.
        room_tint: float32 [3], log of the photo's mean scene-linear RGB over its luminance.
        parameters: what it was estimated with.
    """

    level: float
    room_tint: FloatArray
    parameters: IlluminantParameters = field(default=IlluminantParameters(), repr=False)

    def level_on(self, reference: FloatArray, height: float) -> float:
        """The expected level on one surface: the mean of its log over what the photo and the surface itself say (Bayes).

        Args:
            reference: float32 [3], scene-linear RGB of the surface.
            height: where the surface's middle lies in the photo, from 0 (top) to 1 (bottom).
        """
        p = self.parameters
        level = expected_level(self.level, reference, height, p)
        return max(level, min(float(reference.max()) / p.max_albedo, p.max_level))

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
    """The mean of the log of a surface's level over what is known of it (Bayes' rule, with a mixture of two normal distributions).

    Known are the photo's level and what the surface sends out in its brightest channel: level times reflectance. Each kind of reflectance
    (white, any other) is a guess at the level of its own, which counts by how often it comes up and by how well it goes with the photo's.

    Args:
        photo_level: `Illuminant.level`.
        reference: as in `Illuminant.level_on`, like `height`.
        parameters: of the model.

    Returns:
        Scene-linear luminance of a white surface in its place.

    Example:
        >>> grey = np.full(3, 0.4, np.float32)
        >>> [round(expected_level(0.7, grey, height, IlluminantParameters()), 2) for height in (0.2, 0.9)]
        [0.5, 0.83]
    """
    p = parameters
    peak = max(float(reference.max()), MIN_LUMINANCE)
    chroma = float(np.linalg.norm(np.exp(log_tint(reference)) - 1.0))
    white = 1.0 / (1.0 + float(np.exp(p.white_fall * height + (chroma / p.white_chroma) ** 2 - p.white_odds)))
    often, albedo = np.array([white, 1.0 - white]), np.array([p.white_peak, p.other_peak])
    of_paint, of_light = np.array([p.white_spread, p.other_spread]) ** 2, p.level_spread**2
    photo, spread = np.log(photo_level), of_paint + of_light
    # A dark thing among the others is dark paint as likely as in the dark.
    guess = np.maximum(np.log(peak / albedo), (-np.inf, photo))
    weight = often * np.exp(-((guess - photo) ** 2) / (2.0 * spread)) / np.sqrt(spread)
    # Of each kind: the mean of its own guess and the photo's, the surer one counting more.
    means = (guess * of_light + photo * of_paint) / spread
    return float(np.exp((weight @ means) / max(float(weight.sum()), MIN_WEIGHT)))


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


def _bell(distance: float) -> float:
    return float(np.exp(-(distance**2)))


def estimate_illuminant(photo: UInt8Array, parameters: IlluminantParameters = IlluminantParameters()) -> Illuminant:
    """Estimate the light of a photo.

    Args:
        photo: uint8 [H,W,3], sRGB.
        parameters: of the model.

    Example:
        >>> light = estimate_illuminant(np.full((40, 60, 3), 200, np.uint8))
        >>> round(light.level, 2), bool(np.allclose(light.room_tint, 0.0, atol=1e-6))
        (0.49, True)
    """
    p = parameters
    bright, room_tint = photo_statistics(photo, p)
    return Illuminant(photo_level(bright, p), room_tint, p)


def photo_level(bright: float, parameters: IlluminantParameters) -> float:
    """`Illuminant.level` from what `photo_statistics` calls bright."""
    p = parameters
    return float(np.clip(p.level_factor * bright**p.level_power, p.min_level, p.max_level))


def photo_statistics(photo: UInt8Array, parameters: IlluminantParameters) -> tuple[float, FloatArray]:
    """What the level and the tint are estimated from.

    Args:
        photo: uint8 [H,W,3], sRGB.
        parameters: of the model.

    Returns:
        Scene-linear light of what is bright but not burnt out, strong colours counting as brighter, and `Illuminant.room_tint`.
    """
    p = parameters
    codes = samples_of(photo, p).reshape(-1, 3)
    scene = decode_scene(codes)
    whole = codes.max(axis=1) < p.burnt_code
    seen = scene[whole] if whole.mean() > p.min_share else scene
    peak = seen.max(axis=1)
    peak = peak * np.exp(p.bright_saturation * (1.0 - seen.min(axis=1) / np.maximum(peak, MIN_LUMINANCE)))
    return max(float(np.percentile(peak, p.bright_percentile)), MIN_LUMINANCE), log_tint(scene.mean(axis=0))


def samples_of(photo: UInt8Array, parameters: IlluminantParameters) -> UInt8Array:
    """An even grid of pixels of a photo uint8 [H,W,3], at most about `max_samples`: uint8 [h,w,3]."""
    step = max(1, int((photo.shape[0] * photo.shape[1] / parameters.max_samples) ** 0.5))
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
