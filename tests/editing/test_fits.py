"""The fits in `tools/fit`: they search, and on a few rooms the shipped values stand their ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.__main__ import FIRST_SEED as FIRST_TEST_SEED
from respray.editing.surface.illuminant import IlluminantParameters
from respray.editing.surface.reflection import ReflectionParameters
from respray.editing.surface.shading import ShadingParameters
from respray.editing.texture.camera import CameraParameters
from tools.fit import camera, illuminant, paints, rooms, search, shading


def bowl(parameters: ShadingParameters) -> float:
    """Least at joint_share 0.02 and shadow_contrast 0.3."""
    return float(np.log(parameters.joint_share / 0.02) ** 2 + np.log(parameters.shadow_contrast / 0.3) ** 2)


def test_a_search_finds_the_values_and_leaves_other_fields_alone() -> None:
    found = search.minimize(bowl, ShadingParameters(), {"joint_share": 0.5, "shadow_contrast": 0.01})
    assert found.joint_share == pytest.approx(0.02, rel=0.01)
    assert found.shadow_contrast == pytest.approx(0.3, rel=0.01)
    assert found.smooth_share == ShadingParameters().smooth_share


def test_a_scan_tells_the_best_neighbour_and_what_the_shipped_value_loses() -> None:
    (good, bad) = search.scan(bowl, replace(ShadingParameters(), joint_share=0.02, shadow_contrast=0.6), ("joint_share", "shadow_contrast"))
    assert (good.best, good.loss) == (0.02, 0.0)
    assert bad.best == pytest.approx(0.3)
    assert bad.loss == pytest.approx(np.log(2.0) ** 2)


def test_no_room_is_fitted_to_that_is_measured_on() -> None:
    assert max(rooms.seeds(rooms.LAST_SEED + 1 - rooms.FIRST_SEED)) < FIRST_TEST_SEED
    with pytest.raises(SystemExit, match="give 1 to"):
        rooms.seeds(rooms.LAST_SEED + 2 - rooms.FIRST_SEED)


@pytest.fixture(scope="module")
def seen() -> list[illuminant.Observation]:
    return illuminant.observe(30)


def test_the_shipped_level_is_nearer_than_one_that_knows_no_white_and_one_that_knows_nothing(seen: list[illuminant.Observation]) -> None:
    shipped = illuminant.level_error(seen, IlluminantParameters())
    blank = replace(IlluminantParameters(), white_odds=-50.0)
    fixed = replace(blank, level_power=0.0, level_factor=0.7)
    assert shipped < illuminant.level_error(seen, blank) < illuminant.level_error(seen, fixed)
    # A fit to few rooms is no worse on them than one that knows nothing of them.
    assert illuminant.level_error(seen, illuminant.fit_level(seen)) < illuminant.level_error(seen, blank)


def test_a_fit_of_the_level_finds_what_made_the_surfaces() -> None:
    """Surfaces drawn from known values: half of what is high is white, in light of 0.8 times what is bright."""
    rng = np.random.default_rng(0)
    made = []
    for seed in range(1200):
        white = seed % 2 == 0
        tint = np.exp(np.array([0.1, 0.0, -0.1]) + rng.normal(0, 0.02, 3)) if white else rng.uniform(0.3, 1.0, 3)
        albedo = np.full(3, 0.85) if white else np.array([0.5, 0.2, 0.1])
        bright, light = float(rng.uniform(0.4, 1.0)), np.ones(3)
        level = 0.8 * bright * float(np.exp(rng.normal(0, 0.3)))
        reference = (0.85 * tint * level if white else tint * level).astype(np.float32)
        height = float(rng.uniform(0.0, 0.5) if white else rng.uniform(0.5, 1.0))
        made.append(illuminant.Observation(seed, bright, np.zeros(3, np.float32), reference, height, albedo, light * level))
    found = illuminant.fit_level(made)
    assert (found.level_factor, found.level_power) == pytest.approx((0.8, 1.0), abs=0.06)
    assert found.level_spread == pytest.approx(0.3, abs=0.03)
    assert (found.white_warm, found.white_green) == pytest.approx((0.1, 0.0), abs=0.02)
    assert found.grey_share == 0.0 < found.white_odds
    assert found.white_fall > 2.0


def test_a_fit_of_the_tint_gains_on_its_own_rooms_and_the_shipped_one_beats_none_and_all(seen: list[illuminant.Observation]) -> None:
    shipped = illuminant.tint_error(seen, IlluminantParameters())
    fitted = illuminant.tint_error(seen, illuminant.fit_tint(seen, evaluations=100))
    assert fitted <= shipped < illuminant.untinted_error(seen)
    # All of a pale surface's tint taken for light.
    assert shipped < illuminant.tint_error(seen, replace(IlluminantParameters(), own_share=1.0, own_share_top=0.0))


def test_the_shipped_shading_is_nearer_the_truth_than_with_the_old_pattern_in_it() -> None:
    seen = shading.observe(2, 300, 200)
    shipped = shading.error(seen, ShadingParameters())
    assert shipped < shading.error(seen, replace(ShadingParameters(), passes=0))
    assert shipped < shading.error(seen, replace(ShadingParameters(), joint_share=1e-4, passes=0))


def test_the_shipped_reflection_paints_better_than_one_that_takes_grain_for_specular_light() -> None:
    cases = rooms.repainted_surfaces(2)
    noisy = replace(ReflectionParameters(), grey_chroma=0.0, colored_chroma=0.01, min_specular=0.0, max_matt_shading=0.5)
    assert paints.paint_error(cases) < paints.paint_error(cases, noisy)


def test_the_shipped_camera_is_near_and_a_loose_one_is_not() -> None:
    seen = camera.observe(2)
    shipped = camera.error(seen, CameraParameters())
    assert shipped < 0.3
    assert shipped < camera.error(seen, replace(CameraParameters(), inlier_angle=4.0 * CameraParameters.inlier_angle))
