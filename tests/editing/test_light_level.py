"""How bright the light on a surface is taken to be, and that a new white is as bright as the old one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from respray.editing.core.color import from_display, hex_to_linear
from respray.editing.surface.exposure import keep_brightness
from respray.editing.surface.illuminant import Illuminant
from respray.editing.surface.surface import find_surfaces


def test_a_pale_neutral_wall_is_white_in_less_light() -> None:
    light = Illuminant(0.9, np.zeros(3, np.float32))
    white, blue = (np.asarray(hex_to_linear(color), np.float32) * 0.65 for color in ("#EDEFEE", "#6E9BE0"))
    dark = np.asarray(hex_to_linear("#3A3A3A"), np.float32)
    assert 0.6 < light.level_on(white, 0.3) < 0.8
    # What is dark may be so by paint or for want of light: it says nothing.
    assert light.level_on(dark, 0.9) == pytest.approx(0.9, rel=0.01)
    # A floor is as likely grey, and what has a strong colour is not white.
    assert light.level_on(white, 0.9) > light.level_on(white, 0.3) * 1.2
    assert light.level_on(blue, 0.3) > light.level_on(white, 0.3) * 1.1


def test_what_is_brighter_than_paints_are_is_in_more_light() -> None:
    light = Illuminant(0.5, np.zeros(3, np.float32))
    levels = [light.level_on(np.array([peak, 0.5 * peak, 0.3 * peak], np.float32), 0.9) for peak in (0.05, 0.1, 0.4, 0.8)]
    assert levels[:2] == pytest.approx([0.5, 0.5], rel=0.01)
    assert levels[1] < levels[2] < levels[3]
    assert levels[-1] >= 0.8 / light.parameters.max_albedo


def test_white_stays_as_bright_in_another_white_and_a_colour_in_another_does_not() -> None:
    """A wall that seems grey in the photo's light: of two whites neither may seem the darker one because of that."""
    photo = np.full((60, 90, 3), (190, 188, 184), np.uint8)
    photo[:30] = (90, 150, 190)
    for rows, color, drawn in ((slice(30, 60), "#F1EEE5", True), (slice(0, 30), "#F1EEE5", False), (slice(0, 30), "#A4573D", False)):
        alpha = np.zeros((60, 90), np.uint8)
        alpha[rows] = 255
        (found,) = find_surfaces(photo, alpha, Illuminant(0.7, np.zeros(3, np.float32)))
        found = replace(found, light=0.9 * float(found.reflection.reference.max()) / float(from_display(hex_to_linear(color)).max()))
        kept = keep_brightness(found, color).light / found.light
        assert (1.03 < kept <= 1.0 / 0.9) if drawn else kept == pytest.approx(1.0, abs=0.02)
