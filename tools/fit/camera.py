"""Try neighbours of the camera fit's parameters: error of the floor grid's directions in the picture, against the renderer's camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.geometry import MIN_FLOOR_SHARE, floor_points, grid_angle, true_camera
from respray.editing.texture.camera import CameraParameters, RoomCamera, estimate_camera
from respray.editing.texture.lines import Segments2D, find_segments
from respray.imaging.arrays import FloatArray
from tools.fit.rooms import render_rooms, rooms_option
from tools.fit.search import print_scans, scan

FIELDS = ("focal_spread", "shift_spread", "inlier_angle", "prior_weight", "judged_by_prior")
WIDTH, HEIGHT = 900, 600
# Degrees: beyond this a camera is wrong, and how wrong says nothing.
MAX_ANGLE = 10.0


@dataclass(frozen=True)
class Observation:
    """One photo's lines, its true camera, and points of its floor, float64 [n,2]."""

    segments: Segments2D
    true: RoomCamera
    points: FloatArray


def observe(rooms: int) -> list[Observation]:
    """Every room whose floor is seen."""
    return [
        Observation(find_segments(room.scene.photo), true_camera(room.scene.camera), floor_points(room.scene, room.spec.seed))
        for room in render_rooms(rooms, WIDTH, HEIGHT)
        if room.scene.plane_masks["floor"].mean() >= MIN_FLOOR_SHARE
    ]


def angle(observation: Observation, parameters: CameraParameters) -> float:
    """Error of one photo's grid, degrees, at most MAX_ANGLE."""
    found = estimate_camera(observation.segments, WIDTH, HEIGHT, parameters)
    return min(grid_angle(found, observation.true, observation.points), MAX_ANGLE)


def error(observations: Sequence[Observation], parameters: CameraParameters) -> float:
    """Mean of `angle`."""
    return float(np.mean([angle(observation, parameters) for observation in observations]))


def main() -> None:
    """Scan, and print."""
    rooms = rooms_option(__doc__, 40)
    observations = observe(rooms)
    print(f"{len(observations)} floors of {rooms} rooms\n")
    print_scans(scan(lambda p: error(observations, p), CameraParameters(), FIELDS), "degrees")


if __name__ == "__main__":
    main()
