"""Measure how far away the walls of rendered rooms are, and try neighbours of the percentile that finds it from their feet.

The error is the mean of |log(found / true distance)| over walls, with the true camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.cases import MIN_COVERAGE
from benchmarks.quality.geometry import true_camera
from respray.editing.texture.camera import RoomCamera
from respray.editing.texture.plane import PlaneParameters, wall_distance
from respray.imaging.arrays import BoolArray, Float64Array
from tools.fit.rooms import render_rooms, rooms_option
from tools.fit.search import print_scans, scan


@dataclass(frozen=True)
class Observation:
    """One wall.

    Attributes:
        camera: the true one.
        mask: bool [H,W].
        normal: float64 [3], unit vector towards it, camera coordinates.
        height: of the camera above the floor, metres.
        distance: from the camera, metres.
    """

    camera: RoomCamera
    mask: BoolArray
    normal: Float64Array
    height: float
    distance: float


def observe(rooms: int) -> list[Observation]:
    """Every wall of the rooms that is seen."""
    found = []
    for room in render_rooms(rooms, quality=0):
        scene = room.scene
        for name, mask in scene.plane_masks.items():
            if not name.startswith("wall") or mask.mean() < MIN_COVERAGE:
                continue
            equation = scene.planes[name]
            distance = float(equation[:3] @ np.asarray(room.spec.eye) + equation[3])
            normal = -scene.camera.rotation @ equation[:3]
            found.append(Observation(true_camera(scene.camera), mask, normal, float(room.spec.eye[2]), distance))
    return found


def error(observations: Sequence[Observation], parameters: PlaneParameters) -> float:
    """Mean distance of the log of what is found from the truth."""
    found = [wall_distance(o.camera, o.mask, o.normal, o.height, parameters) for o in observations]
    return float(np.mean([abs(np.log(distance / o.distance)) for distance, o in zip(found, observations, strict=True)]))


def main() -> None:
    """Scan, and print."""
    rooms = rooms_option(__doc__, 60)
    observations = observe(rooms)
    ratio = float(np.median([o.distance / o.height for o in observations]))
    print(f"{len(observations)} walls of {rooms} rooms\n")
    print(f"wall_distance, heights of the camera: shipped {PlaneParameters().wall_distance:.2f}, median of all walls {ratio:.2f}\n")
    print_scans(scan(lambda p: error(observations, p), PlaneParameters(), ("contact_percentile",)), "error of log distance")


if __name__ == "__main__":
    main()
