"""Try neighbours of the parameters that take a surface's old pattern out of its shading, against the true shading of rendered rooms.

The error is that of log shading: mean over solid pixels of its distance from the truth, once the medians are made equal; mean over
surfaces, patterned ones too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.quality.cases import CONCEPTS, MIN_COVERAGE
from respray.editing.core.color import LUMINANCE
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.shading import ShadingParameters, smooth_shading
from respray.editing.surface.surface import Surface, find_surfaces
from respray.imaging.arrays import FloatArray
from tools.fit.rooms import matte_of, render_rooms, rooms_option
from tools.fit.search import print_scans, scan

FIELDS = ("joint_share", "smooth_share", "shadow_contrast")


@dataclass(frozen=True)
class Observation:
    """One surface, and the log of its true shading: float32 [hs,ws], as large as its `small` picture."""

    surface: Surface
    truth: FloatArray


def observe(rooms: int, width: int = 600, height: int = 400) -> list[Observation]:
    """Every large surface of the rooms."""
    found = []
    for room in render_rooms(rooms, width, height):
        scene = room.scene
        light = estimate_illuminant(scene.photo)
        for concept in CONCEPTS:
            mask = scene.masks.get(concept)
            if mask is None or mask.mean() < MIN_COVERAGE:
                continue
            for surface in find_surfaces(scene.photo, matte_of(mask), light):
                x0, y0, x1, y1 = surface.box
                shading = np.ascontiguousarray(scene.shading[y0:y1, x0:x1] @ LUMINANCE)
                small = cv2.resize(shading, surface.solid.shape[::-1], interpolation=cv2.INTER_AREA)
                if surface.solid.sum() > 500:
                    found.append(Observation(surface, np.log(np.maximum(small, 1e-3)).astype(np.float32)))
    return found


def error(observations: Sequence[Observation], parameters: ShadingParameters) -> float:
    """Mean distance of log shading from the truth."""
    return float(np.mean([_distance(observation, parameters) for observation in observations]))


def _distance(observation: Observation, parameters: ShadingParameters) -> float:
    solid = observation.surface.solid
    off = np.log(smooth_shading(observation.surface, parameters))[solid] - observation.truth[solid]
    return float(np.abs(off - np.median(off)).mean())


def main() -> None:
    """Scan, and print."""
    rooms = rooms_option(__doc__, 40)
    observations = observe(rooms)
    print(f"{len(observations)} surfaces of {rooms} rooms\n")
    print_scans(scan(lambda p: error(observations, p), ShadingParameters(), FIELDS), "error of log shading")


if __name__ == "__main__":
    main()
