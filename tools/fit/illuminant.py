"""Fit the level and the tint of the light to rendered rooms, and print the values that `IlluminantParameters` ships.

Level: each value is a statistic of surfaces whose paint and light are known: how bright whites are and how they look, how anything else
does, how far white is brighter than what is bright beside a surface. Nothing is searched for but two logistic odds, which have one best
value. Tint: CIEDE2000 between eight paints under the estimated and under the true colour of the light, mean over surfaces.

Printed errors are of rooms that were not fitted to: each half is measured with what the other half gives. What ships is fitted to all. 480
rooms take about three CPU minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize as scipy_minimize

from benchmarks.quality.cases import COLORS, usable_surfaces
from respray.editing.core.color import LUMINANCE, delta_e_2000, hex_to_linear, linear_to_lab
from respray.editing.surface.illuminant import (
    IlluminantParameters,
    estimate_illuminant,
    expected_level,
    light_tint,
    log_tint,
    photo_level,
    warm_and_green,
)
from respray.editing.surface.surface import find_surfaces
from respray.imaging.arrays import AnyArray, FloatArray
from tools.fit.rooms import matte_of, render_rooms, rooms_option
from tools.fit.search import changed, minimize, print_fit

TINT_FIELDS = ("height_scale", "own_share", "own_share_top", "own_chroma", "room_share", "room_share_top")
WHITE_FIELDS = ("white_warm", "white_warm_spread", "white_green", "white_green_spread")
COLOUR_FIELDS = ("colour_warm", "colour_warm_spread", "colour_green", "colour_green_spread")
LEVEL_FIELDS = (
    "level_factor",
    "level_power",
    "level_spread",
    "typical_level",
    "white_peak",
    "white_spread",
    "white_odds",
    "white_fall",
    *WHITE_FIELDS,
    "grey_share",
    *COLOUR_FIELDS,
)
PAINTS = np.stack([hex_to_linear(color) for color in COLORS])
WIDTH, HEIGHT = 240, 160
# What is called grey: a paint that reflects in its darkest channel no less than this share of what it does in its brightest one; and
# white: a grey that reflects this.
GREY_DARKEST, WHITE_ALBEDO = 0.65, 0.7
# Where hardly anything is reflected, a tint is noise: albedo and scene-linear light of the darkest channel.
MIN_TINT_ALBEDO, MIN_TINT_LIGHT = 0.02, 0.01


@dataclass(frozen=True)
class Observation:
    """One surface.

    Attributes:
        seed: of its room.
        bright: as of `surface.illuminant.Illuminant.brightness_beside`.
        room_tint: as of `surface.illuminant.Illuminant`.
        reference: as of `surface.illuminant.expected_level`, like `height`.
        albedo: float [3], what its paint reflects: the truth, like `light`.
        light: float [3], linear RGB of a white surface in its place as the sensor sees it, before the camera's tone curve.
    """

    seed: int
    bright: float
    room_tint: FloatArray
    reference: FloatArray
    height: float
    albedo: FloatArray
    light: FloatArray

    @property
    def level(self) -> float:
        """Luminance of that light."""
        return float(self.light @ LUMINANCE)

    @property
    def is_grey(self) -> bool:
        """Whether its paint is without a colour, white ones included."""
        return float(self.albedo.min()) >= GREY_DARKEST * float(self.albedo.max())

    @property
    def is_white(self) -> bool:
        """Whether its paint is a white one."""
        return self.is_grey and float(self.albedo.max()) >= WHITE_ALBEDO

    @property
    def is_tinted(self) -> bool:
        """Whether it reflects enough for a tint to be more than noise."""
        return float(self.albedo.min()) > MIN_TINT_ALBEDO and float(self.reference.min()) > MIN_TINT_LIGHT


def observe(rooms: int) -> list[Observation]:
    """Every usable surface of the rooms."""
    found = []
    for room in render_rooms(rooms, WIDTH, HEIGHT):
        scene = room.scene
        illuminant = estimate_illuminant(scene.photo)
        for _, mask in usable_surfaces(scene):
            alpha = matte_of(mask)
            surface = find_surfaces(scene.photo, alpha, illuminant)[0]
            x0, y0, x1, y1 = surface.box
            own = np.zeros_like(mask)
            own[y0:y1, x0:x1] = surface.alpha > 0
            found.append(
                Observation(
                    seed=room.spec.seed,
                    bright=illuminant.brightness_beside(alpha),
                    room_tint=illuminant.room_tint,
                    reference=surface.reflection.reference,
                    height=(float(np.nonzero(own)[0].mean()) + 0.5) / len(mask),
                    albedo=np.median(scene.albedo[own], axis=0),
                    light=np.median(scene.shading[own], axis=0) * scene.exposure * np.asarray(room.sensor.white),
                )
            )
    return found


def fit_level(observations: Sequence[Observation], parameters: IlluminantParameters = IlluminantParameters()) -> IlluminantParameters:
    """The parameters of the level, with what is not fitted of `parameters`."""
    levels = np.log([o.level for o in observations])
    factor, power, spread = _line(np.array([o.bright for o in observations]), levels)
    whites = [o for o in observations if o.is_white]
    peaks = np.log([o.reference.max() / o.level for o in whites])
    odds, fall = _odds(np.array([o.height for o in observations]), np.array([o.is_white for o in observations]))
    level = {"level_factor": factor, "level_power": power, "level_spread": spread, "typical_level": float(np.exp(np.median(levels)))}
    white = {"white_peak": float(np.exp(np.median(peaks))), "white_spread": float(peaks.std()), "white_odds": odds, "white_fall": fall}
    others, coloured = len(observations) - len(whites), [o for o in observations if not o.is_grey]
    looks = _looks(WHITE_FIELDS, whites) | _looks(COLOUR_FIELDS, coloured) | {"grey_share": 1.0 - len(coloured) / others}
    return changed(parameters, level | white | looks)


def _line(bright: FloatArray, levels: AnyArray) -> tuple[float, float, float]:
    """Factor and power of the level over `bright` [n] where anything is, with the least absolute error of its log, and the error's spread.

    By least squares with new weights (Schlossmacher, "An iterative technique for absolute deviations curve fitting", 1973).
    """
    seen = bright > 0.0
    columns, levels = np.stack([np.ones(int(seen.sum())), np.log(bright[seen])], axis=1), levels[seen]
    errors, line = np.ones_like(levels), np.zeros(2)
    for _ in range(60):
        weights = 1.0 / np.sqrt(np.maximum(np.abs(errors), 0.02))
        line = np.linalg.lstsq(columns * weights[:, None], levels * weights, rcond=None)[0]
        errors = levels - columns @ line
    return float(np.exp(line[0])), float(line[1]), float(errors.std())


def _odds(heights: AnyArray, white: AnyArray) -> tuple[float, float]:
    """Log odds of being white at the photo's top, and their fall to the bottom (logistic regression), of `heights` and bool `white` [n]."""

    def loss(values: AnyArray) -> float:
        odds = values[0] - values[1] * heights
        return float(np.logaddexp(0.0, np.where(white, -odds, odds)).mean())

    odds, fall = scipy_minimize(loss, np.zeros(2)).x
    return float(odds), float(fall)


