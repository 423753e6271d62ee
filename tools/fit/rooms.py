"""Rendered rooms to fit to. They are none of those that `benchmarks.quality` measures on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.cases import COLORS, CONCEPTS, camera, repainted, usable_surfaces
from respray.imaging.arrays import BoolArray, UInt8Array
from training import scenes

# Neither the test rooms (9500 on) nor the tuning rooms of old (9000 on) nor those on which the camera's fit got its form (8000 on).
FIRST_SEED, LAST_SEED = 7000, 7999


@dataclass(frozen=True)
class Room:
    """A room, the picture of it and the camera that took it."""

    spec: scenes.RoomSpec
    scene: scenes.Scene
    sensor: scenes.Sensor


@dataclass(frozen=True)
class Repainted:
    """One surface and its right answer: uint8 [H,W,3] `photo` and `truth` (without noise and JPEG), bool [H,W] `mask`, the paint as hex."""

    photo: UInt8Array
    truth: UInt8Array
    mask: BoolArray
    color: str


def seeds(count: int) -> range:
    """The seeds of the first `count` rooms. Raises `SystemExit` where there are not so many."""
    if not 1 <= count <= LAST_SEED + 1 - FIRST_SEED:
        raise SystemExit(f"--rooms {count}: give 1 to {LAST_SEED + 1 - FIRST_SEED}")
    return range(FIRST_SEED, FIRST_SEED + count)


def render_rooms(count: int, width: int = 300, height: int = 200, quality: int = 1) -> Iterator[Room]:
    """Render rooms as `benchmarks.quality.cases.camera` sees them."""
    for seed in seeds(count):
        spec = scenes.sample_room(seed)
        sensor = camera(scenes.render(spec, 96, 64))
        yield Room(spec, scenes.render(spec, width, height, sensor=sensor, quality=quality), sensor)


def repainted_surfaces(count: int, width: int = 300, height: int = 200) -> list[Repainted]:
    """Every usable surface of the rooms, each with one paint that changes from surface to surface."""
    found = []
    for room in render_rooms(count, width, height, quality=2):
        seed = room.spec.seed
        for concept, mask in usable_surfaces(room.scene):
            color = COLORS[(seed * 5 + CONCEPTS.index(concept)) % len(COLORS)]
            linear = repainted(room.spec, room.scene, {concept: color}, room.sensor)
            truth = scenes.develop(linear, noiseless(room.sensor), room.scene.exposure, seed)
            found.append(Repainted(room.scene.photo, truth, mask, color))
    return found


def noiseless(sensor: scenes.Sensor) -> scenes.Sensor:
    """The same camera without noise and JPEG."""
    return scenes.Sensor(**{**vars(sensor), "noise": 0.0, "jpeg": 0})


def matte_of(mask: BoolArray) -> UInt8Array:
    """A mask as an exact matte, uint8 [H,W]."""
    return mask.astype(np.uint8) * np.uint8(255)


def rooms_option(description: str | None, default: int) -> int:
    """Read `--rooms` from the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=default, help=f"rendered rooms (default {default})")
    return int(parser.parse_args().rooms)
