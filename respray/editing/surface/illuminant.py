"""The light of a photo, as far as one picture tells: how bright a white surface is in it, and what tint the light has.

One photo holds only the product of paint and light. What is here are the most likely values, fitted on rendered rooms (docs/quality.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.editing.core.color import LUMINANCE, decode_scene
from respray.imaging.arrays import FloatArray, UInt8Array

# Statistics of the photo are taken from at most this many pixels.
SAMPLES = 40_000
# Codes from here on are burnt out: they say "at least this", and windows and lamps are among them.
BURNT_CODE = 250
# Grey enough to be plaster, ceiling or cloth whose brightness is mostly light: distance from grey over luminance, and not black.
NEUTRAL_CHROMA, NEUTRAL_LUMINANCE = 0.25, 0.02
# White = FACTOR x (95th percentile of what is not burnt out) ^ a x (75th percentile of what is nearly neutral) ^ b.
BRIGHT_PERCENTILE, BRIGHT_POWER = 95.0, 0.73
NEUTRAL_PERCENTILE, NEUTRAL_POWER = 75.0, 0.35
# Fitted: 1.09. Within the error of the fit (0.43 in the log), the darker estimate is taken: too strong a light burns a pale floor out.
FACTOR = 1.0
LEVELS = (0.5, 1.2)
# No paint reflects more of the light than this in any channel: a surface that is brighter proves more light.
MOST_ALBEDO = 0.85
# Statistics need at least this share of the photo.
LEAST_SHARE = 0.02
# What hangs high in a photo looks down, and the light on it has bounced off floor and furniture: a tint at the top of a photo is mostly
# light, one at the bottom mostly paint. Shares are given for far down, and what is added to them at the top edge; that fades with the place
# (0..1 of the photo's height) like a bell curve of this width.
HIGH = 0.28
# The share of a surface's tint (log of colour over luminance) that is light, for greys, and the chroma at which it fades: an off-white
# wall is as likely white under warm light as a warm white; a blue one is blue.
OWN_SHARE, OWN_SHARE_HIGH, OWN_CHROMA = 0.1, 0.46, 0.5
# The share of the photo's mean tint that is light: what bounces off everything, and the cast that the camera has left in.
ROOM_SHARE, ROOM_SHARE_HIGH = 0.05, 0.14
LARGEST_TINT = 0.3
LEAST = 1e-3


@dataclass(frozen=True)
class Light:
    """`level`: linear luminance of a white surface. `room` float32 [3]: log of the photo's mean colour over its luminance."""

    level: float
    room: FloatArray

    def level_on(self, reference: FloatArray) -> float:
        """The level on a surface of linear colour `reference` [3]: never so low that the surface reflects more than there is."""
        return max(self.level, min(float(reference.max()) / MOST_ALBEDO, LEVELS[1]))

    def tint_on(self, reference: FloatArray, place: float) -> FloatArray:
        """The light's likely colour on a surface of linear colour `reference` [3], luminance 1: float32 [3].

        `place` is the height in the photo at which the surface's middle lies, from 0 (top) to 1.
        """
        own = _tint(reference)
        chroma = float(np.linalg.norm(np.exp(own) - 1.0))
        high = _bell(place / HIGH)
        of_own = (OWN_SHARE + OWN_SHARE_HIGH * high) * _bell(chroma / OWN_CHROMA)
        of_room = ROOM_SHARE + ROOM_SHARE_HIGH * high
        tint = np.exp(np.clip(of_own * own + of_room * self.room, -LARGEST_TINT, LARGEST_TINT))
        return (tint / float(tint @ LUMINANCE)).astype(np.float32)


def _bell(distance: float) -> float:
    return float(np.exp(-(distance**2)))


def photo_light(photo: UInt8Array) -> Light:
    """Estimate the light of a photo, uint8 [H,W,3] sRGB."""
    step = max(1, int((photo.shape[0] * photo.shape[1] / SAMPLES) ** 0.5))
    codes = photo[::step, ::step].reshape(-1, 3)
    scene = decode_scene(codes)
    light = scene @ LUMINANCE
    whole = codes.max(axis=1) < BURNT_CODE
    chroma = np.linalg.norm(scene - light[:, None], axis=1) / np.maximum(light, LEAST)
    grey = (chroma < NEUTRAL_CHROMA) & (light > NEUTRAL_LUMINANCE)
    bright = float(np.percentile(light[whole] if whole.mean() > LEAST_SHARE else light, BRIGHT_PERCENTILE))
    neutral = float(np.percentile(light[grey], NEUTRAL_PERCENTILE)) if grey.mean() > LEAST_SHARE else bright
    level = FACTOR * max(bright, LEAST) ** BRIGHT_POWER * max(neutral, LEAST) ** NEUTRAL_POWER
    return Light(float(np.clip(level, *LEVELS)), _tint(scene.mean(axis=0)))


def _tint(colour: FloatArray) -> FloatArray:
    light = max(float(colour @ LUMINANCE), LEAST)
    return np.log(np.maximum(colour / light, 0.05)).astype(np.float32)
