"""Rooms with a known right answer: the photo, the exact mask, and the same room with another colour."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from respray.editing.core.color import LUMINANCE, hex_to_linear
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from training import scenes

CONCEPTS = ("wall", "floor", "ceiling", "sofa", "curtain", "cabinet", "door", "bed", "table", "rug")
COLORS = ("#22304A", "#EFE9DD", "#A3AF94", "#A4573D", "#9A9D9C", "#E2BE63", "#5E7F8C", "#2A2A2B")
MIN_COVERAGE = 0.03
# A surface that is burnt out or black in the photo holds nothing to measure.
MIN_USABLE_SHARE = 0.6
# Albedo inside the mask: above this spread of log luminance, or with colours of several hues, it is a pattern, for which there is no right
# answer. Below it the surface's grain (planks, joints, a door's handle) stays, since a new colour does not sand a floor.
GRAIN_SPREAD, CHROMA_SPREAD = 0.5, 0.35
# No paint reflects more.
MAX_ALBEDO = 0.95
# Pixels that show the surface and nothing else; grain is laid on these only.
WHOLE = 0.999
# A camera's automatic white balance takes most of the light's mean colour away, not all of it.
WHITE_BALANCE = 0.85


@dataclass(frozen=True)
class Case:
    """One room, one surface, one new colour. Images uint8 [H,W,3], mask bool [H,W]. `calm` is `truth` without sensor noise and JPEG."""

    seed: int
    concept: str
    color: str
    photo: UInt8Array
    mask: BoolArray
    truth: UInt8Array
    calm: UInt8Array

    @property
    def name(self) -> str:
        """Short id for tables and files."""
        return f"{self.seed}-{self.concept}-{self.color[1:]}"


def recolor_cases(seeds: range, width: int, height: int, cache: Path | None = None) -> Iterator[Case]:
    """Every usable surface of every room, each with one colour that changes from case to case; rendered once, then from `cache`.

    Left out are surfaces that are small, burnt out or patterned (several colours).
    """
    for seed in seeds:
        key = hashlib.sha256(code_version().encode() + f"{seed}-{width}x{height}".encode()).hexdigest()[:16]
        folder = None if cache is None else cache / key
        if folder is None or not (folder / "done").exists():
            cases = list(_render(seed, width, height))
            if folder is not None:
                _save(folder, cases)
            yield from cases
        else:
            yield from _load(folder, seed)


def camera(scene: scenes.Scene, ev: float = 0.0) -> scenes.Sensor:
    """A decent camera on automatic for this room: white balance, mild contrast, shoulder, noise, sharpening and JPEG."""
    light = np.median(scene.shading.reshape(-1, 3), axis=0)
    red, green, blue = (float(v) for v in (light / light[1]) ** -WHITE_BALANCE)
    return scenes.Sensor(
        ev=ev, white=(red, green, blue), vignette=0.1, bloom=0.04, contrast=0.12, shoulder=0.8, noise=0.004, sharpen=0.2, jpeg=92
    )


def _render(seed: int, width: int, height: int) -> Iterator[Case]:
    room = scenes.sample_room(seed)
    sensor = camera(scenes.render(room, 96, 64))
    noiseless = replace(sensor, noise=0.0, jpeg=0)
    scene = scenes.render(room, width, height, sensor=sensor, quality=2)
    for concept, mask in usable_surfaces(scene):
        color = COLORS[(seed * 5 + CONCEPTS.index(concept)) % len(COLORS)]
        linear = repainted(room, scene, {concept: color}, sensor)
        truth, calm = (scenes.develop(linear, camera, scene.exposure, room.seed) for camera in (sensor, noiseless))
        yield Case(seed, concept, color, scene.photo, mask, truth, calm)


def usable_surfaces(scene: scenes.Scene) -> Iterator[tuple[str, BoolArray]]:
    """Concepts and masks (bool [H,W]) of a room's surfaces for which there is a right answer."""
    for concept in CONCEPTS:
        mask = scene.masks.get(concept)
        if mask is None or mask.mean() < MIN_COVERAGE or not _usable(scene.photo, mask):
            continue
        spread, colours = _albedo_spread(scene.albedo[mask])
        if spread <= GRAIN_SPREAD and colours <= CHROMA_SPREAD:
            yield concept, mask


def repainted(room: scenes.RoomSpec, scene: scenes.Scene, colors: dict[str, str], sensor: scenes.Sensor) -> FloatArray:
    """The room's light with other paints (hex by concept) under the grain of the surfaces in `scene`: linear float32 [H,W,3]."""
    height, width = scene.photo.shape[:2]
    targets = {concept: np.asarray(hex_to_linear(color)) for concept, color in colors.items()}
    painted = scenes.render(room, width, height, overrides=targets, sensor=sensor, quality=2)
    light, grain = scene.albedo @ LUMINANCE, np.ones((height, width), np.float32)
    for concept, target in targets.items():
        mask = scene.masks[concept]
        own = np.minimum(light / max(float(np.median(light[mask])), 1e-4), MAX_ALBEDO / float(target.max()))
        grain = np.where(mask & (painted.overridden > WHOLE), own, grain).astype(np.float32)
    return painted.albedo * painted.shading * grain[..., None] + painted.highlights


def _albedo_spread(albedo: FloatArray) -> tuple[float, float]:
    """Spread of log luminance and of chroma (95th percentile of the distance from the mean, at luminance 1) of linear [n,3]."""
    light = np.maximum(albedo @ LUMINANCE, 1e-4)
    chroma = albedo / light[:, None]
    return float(np.log(light).std()), float(np.percentile(np.linalg.norm(chroma - np.median(chroma, axis=0), axis=1), 95))


def _usable(photo: UInt8Array, mask: BoolArray) -> bool:
    pixels = photo[mask]
    return float(np.mean((pixels.max(axis=1) < 252) & (pixels.max(axis=1) > 25))) >= MIN_USABLE_SHARE


def code_version() -> str:
    """Changes when the renderer's code or this file does."""
    folder = Path(scenes.__file__).parent
    return "".join(f"{p.name}{p.stat().st_size}" for p in [*sorted(folder.glob("*.py")), Path(__file__)])


def _save(folder: Path, cases: list[Case]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        stem = f"{case.concept}_{case.color[1:]}"
        for name, image in (("photo", case.photo), ("truth", case.truth), ("calm", case.calm), ("mask", case.mask.astype(np.uint8) * 255)):
            cv2.imwrite(str(folder / f"{stem}_{name}.png"), image[..., ::-1] if image.ndim == 3 else image)
    (folder / "done").touch()


def _load(folder: Path, seed: int) -> Iterator[Case]:
    for path in sorted(folder.glob("*_photo.png")):
        concept, color, _ = path.stem.split("_")
        names = ("photo", "truth", "calm")
        photo, truth, calm = (_read(folder / f"{concept}_{color}_{name}.png") for name in names)
        mask = cv2.imread(str(folder / f"{concept}_{color}_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
        yield Case(seed, concept, "#" + color, photo, mask, truth, calm)


def _read(path: Path) -> UInt8Array:
    return cast(UInt8Array, cv2.imread(str(path))[..., ::-1].copy())
