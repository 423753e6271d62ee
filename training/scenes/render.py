"""Render a room: photo, exact masks, albedo, shading and highlights of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training.arrays import Bools, Bytes, Floats, Ints
from training.scenes.camera import PLANE_NAMES, Camera, make_camera, plane_equation, plane_homography
from training.scenes.gather import smooth
from training.scenes.kernels import primary, sample_light, shade
from training.scenes.light import light_grid
from training.scenes.openings import FRAME, GLASS, O_FRAME_MAT
from training.scenes.scene_spec import CONCEPTS, RoomSpec, Sensor
from training.scenes.sensor import develop, exposure_of
from training.scenes.textures import PAINT, pack, texture

Overrides = Mapping[str, "Floats | tuple[float, float, float]"]


@dataclass
class Scene:
    """A rendered room; every image is (H, W[, 3]).

    photo: uint8 sRGB. masks: concept -> bool. instances: one (concept, bool mask) each. albedo: float32 linear sRGB.
    shading: float32 linear irradiance (a white sheet lit like this pixel). highlights: float32 linear radiance that is
    not diffuse reflection (gloss, lamps, the view through a window). linear: albedo * shading + highlights, before the
    sensor. exposure: factor the sensor applied to ``linear``. camera, planes, homographies: name of the room plane ->
    (4,) equation, (3,3) plane metres to pixels. plane_masks: bool mask of each room plane's own visible part. depth: float32
    metres along the ray. overridden: float32 share of the pixel that shows an overridden surface, the exact soft matte (a
    bool mask says what the pixel's centre shows; a sliver thinner than a pixel is in here only).
    """

    photo: Bytes
    masks: dict[str, Bools]
    instances: list[tuple[str, Bools]]
    albedo: Floats
    shading: Floats
    highlights: Floats
    linear: Floats
    exposure: float
    camera: Camera
    planes: dict[str, Floats]
    homographies: dict[str, Floats]
    plane_masks: dict[str, Bools]
    depth: Floats
    overridden: Floats


def _mean_albedo(materials: Floats) -> Floats:
    """(M,3) mean albedo, sampled on a coarse grid with a wide footprint."""
    out = np.zeros((len(materials), 3))
    for i, row in enumerate(materials):
        s = [texture(row, u, v, 0.05)[:3] for u, v in ((0.11, 0.23), (0.61, 0.37), (0.29, 0.83), (1.3, 1.1), (0.9, 0.7))]
        out[i] = np.mean(s, axis=0)
    return out


def concept_materials(room: RoomSpec, concept: str) -> list[int]:
    """Numbers of the materials that the concept's surfaces use."""
    if concept not in CONCEPTS:
        raise ValueError(f"unknown concept {concept!r}: one of {', '.join(CONCEPTS)}")
    ids = set(room.mat_of[room.concept_of == CONCEPTS.index(concept)].tolist())
    planes = {"floor": [4], "ceiling": [5], "wall": [0, 1, 2, 3]}.get(concept, [])
    ids.update(int(room.plane_mat[p]) for p in planes)
    if concept == "window":
        ids.update(int(m) for m in room.openings[:, O_FRAME_MAT])
    if concept == "wall":  # A window's reveal is wall; its material follows the frame's.
        ids.update(int(m) + 1 for m in room.openings[:, O_FRAME_MAT])
    return sorted(ids)


def _masks(room: RoomSpec, surf: Ints, opening: Ints, part: Ints) -> tuple[dict[str, Bools], list[tuple[str, Bools]], dict[str, Bools]]:
    concept_lut = np.concatenate([np.array([2, 2, 2, 2, 1, 3]), room.concept_of])
    concept = concept_lut[surf]
    pane = (part == GLASS) | (part == FRAME)
    concept[pane] = CONCEPTS.index("window")
    offset = 10
    instance = np.where(surf < 6, surf, 0)
    prim = surf >= 6
    instance[prim] = room.instance_of[surf[prim] - 6] + offset
    instance[pane] = room.window_instance[opening[pane]] + offset
    masks = {name: concept == i for i, name in enumerate(CONCEPTS) if i}
    instances = []
    for i in np.unique(instance):
        where = instance == i
        # An object may carry parts of other concepts (books on a table): each part counts for its own.
        for c in np.unique(concept[where]):
            if c:
                instances.append((CONCEPTS[c], where & (concept == c)))
    planes = {name: (surf == i) & (part == 0) for i, name in enumerate(PLANE_NAMES)}
    return masks, instances, planes


def render(
    room: RoomSpec,
    width: int,
    height: int,
    overrides: Overrides | None = None,
    *,
    aspect: float | None = None,
    sensor: Sensor | None = None,
    quality: int = 1,
) -> Scene:
    """Render ``room`` at ``width`` x ``height`` pixels.

    overrides: concept -> new albedo, a linear sRGB triple (paint; the surface keeps its relief) or a packed material
    row of ``textures.pack`` (a new texture with its own joints). Geometry, light (bounce light included), exposure
    and noise stay those of the original room, so every pixel outside the concept's surfaces is unchanged.
    aspect: width over height of the true frame where it is stretched to width x height; None means square pixels.
    sensor: overrides the room's own, e.g. ``sensor.neutral()``. quality: 0 for training pictures, of which there cannot be too
    many, 1 for measuring what was trained, 2 for display.
    """
    materials = room.materials
    alt = np.arange(len(materials) + 64)
    for concept, value in (overrides or {}).items():
        row = np.asarray(value, float)
        if row.size == 3:
            row = pack(PAINT, row)
        materials = np.concatenate([materials, row[None]])
        for m in concept_materials(room, concept):
            alt[m] = len(materials) - 1
    cam = make_camera(room.eye, room.yaw, room.pitch, room.roll, room.focal, width, height, aspect, room.shift)
    c = cam.packed()
    size = np.array(room.size, float)
    geo_args = (size, room.openings, room.groups, room.gstart, room.ptype, room.inv, room.half, room.bevel)
    surf, opening, part, geo = primary(c, width, height, *geo_args)
    mat_mean = _mean_albedo(room.materials)
    plane_albedo = mat_mean[room.plane_mat]
    grid = light_grid(size, room.openings, room.lamps, plane_albedo)
    side = np.sqrt(width * height)
    step = (max(3, round(side / 120)), 2, max(2, round(side / 420)))[quality]
    n_win, n_lamp, n_bounce = ((2, 1, 4), (2, 1, 6), (8, 3, 24))[quality]
    reach, samples, edge_samples = ((2, 1, 4), (2, 1, 4), (3, 4, 9))[quality]
    low = sample_light(
        c,
        surf,
        opening,
        part,
        geo,
        step,
        room.seed,
        n_win,
        n_lamp,
        n_bounce,
        *geo_args,
        room.solid,
        room.mat_of,
        materials,
        mat_mean,
        room.plane_mat,
        plane_albedo,
        room.lamps,
        grid,
    )
    for spacing in (1, 2):
        low = smooth(low, 12.0, spacing)
    albedo, original, lit, spec, cover = shade(
        c,
        surf,
        opening,
        part,
        geo,
        low,
        step,
        reach,
        samples,
        edge_samples,
        room.seed,
        *geo_args,
        room.solid,
        room.mat_of,
        materials,
        room.plane_mat,
        room.sun,
        alt,
    )
    sensor = room.sensor if sensor is None else sensor
    exposure = exposure_of(original + spec, sensor)
    linear = lit + spec
    masks, instances, plane_masks = _masks(room, surf, opening, part)
    return Scene(
        photo=develop(linear, sensor, exposure, room.seed),
        masks=masks,
        instances=instances,
        albedo=albedo,
        shading=lit / np.maximum(albedo, 1e-5),
        highlights=spec,
        linear=linear,
        exposure=exposure,
        camera=cam,
        planes={p: plane_equation(p, room.size) for p in PLANE_NAMES},
        homographies={p: plane_homography(cam, p, room.size) for p in PLANE_NAMES},
        plane_masks=plane_masks,
        depth=geo[..., 0],
        overridden=cover,
    )
