"""Sampling of whole rooms: what kind, what size, what stands where, who photographs it."""

from __future__ import annotations

import numpy as np

from training.scenes.floor_plan import Plan
from training.scenes.furnish import furnish
from training.scenes.scene_spec import Builder, RoomSpec, rotation_z
from training.scenes.sensor import sample_sensor

from . import fittings as ft
from . import materials as mt

Rng = np.random.Generator
KINDS = ("living", "bedroom", "dining", "kitchen", "office", "hall", "empty")


def _windows(b: Builder, plan: Plan, rng: Rng, kind: str, h: float) -> None:
    look = ft.window_look(b, rng)
    n = int(rng.choice([1, 2, 3, 4], p=[0.34, 0.36, 0.2, 0.1])) if rng.random() > 0.06 else 0
    for k in range(max(n, 1)):
        # Some rooms get all their light from behind the photographer.
        walls = [3, 0, 1] if k < n else [2]
        if k >= 1 and rng.random() < 0.3:
            walls = [2]
        wall = int(rng.choice(walls))
        length = plan.length(wall)
        w = rng.uniform(0.7, min(3.2, length * 0.75)) if rng.random() < 0.6 else rng.uniform(0.6, 1.3)
        tall = rng.random() < 0.22
        z0 = 0.04 if tall else rng.uniform(0.35, 1.05)
        z1 = min(h - 0.08, rng.uniform(1.9, 2.5))
        if z1 - z0 < 0.7 or length < w + 0.4:
            continue
        for _ in range(6):
            u = rng.uniform(w / 2 + 0.2, length - w / 2 - 0.2)
            if plan.free_wall(wall, u - w / 2 - 0.2, u + w / 2 + 0.2):
                break
        else:
            continue
        plan.walls[wall].append((u - w / 2 - 0.2, u + w / 2 + 0.2))
        if z0 < 0.3:
            plan.low[wall].append((u - w / 2, u + w / 2))
        ft.window(b, rng, wall, plan.size, u - w / 2, u + w / 2, z0, z1, look)
        if rng.random() < (0.25 if kind == "kitchen" else 0.62):
            ft.curtains(b, rng, wall, plan.size, u - w / 2, u + w / 2, z0, z1, (0.02, length - 0.02))


def _doors(b: Builder, plan: Plan, rng: Rng) -> list[list[tuple[float, float]]]:
    gaps: list[list[tuple[float, float]]] = [[] for _ in range(4)]
    look = ft.door_look(b, rng)
    h = rng.uniform(1.98, min(2.25, plan.size[2] - 0.15))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.4, 0.48, 0.12]))):
        wall = int(rng.choice([0, 1, 3, 3]))
        w = rng.uniform(0.72, 0.98) if rng.random() < 0.85 else rng.uniform(1.3, 1.7)
        for _ in range(6):
            u = rng.uniform(w / 2 + 0.15, plan.length(wall) - w / 2 - 0.15) if plan.length(wall) > w + 0.4 else 0
            e = w / 2 + look["casing"]
            r = plan.footprint(wall, u, w / 2, 0.8)
            if u and plan.free_wall(wall, u - e, u + e) and plan.free_floor(r, 0.3):
                ft.door(b, rng, wall, plan.size, u, w, h, look)
                for t in (plan.walls, plan.low):
                    t[wall].append((u - e, u + e))
                plan.floor.append(r)
                gaps[wall].append((u - e, u + e))
                break
    return gaps


def _pictures(b: Builder, plan: Plan, rng: Rng) -> None:
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.3, 0.2, 0.15]))):
        wall = int(rng.choice([0, 1, 3, 3]))
        w, h = rng.uniform(0.25, 1.2), rng.uniform(0.3, 0.95)
        n = int(rng.choice([1, 1, 2, 3]))
        if n > 1:
            w, h = min(w, 0.5), min(h, 0.7)
        total = n * w + (n - 1) * 0.08
        if plan.length(wall) < total + 0.3:
            continue
        for _ in range(5):
            u = rng.uniform(total / 2 + 0.1, plan.length(wall) - total / 2 - 0.1)
            if plan.free_wall(wall, u - total / 2, u + total / 2):
                z = rng.uniform(1.4, 1.75)
                for k in range(n):
                    ft.picture(b, rng, wall, plan.size, u + (k - (n - 1) / 2) * (w + 0.08), z, w, h)
                plan.walls[wall].append((u - total / 2, u + total / 2))
                break


