"""Rendered rooms: repeatable, exact, and re-renderable with another albedo."""

import numpy as np
import pytest

from training import scenes
from training.arrays import Bools

SIZE = 96
SEEDS = (10_900_001, 10_900_002, 10_900_003)


@pytest.fixture(scope="module", params=SEEDS)
def room(request: pytest.FixtureRequest) -> scenes.RoomSpec:
    return scenes.sample_room(request.param)


@pytest.fixture(scope="module")
def scene(room: scenes.RoomSpec) -> scenes.Scene:
    return scenes.render(room, SIZE, SIZE, aspect=room.aspect, sensor=scenes.neutral())


def grow(mask: Bools) -> Bools:
    """The mask and all its neighbours: where an anti-aliased edge may reach."""
    p = np.pad(mask, 1)
    h, w = mask.shape
    grown: Bools = np.any([p[j : j + h, i : i + w] for j in range(3) for i in range(3)], axis=0)
    return grown


def test_same_seed_same_picture(room: scenes.RoomSpec) -> None:
    again = scenes.sample_room(room.seed)
    a, b = scenes.render(room, 64, 48), scenes.render(again, 64, 48)
    assert np.array_equal(a.photo, b.photo)
    assert a.photo.dtype == np.uint8 and a.photo.shape == (48, 64, 3)
    other = scenes.render(scenes.sample_room(room.seed + 100), 64, 48)
    assert not np.array_equal(a.photo, other.photo)


def test_masks_are_disjoint_and_instances_fill_them(scene: scenes.Scene) -> None:
    total = np.sum([m.astype(int) for m in scene.masks.values()], axis=0)
    assert total.max() <= 1
    for name, mask in scene.masks.items():
        parts = [m for n, m in scene.instances if n == name]
        assert np.array_equal(mask, np.any(parts, axis=0) if parts else np.zeros_like(mask))
        assert sum(p.sum() for p in parts) == mask.sum()


def test_light_adds_up(scene: scenes.Scene) -> None:
    back = scene.albedo * scene.shading + scene.highlights
    assert np.allclose(back, scene.linear, atol=1e-5)
    assert scene.linear.min() > -1e-4 and np.isfinite(scene.linear).all()
    encoded = np.rint(scenes.srgb_encode(scene.linear * scene.exposure) * 255)
    assert np.abs(encoded - scene.photo).max() <= 1


def test_paint_changes_the_wall_only(room: scenes.RoomSpec, scene: scenes.Scene) -> None:
    paint = (0.11, 0.21, 0.26)
    edited = scenes.render(room, SIZE, SIZE, {"wall": paint}, aspect=room.aspect, sensor=scenes.neutral())
    wall = scene.masks["wall"]
    outside = edited.overridden == 0
    assert edited.exposure == scene.exposure
    assert not (outside & wall & (scene.albedo.sum(2) > 0)).any()
    assert np.array_equal(edited.photo[outside], scene.photo[outside])
    # A mask belongs to the pixel's centre; pixels without an edge nearby are of one material.
    inner = edited.overridden > 0.999
    assert (inner[~grow(~wall)]).all()
    if inner.any():
        assert np.allclose(edited.albedo[inner], paint, atol=1e-6)
        # Where two lit walls share a pixel, the effective shading is weighted by their albedos.
        close = np.isclose(edited.shading[inner], scene.shading[inner], rtol=1e-3, atol=1e-5)
        assert close.mean() > 0.97
    assert all(np.array_equal(edited.masks[c], scene.masks[c]) for c in scene.masks)


def test_a_material_replaces_the_floor(room: scenes.RoomSpec, scene: scenes.Scene) -> None:
    planks = scenes.pack(scenes.PLANKS, (0.3, 0.2, 0.1), (0.15, 0.1, 0.05), params=(0.12, 1.2, 0.001, 0.5, 1.0))
    edited = scenes.render(room, SIZE, SIZE, {"floor": planks}, aspect=room.aspect, sensor=scenes.neutral())
    floor = scene.masks["floor"]
    assert np.array_equal(edited.photo[edited.overridden == 0], scene.photo[edited.overridden == 0])
    if floor.sum() > 50:
        assert not np.array_equal(edited.photo[floor], scene.photo[floor])


def test_unknown_concept_is_named(room: scenes.RoomSpec) -> None:
    with pytest.raises(ValueError, match="spaceship"):
        scenes.render(room, 32, 32, {"spaceship": (1, 1, 1)})


def test_homographies_agree_with_masks_and_depth(room: scenes.RoomSpec, scene: scenes.Scene) -> None:
    for i, (name, mask) in enumerate(scene.plane_masks.items()):
        ys, xs = np.nonzero(mask)
        if len(ys) < 20:
            continue
        uv = np.linalg.inv(scene.homographies[name]) @ np.stack([xs + 0.5, ys + 0.5, np.ones(len(xs))])
        u, v = uv[:2] / uv[2]
        extent = [(1, 2), (1, 2), (0, 2), (0, 2), (0, 1), (0, 1)][i]
        for value, axis in ((u, extent[0]), (v, extent[1])):
            assert value.min() > -0.01 and value.max() < room.size[axis] + 0.01
        fixed = 3 - sum(extent)
        world = np.zeros((len(u), 3))
        world[:, extent[0]], world[:, extent[1]] = u, v
        world[:, fixed] = room.size[fixed] if name in ("wall_x1", "wall_y1", "ceiling") else 0
        assert np.allclose(world @ scene.planes[name][:3] + scene.planes[name][3], 0, atol=1e-6)
        distance = np.linalg.norm(world - np.array(scene.camera.position), axis=1)
        assert np.allclose(distance, scene.depth[ys, xs], rtol=2e-3)
        assert np.allclose(scene.camera.project(world), np.stack([xs + 0.5, ys + 0.5], 1), atol=1e-3)


def test_rooms_show_every_concept() -> None:
    seen = set()
    for seed in range(10_910_000, 10_910_060):
        room = scenes.sample_room(seed)
        seen |= {scenes.CONCEPTS[c] for c in room.concept_of}
        seen |= {"floor", "wall", "ceiling"} | ({"window"} if len(room.openings) else set())
    assert seen >= set(scenes.CONCEPTS) - {"other"}
