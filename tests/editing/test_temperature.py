"""The light's temperature: the published formula, and when nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from respray.editing.core.color import encode_srgb, to_display
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.temperature import TO_XYZ, correlated_temperature, report_light
from respray.imaging.arrays import Float64Array, UInt8Array


def light(x: float, y: float) -> Float64Array:
    """Linear sRGB of a chromaticity."""
    return np.asarray(np.linalg.solve(TO_XYZ, [x / y, 1.0, (1.0 - x - y) / y]))


# CIE 015:2018: standard illuminants D50, D55, D65, D75.
@pytest.mark.parametrize(
    ("x", "y", "kelvin"), [(0.3457, 0.3585, 5003), (0.3324, 0.3474, 5503), (0.3127, 0.3290, 6504), (0.2990, 0.3149, 7504)]
)
def test_daylights_have_their_temperatures(x: float, y: float, kelvin: int) -> None:
    assert correlated_temperature(light(x, y)) == pytest.approx(kelvin, abs=15)


def room(left: Float64Array, right: Float64Array) -> UInt8Array:
    """Grey walls under two lights, with noise of paint."""
    grey = np.random.default_rng(0).uniform(0.2, 0.5, (60, 90, 1)).astype(np.float32)
    tint = np.where(np.arange(90)[None, :, None] < 45, left / left.max(), right / right.max()).astype(np.float32)
    return encode_srgb(to_display(grey * tint))


def told(photo: UInt8Array) -> tuple[int | None, str | None]:
    """Temperature and why not."""
    report = report_light(photo, estimate_illuminant(photo))
    return report.temperature_k, report.why


def test_a_balanced_photo_has_its_own_white_and_a_slight_cast_moves_it() -> None:
    white = light(0.3127, 0.3290)
    neutral, why = told(room(white, white))
    assert why is None and neutral is not None and abs(neutral - 6500) <= 100
    warm, _ = told(room(light(0.3324, 0.3474), light(0.3324, 0.3474)))
    assert warm is not None and warm < neutral


def test_what_may_be_paint_and_lights_of_two_colours_are_not_known() -> None:
    bulb = light(0.4476, 0.4074)  # CIE A, 2856 K
    temperature, why = told(room(bulb, bulb))
    assert temperature is None and why is not None and "paint or light" in why
    temperature, why = told(room(light(0.3324, 0.3474), light(0.2990, 0.3149)))
    assert temperature is None and why is not None and "do not agree" in why
