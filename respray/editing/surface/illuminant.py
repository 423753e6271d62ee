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


@dataclass(frozen=True)
class IlluminantParameters:
    """Parameters of the light's level and tint. `python -m tools.fit.illuminant` fits those again that say so.

    Level: white = `factor` x (percentile of what is not burnt out) ^ `bright_power` x (percentile of what is nearly neutral) ^
    `neutral_power`. Tint: what hangs high in a photo looks down, and the light on it has bounced off floor and furniture, so that a tint at
    the top of a photo is mostly light, one at the bottom mostly paint. Shares are given for far down, and what is added to them at the top
    edge.
    """

    max_samples: int = 40_000
    """Pixels that statistics of the photo are taken from, at most. Bounds the time."""
    burnt_code: int = 250
    """8-bit codes from here on are burnt out: they say "at least this", and windows and lamps are among them. Chosen with
    `max_neutral_chroma`."""
    max_neutral_chroma: float = 0.25
    """Chroma (distance from grey over luminance) below which a pixel may be plaster, ceiling or cloth, whose brightness is mostly light.
    Chosen with the level's fit on 240 rooms, of which only its result is kept."""
    min_neutral_luminance: float = 0.02
    """Scene-linear luminance below which a pixel is black rather than neutral. Chosen like `max_neutral_chroma`."""
    min_share: float = 0.02
    """Share of the photo's pixels that a percentile must stand on, or it says nothing. Not fitted."""
    bright_percentile: float = 95.0
    """Of the luminance of what is not burnt out. Chosen like `max_neutral_chroma`."""
    bright_power: float = 0.73
    """Exponent of that percentile. Fitted by tools.fit.illuminant (log least squares)."""
    neutral_percentile: float = 75.0
    """Of the luminance of what is nearly neutral. Chosen like `max_neutral_chroma`."""
    neutral_power: float = 0.35
    """Exponent of that percentile. Fitted by tools.fit.illuminant (log least squares)."""
    factor: float = 1.0
    """Scale of the level. The fit said 1.09. Within its error (0.43 in the log) the darker estimate is taken: on the real bedroom photo too
    strong a light burnt a pale floor out."""
    min_level: float = 0.5
    """Scene-linear luminance of white, at least. Not fitted; how it was chosen is not recorded."""
    max_level: float = 1.2
    """Scene-linear luminance of white, at most. Not fitted; how it was chosen is not recorded."""
    max_albedo: float = 0.85
    """No paint reflects more of the light than this in any channel: a surface that is brighter proves more light. White wall paints
    have light reflectance values of 0.8 to 0.9."""
    white_albedo: float = 0.82
    """What white paints reflect."""
    white_share: float = 0.6
    """A near-neutral, pale surface is as likely white in less light as grey in the photo's: so much of the way to white is taken (of the
    log). Rendered rooms have paints of any kind; in homes most ceilings, trim and walls are white. Chosen by hand."""
    white_chroma: float = 0.25
    """Chroma at which that fades (bell curve)."""
    white_from: float = 0.3
    """What a surface reflects in the photo's light, up to which it is no white ..."""
    white_to: float = 0.55
    """... and from which on it may be."""
    white_down_to: float = 0.75
    """Height in the photo (share, from the top) of a surface's middle from which on it is a floor or a table, which few paint white ..."""
    white_fade: float = 0.2
    """... and how far above that it is a wall or a ceiling for sure."""
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
        """The level on one surface: lower on what may be white in a darker corner, never so low that a surface reflects more than there is.

        Args:
            reference: float32 [3], scene-linear RGB of the surface.
            height: where the surface's middle lies in the photo, from 0 (top) to 1 (bottom).
        """
        p = self.parameters
        seen = max(float(reference @ LUMINANCE), MIN_LUMINANCE) / self.level
        chroma = float(np.linalg.norm(np.exp(log_tint(reference)) - 1.0))
        pale = float(np.clip((seen - p.white_from) / (p.white_to - p.white_from), 0.0, 1.0))
        high = float(np.clip((p.white_down_to - height) / p.white_fade, 0.0, 1.0))
        share = p.white_share * pale * high * _bell(chroma / p.white_chroma)
        level = self.level * float(min(seen / p.white_albedo, 1.0) ** share)
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
        (0.55, True)
    """
    p = parameters
    bright, neutral, room_tint = photo_statistics(photo, p)
    level = p.factor * bright**p.bright_power * neutral**p.neutral_power
    return Illuminant(float(np.clip(level, p.min_level, p.max_level)), room_tint, p)


def photo_statistics(photo: UInt8Array, parameters: IlluminantParameters) -> tuple[float, float, FloatArray]:
    """What the level and the tint are estimated from.

    Args:
        photo: uint8 [H,W,3], sRGB.
        parameters: of the model.

    Returns:
        Scene-linear luminance of what is bright but not burnt out, that of what is nearly neutral, and `Illuminant.room_tint`.
    """
    p = parameters
    codes = samples_of(photo, p).reshape(-1, 3)
    scene = decode_scene(codes)
    light = scene @ LUMINANCE
    whole = codes.max(axis=1) < p.burnt_code
    grey = nearly_neutral(scene, light, p)
    bright = float(np.percentile(light[whole] if whole.mean() > p.min_share else light, p.bright_percentile))
    neutral = float(np.percentile(light[grey], p.neutral_percentile)) if grey.mean() > p.min_share else bright
    return max(bright, MIN_LUMINANCE), max(neutral, MIN_LUMINANCE), log_tint(scene.mean(axis=0))


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
