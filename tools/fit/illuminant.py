"""Fit the level and the tint of the light to rendered rooms.

Level: mean error of the log of what white would have been on each surface. Tint: CIEDE2000 between eight paints under the estimated
and under the true colour of the light, mean over surfaces. Half of the rooms fit, the other half only measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.cases import COLORS, usable_surfaces
from respray.editing.core.color import LUMINANCE, delta_e_2000, hex_to_linear, linear_to_lab
from respray.editing.surface.illuminant import Illuminant, IlluminantParameters, light_tint, log_tint, photo_level, photo_statistics
from respray.editing.surface.surface import find_surfaces
from respray.imaging.arrays import AnyArray, FloatArray
from tools.fit.rooms import matte_of, render_rooms, rooms_option
from tools.fit.search import minimize, print_fit

TINT_FIELDS = ("height_scale", "own_share", "own_share_top", "own_chroma", "room_share", "room_share_top")
LEVEL_FIELDS = (
    "level_factor",
    "level_power",
    "level_spread",
    "white_peak",
    "white_spread",
    "white_odds",
    "white_fall",
    "white_chroma",
    "other_peak",
    "other_spread",
)
PAINTS = np.stack([hex_to_linear(color) for color in COLORS])


@dataclass(frozen=True)
class Observation:
    """One surface.

    Attributes:
        bright: as in `surface.illuminant.photo_statistics`, like `room_tint`.
        reference: as in `surface.illuminant.Illuminant.level_on`.
        own_tint: as in `surface.illuminant.light_tint`, like `height`.
        light: float [3], linear RGB of a white surface in its place as the sensor sees it, before the camera's tone curve: the truth.
    """

    bright: float
    room_tint: FloatArray
    reference: FloatArray
    own_tint: FloatArray
    height: float
    light: FloatArray


def observe(rooms: int) -> list[Observation]:
    """Every usable surface of the rooms."""
    shipped, found = IlluminantParameters(), []
    for room in render_rooms(rooms):
        scene = room.scene
        bright, room_tint = photo_statistics(scene.photo, shipped)
        for _, mask in usable_surfaces(scene):
            surface = find_surfaces(scene.photo, matte_of(mask), Illuminant(1.0, room_tint))[0]
            x0, y0, x1, y1 = surface.box
            own = np.zeros_like(mask)
            own[y0:y1, x0:x1] = surface.alpha > 0
            albedo = np.median(scene.albedo[own], axis=0)
            reference = surface.reflection.reference
            # Where hardly anything is reflected, a tint is noise.
            if albedo.min() > 0.02 and reference.min() > 0.01:
                height = (float(np.nonzero(own)[0].mean()) + 0.5) / len(mask)
                light = np.median(scene.shading[own], axis=0) * scene.exposure * np.asarray(room.sensor.white)
                found.append(Observation(bright, room_tint, reference, log_tint(reference), height, light))
    return found


def fit_level(observations: Sequence[Observation], start: float = 0.5, evaluations: int = 1500) -> IlluminantParameters:
    """The parameters of the level, from `start` for all of them."""
    return minimize(lambda p: level_error(observations, p), IlluminantParameters(), dict.fromkeys(LEVEL_FIELDS, start), evaluations)


def level_error(observations: Sequence[Observation], parameters: IlluminantParameters) -> float:
    """Mean absolute error of the log of the level."""
    return float(np.mean(np.abs(level_errors(observations, parameters))))


def level_errors(observations: Sequence[Observation], parameters: IlluminantParameters) -> AnyArray:
    """Error of the log of the level on each surface, float [n]."""
    p = parameters
    found = [Illuminant(photo_level(o.bright, p), o.room_tint, p).level_on(o.reference, o.height) for o in observations]
    errors: AnyArray = np.log(found) - np.log([float(o.light @ LUMINANCE) for o in observations])
    return errors


def tint_error(observations: Sequence[Observation], parameters: IlluminantParameters) -> float:
    """Mean CIEDE2000 of the paints under the estimated tint."""
    found = np.stack([light_tint(o.own_tint, o.room_tint, o.height, parameters) for o in observations])
    return _paint_difference(observations, found)


def untinted_error(observations: Sequence[Observation]) -> float:
    """The same where all light is taken for white."""
    return _paint_difference(observations, np.ones((len(observations), 3)))


def _paint_difference(observations: Sequence[Observation], tints: AnyArray) -> float:
    true = np.stack([o.light / float(o.light @ LUMINANCE) for o in observations])
    lit = [linear_to_lab(np.clip(PAINTS * light[:, None], 0.0, 1.0)) for light in (tints, true)]
    return float(delta_e_2000(*lit).mean())


def fit_tint(observations: Sequence[Observation], start: float = 0.2, evaluations: int = 600) -> IlluminantParameters:
    """The six parameters of the tint, from `start` for all of them."""
    return minimize(lambda p: tint_error(observations, p), IlluminantParameters(), dict.fromkeys(TINT_FIELDS, start), evaluations)


def main() -> None:
    """Fit, and print."""
    rooms = rooms_option(__doc__, 120)
    observations = observe(rooms)
    fitting, other = observations[: len(observations) // 2], observations[len(observations) // 2 :]
    shipped = IlluminantParameters()
    print(f"{len(observations)} surfaces of {rooms} rooms\n")
    level = fit_level(fitting)
    print_fit(shipped, level, LEVEL_FIELDS)
    print("Mean error of the log on the other half: " + _both(level_error(other, shipped), level_error(other, level)), end="\n\n")
    tint = fit_tint(fitting)
    print_fit(shipped, tint, TINT_FIELDS)
    print("CIEDE2000 on the half fitted to:  " + _both(tint_error(fitting, shipped), tint_error(fitting, tint)))
    print("CIEDE2000 on the other half:      " + _both(tint_error(other, shipped), tint_error(other, tint)))
    print(f"... and without any tint:         {untinted_error(other):.3f}")


def _both(shipped: float, fitted: float) -> str:
    return f"shipped {shipped:.3f}, fitted {fitted:.3f}"


if __name__ == "__main__":
    main()
