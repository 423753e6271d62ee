"""What a room is made of, as plain data, and the builder that furniture is written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from training.arrays import Floats, Ints
from training.scenes.intersect import BOX, ELLIPSOID, FRUSTUM
from training.scenes.openings import O_COLS
from training.scenes.textures import ROW

CONCEPTS = (
    "other",
    "floor",
    "wall",
    "ceiling",
    "window",
    "door",
    "curtain",
    "sofa",
    "bed",
    "rug",
    "table",
    "chair",
    "picture",
    "plant",
    "lamp",
    "baseboard",
    "cabinet",
)

# Arrays of a RoomSpec with one row for every primitive.
PER_PRIMITIVE = ("ptype", "inv", "half", "bevel", "solid", "mat_of", "concept_of", "instance_of")


@dataclass
class Sensor:
    """From scene radiance to an 8-bit photo. ``neutral()`` is a perfect sensor: exposure and the sRGB curve only."""

    ev: float = 0.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignette: float = 0.0
    bloom: float = 0.0
    contrast: float = 0.0
    saturation: float = 1.0
    shoulder: float = 0.8
    noise: float = 0.0
    blur: float = 0.0
    sharpen: float = 0.0
    jpeg: int = 0
    flat: float = 0.0


@dataclass
class RoomSpec:
    """A complete room: geometry, materials, light, camera and sensor. Made by ``sample_room``.

    size: width (x), depth (y), height (z) in metres. materials (M,24): packed rows, see ``textures``. plane_mat (6,):
    material of each room plane in the order of ``camera.PLANE_NAMES``. Primitive arrays are described in ``intersect``;
    concept and instance number every primitive. openings and lamps are described in ``openings`` and ``light``; sun (6,) is the
    direction to the sun and its linear irradiance.
    """

    seed: int
    kind: str
    size: tuple[float, float, float]
    materials: Floats
    plane_mat: Ints
    openings: Floats
    lamps: Floats
    sun: Floats
    ptype: Ints
    inv: Floats
    half: Floats
    bevel: Floats
    solid: Floats
    mat_of: Ints
    concept_of: Ints
    instance_of: Ints
    groups: Floats
    gstart: Ints
    window_instance: Ints
    eye: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    focal: float
    shift: float
    aspect: float
    sensor: Sensor = field(default_factory=Sensor)


def without(room: RoomSpec, instance: int) -> RoomSpec:
    """The room without one object (a number of ``instance_of``)."""
    keep = room.instance_of != instance
    group = np.repeat(np.arange(len(room.gstart) - 1), np.diff(room.gstart))[keep]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    rest = {name: getattr(room, name)[keep] for name in PER_PRIMITIVE}
    return replace(room, **rest, groups=room.groups[group[first]], gstart=np.append(first, len(group)).astype(np.int64))


def rotation_z(a: float) -> Floats:
    """(3,3) rotation by ``a`` radians about the vertical."""
    c, s = np.cos(a), np.sin(a)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def rotation_x(a: float) -> Floats:
    """(3,3) rotation by ``a`` radians about x."""
    c, s = np.cos(a), np.sin(a)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


class Builder:
    """Collects materials and primitives. Furniture is written in its own frame, which ``begin`` places in the room."""

    def __init__(self) -> None:
        self.materials: list[Floats] = []
        self.prims: list[tuple[int, Floats, Floats, float, float, int, int, int, Floats]] = []
        self.group_of: list[int] = []
        self.openings: list[Floats] = []
        self.window_instance: list[int] = []
        self.lamps: list[list[float]] = []
        self.n_groups = 0
        self.n_instances = 0
        self.frame = (np.eye(3), np.zeros(3))
        self.concept = 0

    def mat(self, row: Floats) -> int:
        """Add a packed material, return its number."""
        self.materials.append(row)
        return len(self.materials) - 1

    def begin(self, concept: str, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, same_instance: bool = False) -> None:
        """Start an object: following primitives are given in a frame at (x, y, z), turned by ``yaw``."""
        self.concept = CONCEPTS.index(concept)
        self.frame = (rotation_z(yaw), np.array([x, y, z], float))
        self.n_groups += 1
        if not same_instance:
            self.n_instances += 1

    def world(self, x: float, y: float, z: float) -> Floats:
        """World position of a point of the current frame."""
        point: Floats = self.frame[0] @ np.array([x, y, z]) + self.frame[1]
        return point

    def _add(
        self,
        kind: int,
        c: Sequence[float],
        half: Sequence[float],
        mat: int,
        rot: Floats | None,
        bevel: float,
        solid: float,
        concept: str | None,
    ) -> None:
        r = self.frame[0] @ (np.eye(3) if rot is None else rot)
        centre = self.world(*c)
        h = np.asarray(half, float)
        scale = np.array([1.0, 1.0, h[2]]) if kind == FRUSTUM else h[:3]
        m = (r / scale).T
        inv = np.concatenate([m, (-m @ centre)[:, None]], axis=1)
        reach = np.array([max(h[0], h[1]), max(h[0], h[1]), h[2]]) if kind == FRUSTUM else h[:3]
        ext = np.sqrt((r**2) @ (reach**2)) if kind == ELLIPSOID else np.abs(r) @ reach
        cid = self.concept if concept is None else CONCEPTS.index(concept)
        box = np.stack([centre - ext, centre + ext], axis=1).ravel()
        self.prims.append((kind, inv, np.append(h[:3], 0), bevel, solid, mat, cid, self.n_instances - 1, box))
        self.group_of.append(self.n_groups - 1)

    def box(
        self,
        c: Sequence[float],
        half: Sequence[float],
        mat: int,
        bevel: float = 0.0,
        rot: Floats | None = None,
        solid: float = 1.0,
        concept: str | None = None,
    ) -> None:
        """Box with centre ``c`` and half sizes ``half`` (metres)."""
        if min(half) > 1e-4:
            b = min(bevel, 0.9 * min(half))
            self._add(BOX, c, half, mat, rot, b, solid, concept)

    def ell(
        self,
        c: Sequence[float],
        radii: Sequence[float],
        mat: int,
        rot: Floats | None = None,
        solid: float = 1.0,
        concept: str | None = None,
    ) -> None:
        """Ellipsoid with centre ``c`` and semi-axes ``radii`` (metres)."""
        self._add(ELLIPSOID, c, radii, mat, rot, 0.0, solid, concept)

    def cone(
        self,
        c: Sequence[float],
        r_bottom: float,
        r_top: float,
        half_height: float,
        mat: int,
        rot: Floats | None = None,
        solid: float = 1.0,
        concept: str | None = None,
    ) -> None:
        """Frustum about its z axis with centre ``c`` (metres)."""
        self._add(FRUSTUM, c, (r_bottom, r_top, half_height), mat, rot, 0.0, solid, concept)

    def arrays(self) -> dict[str, Any]:
        """The primitive, opening and lamp arrays of a RoomSpec."""
        order = np.argsort(np.array(self.group_of, int), kind="stable")
        prims = [self.prims[i] for i in order]
        gids = [self.group_of[i] for i in order]
        boxes, starts = [], []
        for i, g in enumerate(gids):
            if i == 0 or g != gids[i - 1]:
                starts.append(i)
                boxes.append(prims[i][8].copy())
            else:
                b = boxes[-1]
                b[::2] = np.minimum(b[::2], prims[i][8][::2])
                b[1::2] = np.maximum(b[1::2], prims[i][8][1::2])
        starts.append(len(prims))
        n = len(prims)
        col = [list(c) for c in zip(*prims, strict=True)] if n else [[] for _ in range(9)]
        return {
            "materials": np.array(self.materials).reshape(-1, ROW),
            "openings": np.array(self.openings, float).reshape(-1, O_COLS),
            "lamps": np.array(self.lamps, float).reshape(-1, 8),
            "ptype": np.array(col[0], np.int64),
            "inv": np.array(col[1], float).reshape(n, 3, 4),
            "half": np.array(col[2], float).reshape(n, 4),
            "bevel": np.array(col[3], float),
            "solid": np.array(col[4], float),
            "mat_of": np.array(col[5], np.int64),
            "concept_of": np.array(col[6], np.int64),
            "instance_of": np.array(col[7], np.int64),
            "groups": np.array(boxes, float).reshape(-1, 6),
            "gstart": np.array(starts, np.int64),
            "window_instance": np.array(self.window_instance, np.int64),
        }
