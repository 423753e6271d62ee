"""Photographic adjustments inside the matte, in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.contract.request import Tone
from respray.editing.core.color import LUMINANCE
from respray.editing.core.field import Tile
from respray.editing.core.painter import Painter
from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class ToneParameters:
    """What a slider's value 1 means. By definition, so that its end is strong and no caricature; there is nothing to fit."""

    exposure_stops: float = 2.0
    """Stops of light for exposure 1."""
    brightness_power: float = 1.0
    """Log2 of the gamma for brightness 1, which moves mid-grey to 0.18 ^ 0.5 = 0.42."""
    contrast_slope: float = 1.4
    """Log2 of the tone curve's slope at mid-grey for contrast 1."""
    warmth_gain: float = 0.35
    """Gain on red, and loss of blue, for warmth 1: a strong filter, not a theatre gel."""
    pivot: float = 0.18
    """Mid-grey (the photographer's grey card) in linear light, which contrast leaves alone."""


class Toner(Painter):
    """`Tone` prepared for use; may be used from several threads."""

    margin = 0
    brightens = False

    def __init__(self, rule: Tone, parameters: ToneParameters = ToneParameters()) -> None:
        self._rule, self._parameters = rule, parameters
        red, blue = 1.0 + parameters.warmth_gain * rule.warmth, 1.0 - parameters.warmth_gain * rule.warmth
        gains = np.array([red, 1.0, blue]) * 2.0 ** (parameters.exposure_stops * rule.exposure)
        if rule.warmth:
            # White keeps its luminance: warmth is a colour change, not an exposure.
            gains /= float(np.array([red, 1.0, blue]) @ LUMINANCE)
        factor = 1.0 + rule.saturation
        saturate = factor * np.eye(3) + (1.0 - factor) * np.tile(LUMINANCE, (3, 1))
        self._matrix = (saturate @ np.diag(gains)).astype(np.float32)

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """Adjust one tile.

        Args:
            tile: not needed here.
            linear: float32 [r,w,3], scene-linear RGB.

        Returns:
            Float32 [r,w,3], scene-linear RGB.

        Example:
            >>> grey = np.full((1, 1, 3), 0.1, np.float32)
            >>> round(float(Toner(Tone(exposure=0.5)).paint(Tile(0, 0, 1, 1, 1, 1), grey)[0, 0, 0]), 3)
            0.2
        """
        rule, p = self._rule, self._parameters
        out = np.maximum(cv2.transform(linear, self._matrix), 0.0)
        if rule.brightness or rule.contrast:
            light = np.maximum(out @ LUMINANCE, 1e-6)
            # Both curves keep black and white where they are.
            new = np.minimum(light, 1.0) ** np.float32(2.0 ** (-p.brightness_power * rule.brightness))
            if rule.contrast:
                slope = 2.0 ** (p.contrast_slope * rule.contrast)
                low, high = p.pivot * (new / p.pivot) ** slope, 1.0 - (1.0 - p.pivot) * ((1.0 - new) / (1.0 - p.pivot)) ** slope
                new = np.where(new < p.pivot, low, high)
            out *= (new / np.minimum(light, 1.0))[..., None]
        return out.astype(np.float32)
