"""Photographic adjustments inside the matte, in linear light."""

from __future__ import annotations

import cv2
import numpy as np

from respray.contract.request import Tone
from respray.editing.core.color import LUMINANCE
from respray.editing.core.field import Tile
from respray.imaging.arrays import FloatArray

# exposure 1 is two stops; brightness 1 moves mid-grey by about 0.35 of the tone curve; warmth 1 is a strong filter, not a theatre gel.
EXPOSURE_STOPS = 2.0
BRIGHTNESS_POWER = 1.0
CONTRAST_SLOPE = 0.7
WARMTH_GAIN = 0.35
# Mid-grey in linear light: the pivot of contrast.
PIVOT = 0.18


class Toner:
    """`Tone` prepared for use; may be used from several threads."""

    margin = 0

    def __init__(self, rule: Tone) -> None:
        self.rule = rule
        red, blue = 1.0 + WARMTH_GAIN * rule.warmth, 1.0 - WARMTH_GAIN * rule.warmth
        gains = np.array([red, 1.0, blue]) * 2.0 ** (EXPOSURE_STOPS * rule.exposure)
        if rule.warmth:
            # White keeps its luminance: warmth is a colour change, not an exposure.
            gains /= float(np.array([red, 1.0, blue]) @ LUMINANCE)
        factor = 1.0 + rule.saturation
        saturate = factor * np.eye(3) + (1.0 - factor) * np.tile(LUMINANCE, (3, 1))
        self._matrix = (saturate @ np.diag(gains)).astype(np.float32)

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """Scene-linear float32 [r,w,3] -> adjusted scene-linear float32 [r,w,3]."""
        rule = self.rule
        out = np.maximum(cv2.transform(linear, self._matrix), 0.0)
        if rule.brightness or rule.contrast:
            light = np.maximum(out @ LUMINANCE, 1e-6)
            # Both curves keep black and white where they are.
            new = np.minimum(light, 1.0) ** np.float32(2.0 ** (-BRIGHTNESS_POWER * rule.brightness))
            if rule.contrast:
                slope = 2.0 ** (CONTRAST_SLOPE * 2.0 * rule.contrast)
                low, high = PIVOT * (new / PIVOT) ** slope, 1.0 - (1.0 - PIVOT) * ((1.0 - new) / (1.0 - PIVOT)) ** slope
                new = np.where(new < PIVOT, low, high)
            out *= (new / np.minimum(light, 1.0))[..., None]
        return out.astype(np.float32)