def _structure(b: Builder, plan: Plan, rng: Rng, plane_mat: list[int]) -> None:
    """Beams, trays, columns, battens: what makes a box look like a house."""
    W, D, H = plan.size
    p = rng.random()
    if p < 0.10:
        m = b.mat(mt.wood(rng)) if rng.random() < 0.6 else b.mat(b.materials[plane_mat[5]].copy())
        b.begin("ceiling")
        n = int(rng.integers(2, 5))
        for i in range(n):
            b.box((W / 2, D * (i + 0.5) / n, H - 0.07), (W / 2, rng.uniform(0.05, 0.1), 0.08), m, 0.01)
    elif p < 0.26:
        m = b.mat(b.materials[plane_mat[5]].copy())
        b.begin("ceiling")
        e, t = rng.uniform(0.25, 0.6), rng.uniform(0.05, 0.12)
        for s in (0, 1):
            b.box((W / 2, e / 2 if s == 0 else D - e / 2, H - t / 2), (W / 2, e / 2, t / 2), m, 0.003)
            b.box((e / 2 if s == 0 else W - e / 2, D / 2, H - t / 2), (e / 2, D / 2, t / 2), m, 0.003)
    if rng.random() < 0.10:
        s = int(rng.random() < 0.5)
        m = b.mat(b.materials[plane_mat[3]].copy())
        b.begin("wall")
        w = rng.uniform(0.15, 0.5)
        b.box((w if s == 0 else W - w, D - w, H / 2), (w, w, H / 2), m, rot=rotation_z(float(rng.choice([0, np.pi / 4]))))
        plan.floor.append((0, 2 * w, D - 2 * w, D) if s == 0 else (W - 2 * w, W, D - 2 * w, D))
        plan.walls[3].append((0, 2 * w) if s == 0 else (W - 2 * w, W))
        plan.walls[s].append((D - 2 * w, D))
    if rng.random() < 0.12:
        # A relief of battens on one wall, in the wall's own paint or its own.
        wall = int(rng.choice([0, 1, 3]))
        if not plan.walls[wall]:
            L = plan.length(wall)
            x, y, yaw = ft.wall_frame(wall, plan.size, L / 2)
            m = b.mat(b.materials[plane_mat[wall]].copy())
            b.begin("wall", x, y, 0, yaw)
            for _ in range(int(rng.integers(4, 12))):
                a = rng.uniform(-1.0, 1.0) if rng.random() < 0.6 else rng.choice([0, np.pi / 2])
                ca, sa = np.cos(a), np.sin(a)
                rot = np.array([[ca, 0, -sa], [0, 1, 0], [sa, 0, ca]])
                ln = rng.uniform(0.3, min(1.0, L / 3))
                cx, cz = rng.uniform(-L / 2 + ln, L / 2 - ln), rng.uniform(1.0, max(H - 0.5, 1.1))
                ln = min(ln, (H - cz) * 0.95 / max(abs(sa), 0.3))
                b.box((cx, 0.008, cz), (ln, 0.012, 0.02), m, 0.004, rot=rot)


