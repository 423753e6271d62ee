"""How bright the light on a surface is taken to be, and that a new white is as bright as the old one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from respray.editing.core.color import from_display, hex_to_linear
from respray.editing.surface.exposure import keep_brightness
from respray.editing.surface.illuminant import IlluminantParameters, estimate_illuminant, expected_level
from respray.editing.surface.surface import find_surfaces

PARAMETERS = IlluminantParameters()


def level(reference: str, light: float, photo: float, height: float) -> float:
    """The level of a surface that shows a paint in so much light, in a photo of this level."""
    return expected_level(photo, np.asarray(hex_to_linear(reference), np.float32) * light, height, PARAMETERS)


def test_a_pale_neutral_wall_is_white_in_less_light() -> None:
    assert 0.55 < level("#EDEFEE", 0.65, 0.9, 0.3) < 0.8
    # A floor is as likely grey.
    assert level("#EDEFEE", 0.65, 0.9, 0.9) > level("#EDEFEE", 0.65, 0.9, 0.3) * 1.1


@pytest.mark.parametrize("paint", ["#A3AF94", "#A9BBC4", "#C9A9B4"])
def test_a_pale_wall_of_a_hue_that_no_light_has_is_no_white_in_less_light(paint: str) -> None:
    grey = f"#{int(paint[3:5], 16):02X}" + paint[3:5] * 2
    assert level(paint, 0.9, 0.9, 0.4) > level(grey, 0.9, 0.9, 0.4) * 1.1
    assert level(paint, 0.9, 0.9, 0.4) > 0.75


def test_a_warm_white_may_be_white_in_lamp_light() -> None:
    assert level("#F2E6D2", 0.6, 0.9, 0.3) < 0.8


def test_what_is_brighter_than_paints_are_is_in_more_light() -> None:
    levels = [expected_level(0.5, np.array([peak, 0.5 * peak, 0.3 * peak], np.float32), 0.9, PARAMETERS) for peak in (0.02, 0.1, 0.4, 0.8)]
    # What is dark may be so by paint or for want of light: it says next to nothing.
    assert levels[:2] == pytest.approx([0.47, 0.47], rel=0.02)
    assert levels[1] < levels[2] < levels[3]
    assert levels[-1] >= 0.8 / PARAMETERS.max_albedo
    # However bright, it is a number that explains it.
    assert 40.0 < expected_level(0.4, np.full(3, 50.0, np.float32), 0.9, PARAMETERS) < 70.0


def test_a_surface_has_no_say_in_how_bright_the_photo_is() -> None:
    alpha = np.zeros((60, 90), np.uint8)
    alpha[:30] = 255
    levels = []
    for own in ((20, 22, 30), (240, 238, 230)):
        photo = np.full((60, 90, 3), (190, 188, 184), np.uint8)
        photo[:30] = own
        levels.append(estimate_illuminant(photo).level_beside(alpha))
    assert levels[0] == pytest.approx(levels[1])
    photo[30:] = (235, 233, 228)
    assert estimate_illuminant(photo).level_beside(alpha) > levels[0] * 1.2


def test_what_is_near_a_wall_tells_of_its_light_and_what_is_far_less() -> None:
    """A shaded wall with shaded trim beside it, in a room that is bright elsewhere."""
    alpha = np.zeros((120, 180), np.uint8)
    alpha[:, :60] = 255
    levels = []
    for near, far in ((110, 235), (235, 110)):
        photo = np.full((120, 180, 3), far, np.uint8)
        photo[:, :105] = near
        levels.append(estimate_illuminant(photo).level_beside(alpha))
    assert levels[0] < 0.7 * levels[1]


def test_the_rim_of_a_mask_that_misses_some_of_the_wall_is_not_beside_it() -> None:
    photo = np.full((120, 180, 3), (190, 188, 184), np.uint8)
    alpha = np.zeros((120, 180), np.uint8)
    alpha[:, :90] = 255
    level = estimate_illuminant(photo).level_beside(alpha)
    photo[:, 90:92] = (235, 233, 228)
    assert estimate_illuminant(photo).level_beside(alpha) == pytest.approx(level)


def test_a_photo_of_one_surface_has_the_usual_light() -> None:
    photo = np.full((60, 90, 3), (90, 88, 84), np.uint8)
    assert estimate_illuminant(photo).level_beside(np.full((60, 90), 255, np.uint8)) == PARAMETERS.typical_level


def kept(rows: slice, color: str, ratio: float) -> float:
    """What becomes of the light on a white or a blue surface whose new paint seems to reflect `ratio` times what the old one does."""
    photo = np.full((60, 90, 3), (190, 188, 184), np.uint8)
    photo[:30] = (90, 150, 190)
    alpha = np.zeros((60, 90), np.uint8)
    alpha[rows] = 255
    (found,) = find_surfaces(photo, alpha, estimate_illuminant(photo))
    light = ratio * float(found.reflection.reference.max()) / float(from_display(hex_to_linear(color)).max())
    return keep_brightness(replace(found, light=light), color).light / light


BLUE, WHITE = slice(0, 30), slice(30, 60)


def test_white_stays_as_bright_in_another_white() -> None:
    """A wall that seems grey in the photo's light: of two whites neither may seem the darker one because of that."""
    assert 1.03 < kept(WHITE, "#F1EEE5", 0.9) <= 1.0 / 0.9


@pytest.mark.parametrize("color", ["#F1EEE5", "#A4573D"])
def test_a_paint_that_seems_about_as_bright_is_drawn_to_the_old_ones_brightness(color: str) -> None:
    assert 1.0 < kept(BLUE, color, 0.75) < 1.0 / 0.75
    assert 1.0 / 1.25 < kept(BLUE, color, 1.25) < 1.0


@pytest.mark.parametrize("ratio", [0.1, 10.0])
def test_a_paint_that_is_far_from_the_old_ones_brightness_is_not(ratio: float) -> None:
    for rows in (BLUE, WHITE):
        assert kept(rows, "#F1EEE5", ratio) == pytest.approx(1.0, abs=0.01)