def _looks(fields: Sequence[str], observations: Sequence[Observation]) -> dict[str, float]:
    """Means and standard deviations of how warm and how green surfaces look, by the names of the `fields`."""
    tints = np.array([warm_and_green(log_tint(o.reference)) for o in observations])
    return dict(zip(fields, np.stack([tints.mean(axis=0), tints.std(axis=0)], axis=1).ravel().tolist(), strict=True))


def level_error(observations: Sequence[Observation], parameters: IlluminantParameters) -> float:
    """Mean absolute error of the log of the level."""
    return float(np.mean(np.abs(level_errors(observations, parameters))))


def level_errors(observations: Sequence[Observation], parameters: IlluminantParameters) -> AnyArray:
    """Error of the log of the level on each surface, float [n]."""
    found = [expected_level(photo_level(o.bright, parameters), o.reference, o.height, parameters) for o in observations]
    errors: AnyArray = np.log(found) - np.log([o.level for o in observations])
    return errors


def level_difference(observations: Sequence[Observation], parameters: IlluminantParameters) -> float:
    """Mean CIEDE2000 of the paints under the estimated and under the true level."""
    true = np.array([o.level for o in observations])[:, None]
    return _paint_difference(true * np.exp(level_errors(observations, parameters))[:, None], true)


def tint_error(observations: Sequence[Observation], parameters: IlluminantParameters) -> float:
    """Mean CIEDE2000 of the paints under the estimated tint."""
    found = np.stack([light_tint(log_tint(o.reference), o.room_tint, o.height, parameters) for o in observations])
    return _paint_difference(found, _tints(observations))


def untinted_error(observations: Sequence[Observation]) -> float:
    """The same where all light is taken for white."""
    return _paint_difference(np.ones((len(observations), 3)), _tints(observations))


def _tints(observations: Sequence[Observation]) -> AnyArray:
    return np.stack([o.light / o.level for o in observations])


def _paint_difference(*lights: AnyArray) -> float:
    """Mean CIEDE2000 of the paints under two lights of each surface, float [n,1] or [n,3]."""
    one, other = (linear_to_lab(np.clip(PAINTS * light[:, None], 0.0, 1.0)) for light in lights)
    return float(delta_e_2000(one, other).mean())


def fit_tint(observations: Sequence[Observation], start: float = 0.2, evaluations: int = 600) -> IlluminantParameters:
    """The six parameters of the tint, from `start` for all of them."""
    return minimize(lambda p: tint_error(observations, p), IlluminantParameters(), dict.fromkeys(TINT_FIELDS, start), evaluations)


def cross_validated(
    observations: Sequence[Observation],
    fit: Callable[[Sequence[Observation]], IlluminantParameters],
    error: Callable[[Sequence[Observation], IlluminantParameters], float],
) -> float:
    """The error on the rooms of each half (even and odd seeds) with what is fitted to the other's, weighed by their surfaces."""
    halves = [[o for o in observations if o.seed % 2 == half] for half in (0, 1)]
    errors = [error(halves[1 - half], fit(halves[half])) * len(halves[1 - half]) for half in (0, 1)]
    return sum(errors) / len(observations)


def main() -> None:
    """Fit, and print."""
    rooms = rooms_option(__doc__, 480)
    observations = observe(rooms)
    tinted = [o for o in observations if o.is_tinted]
    shipped, level = IlluminantParameters(), fit_level(observations)
    print(f"{len(observations)} surfaces of {rooms} rooms\n")
    print_fit(shipped, level, LEVEL_FIELDS)
    print(f"Mean error of the log on other rooms: {cross_validated(observations, fit_level, level_error):.3f}")
    print(f"CIEDE2000 of paints on other rooms:   {cross_validated(observations, fit_level, level_difference):.2f}", end="\n\n")
    tint = fit_tint(tinted)
    print_fit(shipped, tint, TINT_FIELDS)
    print(f"CIEDE2000 on other rooms:     {cross_validated(tinted, fit_tint, tint_error):.3f}")
    print(f"... and without any tint:     {untinted_error(tinted):.3f}")


if __name__ == "__main__":
    main()