def sample_room(seed: int) -> RoomSpec:
    """A room, fully determined by ``seed``."""
    rng = np.random.default_rng([seed, 20261121])
    kind = str(rng.choice(KINDS, p=[0.28, 0.25, 0.12, 0.13, 0.08, 0.06, 0.08]))
    W, D, H = rng.uniform(2.5, 5.2), rng.uniform(2.8, 5.6), rng.uniform(2.3, 3.0)
    if kind == "hall":
        W = rng.uniform(1.6, 3.0)
    size = (float(W), float(D), float(H))
    # Photographer: near the wall behind, in a corner, or frontal.
    style = rng.random()
    ey = rng.uniform(0.1, min(0.9, D * 0.25))
    if style < 0.45:
        side = rng.choice([-1, 1])
        ex = W / 2 + side * rng.uniform(0.2, 0.42) * W
        yaw = side * rng.uniform(0.25, 0.85)
    else:
        ex = W / 2 + rng.uniform(-0.25, 0.25) * W
        yaw = rng.normal(0, 0.12) if style < 0.8 else rng.uniform(-0.5, 0.5)
    ez = rng.uniform(0.95, 1.65)
    hfov = np.deg2rad(rng.uniform(54, 92))
    aspect = float(rng.choice([1.5, 4 / 3, 1.0, 0.75, 2 / 3, 16 / 9], p=[0.42, 0.22, 0.08, 0.1, 0.08, 0.1]))
    focal = 0.5 * np.sqrt(aspect) / np.tan(hfov / 2) if aspect >= 1 else 0.5 / np.tan(hfov / 2)
    pitch, shift = (rng.normal(-0.06, 0.09), 0.0) if rng.random() < 0.6 else (0.0, rng.uniform(-0.12, 0.06))
    b = Builder()
    plan = Plan(size, (ex, ey))
    base = mt.wall(rng, plain=0.78)
    plane_mat = [b.mat(base.copy()) for _ in range(4)]
    if rng.random() < 0.35:
        plane_mat[int(rng.choice([0, 1, 3, 3]))] = b.mat(mt.wall(rng, mt.paint_colour(rng, 0.1), plain=0.5))
    if kind == "kitchen" and rng.random() < 0.5:
        plane_mat[3] = b.mat(mt.backsplash(rng))
    plane_mat.append(b.mat(mt.floor(rng, kind)))
    plane_mat.append(b.mat(mt.ceiling(rng)))
    gaps = _doors(b, plan, rng)
    _windows(b, plan, rng, kind, H)
    night = rng.random() < 0.10
    on = float(rng.choice([0.0, rng.uniform(0.4, 1.5)], p=[0.45, 0.55])) if not night else rng.uniform(1.2, 2.2)
    _structure(b, plan, rng, plane_mat)
    furnish(b, plan, rng, kind, on)
    _pictures(b, plan, rng)
    if rng.random() < 0.75:
        tall = [[(o[1], o[2]) for o in b.openings if int(o[0]) == w and o[3] < 0.12] for w in range(4)]
        ft.mouldings(b, rng, size, [g + t for g, t in zip(gaps, tall, strict=True)], rng.random() < 0.3, rng.uniform(0.06, 0.16))
    warm = np.array([1.0, rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.9)])
    if rng.random() < 0.35:
        for fx in np.linspace(0.2, 0.8, int(rng.integers(2, 4))) * W:
            for fy in np.linspace(0.25, 0.85, 2) * D:
                ft.downlight(b, fx, fy, H, 0.9 * on, warm)
    elif rng.random() < 0.4:
        ft.lamp(b, rng, str(rng.choice(["pendant", "ceiling"])), W / 2 + rng.normal(0, 0.3), D * rng.uniform(0.4, 0.7), H, on)
    if rng.random() < 0.06 and kind != "empty":
        ft.rug(b, rng, rng.uniform(0.8, W - 0.8), rng.uniform(1.2, D - 0.8), rng.uniform(-0.2, 0.2), 0.8, 0.5)
    arrays = b.arrays()
    if night:
        arrays["openings"][:, 11] *= 0.04
        arrays["openings"][:, 13:16] *= (0.5, 0.7, 1.2)
    sun = np.zeros(6)
    if not night and rng.random() < 0.35:
        az, el = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0)
        power = rng.uniform(1.5, 6.0)
        sun[:] = [np.cos(az) * np.cos(el), np.sin(az) * np.cos(el), np.sin(el), power, power * 0.9, power * 0.72]
    fill = rng.uniform(0.02, 0.12)
    arrays["lamps"] = np.concatenate([arrays["lamps"], [[W / 2, 0.3, H * 0.6, 0.5, fill, fill, fill, 0.0]]])
    return RoomSpec(
        seed=seed,
        kind=kind,
        size=size,
        plane_mat=np.array(plane_mat, np.int64),
        sun=sun,
        eye=(float(ex), float(ey), float(ez)),
        yaw=float(yaw),
        pitch=float(pitch),
        roll=float(rng.normal(0, 0.006)),
        focal=float(focal),
        shift=float(shift),
        aspect=aspect,
        sensor=sample_sensor(rng),
        **arrays,
    )
