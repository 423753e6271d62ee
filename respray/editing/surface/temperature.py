"""The light's correlated colour temperature, as far as one picture tells.

A camera balances the light's colour away before it writes a photo, so what is found is the cast that it left, and not what a meter would
read in the room. On 60 rendered rooms (`tools.fit.rooms`, light of 5950 to 6560 K in the picture) it is off by 3.4 mired on average, about
140 K; no better than always saying 6300 K. A strong cast makes every surface coloured, paint or light, and nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from respray.contract.report import LightReport
from respray.editing.core.color import LUMINANCE, decode_scene
from respray.editing.surface.illuminant import MIN_LUMINANCE, Illuminant, nearly_neutral, samples_of
from respray.imaging.arrays import Float64Array, FloatArray, UInt8Array

# Linear sRGB to CIE XYZ (IEC 61966-2-1).
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


@dataclass(frozen=True)
class TemperatureParameters:
    """When a temperature is said. Chosen on ten rendered rooms, each under light of 3200 to 10000 K that no camera had balanced."""

    min_neutral: float = 0.3
    """Share of the photo's pixels that must be nearly neutral: in unbalanced light that turned out to be wrong, it was less."""
    max_mired_apart: float = 15.0
    """The left and the right half must agree within this: rooms with a window and a lamp have no one temperature."""
    min_half: float = 0.02
    """Share of nearly neutral pixels below which a half says nothing."""
    rounded_to: int = 100
    """Kelvin. Less than the error above."""


def correlated_temperature(linear: FloatArray | Float64Array) -> float:
    """Correlated colour temperature of a light.

    The formula is that of Hernandez-Andres, Lee and Romero, "Calculating correlated color temperatures across the entire gamut of daylight
    and skylight chromaticities", Applied Optics 38 (27), 1999; for 3000 to 50000 K.

    Args:
        linear: float [3], linear sRGB.

    Returns:
        Kelvin.

    Example:
        >>> round(correlated_temperature(np.ones(3)), -2)
        6500.0
    """
    xyz = TO_XYZ @ np.asarray(linear, np.float64)
    x, y = xyz[:2] / xyz.sum()
    n = (x - 0.3366) / (y - 0.1735)
    return float(-949.86315 + 6253.80338 * np.exp(-n / 0.92159) + 28.70599 * np.exp(-n / 0.20039) + 0.00004 * np.exp(-n / 0.07125))


def report_light(photo: UInt8Array, illuminant: Illuminant, parameters: TemperatureParameters = TemperatureParameters()) -> LightReport:
    """Say what temperature the light in a photo has, or why that is not known.

    Args:
        photo: uint8 [H,W,3], sRGB.
        illuminant: of the photo.
        parameters: when it is said.
    """
    p = parameters
    scene = decode_scene(samples_of(photo, illuminant.parameters))
    light = scene @ LUMINANCE
    neutral = nearly_neutral(scene, light, illuminant.parameters)
    if float(neutral.mean()) < p.min_neutral:
        return LightReport(why="too little of the photo is nearly neutral: its colours may be paint or light")
    tints = scene / np.maximum(light, MIN_LUMINANCE)[..., None]
    middle = neutral.shape[1] // 2
    halves = [(tints[:, part][neutral[:, part]]) for part in (np.s_[:middle], np.s_[middle:])]
    mireds = [
        1e6 / correlated_temperature(np.median(half, axis=0)) for half in halves if len(half) >= max(1, p.min_half * neutral.size / 2)
    ]
    if max(mireds) - min(mireds) > p.max_mired_apart:
        return LightReport(why="the light is of several colours: the photo's two halves do not agree")
    height = (float(np.nonzero(neutral)[0].mean()) + 0.5) / len(neutral)
    kelvin = correlated_temperature(illuminant.tint_on(np.median(tints[neutral], axis=0).astype(np.float32), height))
    return LightReport(temperature_k=round(kelvin / p.rounded_to) * p.rounded_to)
