"""Arranges furniture in a room by the kind of room it is."""

from __future__ import annotations

import numpy as np

from training.scenes.floor_plan import Plan, against_wall
from training.scenes.scene_spec import Builder

from . import fittings as ft
from . import furniture as fu
from . import materials as mt
from . import textures as tx

Rng = np.random.Generator


def furnish(b: Builder, plan: Plan, rng: Rng, kind: str, on: float) -> None:
    W, D, H = plan.size
    front, walls = [3, 3, 0, 1], [0, 1, 3]
    if kind in ("living", "empty") and (kind == "living" or rng.random() < 0.3):
        _living(b, plan, rng)
    if kind == "bedroom":
        spot = against_wall(plan, rng, 1.05, 2.15, front, tries=24)
        if spot:
            x, y, yaw = ft.wall_frame(spot[0], plan.size, spot[1])
            hw, _ = fu.bed(b, rng, x, y, yaw)
            c, s = np.cos(yaw), np.sin(yaw)
            for side in (-1, 1):
                lx, ly = side * (hw + 0.3), 0.03
                px, py = x + c * lx - s * ly, y + s * lx + c * ly
                r = (px - 0.22, px + 0.22, py - 0.22, py + 0.22)
                if 0.2 < px < W - 0.2 and 0 <= py <= D and rng.random() < 0.75:
                    fu.table(b, rng, px, py, yaw, "side")
                    plan.floor.append(r)
                    if rng.random() < 0.5:
                        lx2, ly2 = 0.0, 0.2
                        ft.lamp(b, rng, "table", px + c * lx2 - s * ly2, py + s * lx2 + c * ly2, 0.5, on * rng.choice([0, 0.5]))
            if rng.random() < 0.55:
                ly = rng.uniform(1.2, 2.0)
                ft.rug(b, rng, x - s * ly, y + c * ly, yaw, rng.uniform(1.0, 1.5), rng.uniform(0.6, 1.1))
    if kind in ("dining", "kitchen") or (kind == "living" and rng.random() < 0.2):
        _dining(b, plan, rng, on)
    if kind == "kitchen":
        _kitchen(b, plan, rng)
    if kind == "office":
        spot = against_wall(plan, rng, 0.8, 0.75, walls)
        if spot:
            x, y, yaw = ft.wall_frame(spot[0], plan.size, spot[1])
            _, d = fu.table(b, rng, x, y, yaw, "desk")
            c, s = np.cos(yaw), np.sin(yaw)
            off = d + 0.45
            px, py = x - s * off, y + c * off
            if np.hypot(px - plan.eye[0], py - plan.eye[1]) > 0.8:
                fu.chair(b, rng, px, py, yaw + np.pi + rng.normal(0, 0.3))
                plan.floor.append((px - 0.3, px + 0.3, py - 0.3, py + 0.3))
    if kind in ("living", "office", "hall") and rng.random() < 0.2:
        px, py = rng.uniform(0.5, W - 0.5), rng.uniform(1.0, D - 0.5)
        if plan.free_floor((px - 0.3, px + 0.3, py - 0.3, py + 0.3), 1.0):
            fu.chair(b, rng, px, py, rng.uniform(0, 6.28))
            plan.floor.append((px - 0.3, px + 0.3, py - 0.3, py + 0.3))
    # Cabinets, shelves, wardrobes and consoles along the walls.
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.2, 0.4, 0.25, 0.15])) if kind != "empty" else int(rng.random() < 0.25)):
        w = rng.uniform(0.6, 2.0)
        tall = rng.random() < 0.4
        h = min(rng.uniform(1.7, 2.4), H - 0.05) if tall else rng.uniform(0.45, 1.1)
        d = rng.uniform(0.28, 0.6)
        spot = against_wall(plan, rng, w / 2, d, walls, low=not tall)
        if spot:
            x, y, yaw = ft.wall_frame(spot[0], plan.size, spot[1])
            if not tall and rng.random() < 0.2:
                fu.table(b, rng, x, y, yaw, "console")
                continue
            fu.cabinet(b, rng, x, y, yaw, w, d, h)
            if not tall:
                c, s = np.cos(yaw), np.sin(yaw)
                for _ in range(int(rng.integers(0, 4))):
                    fu.decor(b, rng, rng.uniform(-w / 2 + 0.15, w / 2 - 0.15), d / 2, h)
                if rng.random() < 0.2:
                    ft.lamp(b, rng, "table", x - s * d / 2, y + c * d / 2, h, on * rng.choice([0, 0.5]))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.38, 0.17])) if kind != "empty" else int(rng.random() < 0.2)):
        px, py = (rng.choice([0.35, W - 0.35]), rng.uniform(0.8, D - 0.35)) if rng.random() < 0.7 else (rng.uniform(0.4, W - 0.4), D - 0.35)
        if plan.free_floor((px - 0.28, px + 0.28, py - 0.28, py + 0.28), 1.0):
            ft.plant(b, rng, px, py, rng.uniform(0.8, 1.25))
            plan.floor.append((px - 0.28, px + 0.28, py - 0.28, py + 0.28))
    if rng.random() < 0.3 and kind != "empty":
        px, py = rng.choice([0.3, W - 0.3]), rng.uniform(1.0, D - 0.3)
        if plan.free_floor((px - 0.2, px + 0.2, py - 0.2, py + 0.2), 1.0):
            ft.lamp(b, rng, "floor", px, py, 0, on * rng.choice([0, 0.8]))


def _living(b: Builder, plan: Plan, rng: Rng) -> None:
    spot = against_wall(plan, rng, 1.25, 1.0, [3, 3, 0, 1], tries=24)
    if not spot:
        return
    wall, u = spot
    x, y, yaw = ft.wall_frame(wall, plan.size, u)
    off = rng.choice([0.03, rng.uniform(0.05, 0.5)])
    c, s = np.cos(yaw), np.sin(yaw)
    _, d = fu.sofa(b, rng, x - s * off, y + c * off, yaw + rng.normal(0, 0.03))
    d += off
    dist = d + rng.uniform(0.3, 0.5)
    px, py = x - s * dist, y + c * dist
    if rng.random() < 0.62:
        ry = d + rng.uniform(0.2, 0.7)
        ft.rug(b, rng, x - s * ry, y + c * ry, yaw, rng.uniform(1.0, 1.6), rng.uniform(0.7, 1.1))
    if rng.random() < 0.7 and np.hypot(px - s * 0.3 - plan.eye[0], py + c * 0.3 - plan.eye[1]) > 0.9:
        fu.table(b, rng, px, py, yaw, "coffee")
    for side in (-1, 1):
        if rng.random() < 0.3:
            lx, ly = side * rng.uniform(1.5, 2.0), rng.uniform(0.9, 1.7)
            ax, ay = x + c * lx - s * ly, y + s * lx + c * ly
            r = (ax - 0.45, ax + 0.45, ay - 0.45, ay + 0.45)
            if plan.free_floor(r, 0.8):
                plan.floor.append(r)
                turn = yaw + side * rng.uniform(0.6, 1.4)
                cc, ss = np.cos(turn), np.sin(turn)
                fu.sofa(b, rng, ax + ss * 0.42, ay - cc * 0.42, turn, wide=rng.uniform(0.75, 0.95))
    plan.floor.append((min(px, x) - 0.3, max(px, x) + 0.3, min(py, y) - 0.3, max(py, y) + 0.3))


def _dining(b: Builder, plan: Plan, rng: Rng, on: float) -> None:
    W, D, H = plan.size
    for _ in range(12):
        px, py = rng.uniform(0.9, max(W - 0.9, 0.95)), rng.uniform(1.4, max(D - 1.1, 1.5))
        yaw = float(rng.choice([0, np.pi / 2])) + rng.normal(0, 0.06)
        r = (px - 0.95, px + 0.95, py - 0.95, py + 0.95)
        if not plan.free_floor(r, 0.5):
            continue
        plan.floor.append(r)
        c, s = np.cos(yaw), np.sin(yaw)
        hw, d = fu.table(b, rng, px + s * 0.42, py - c * 0.42, yaw, "dining")
        mats, style = None, int(rng.integers(0, 4))
        for side in (-1, 1):
            for k in range(int(rng.choice([1, 2, 2, 3]))):
                lx = (k - 0.5) * 0.55 if hw > 0.6 else 0.0
                ly = side * (d / 2 + rng.uniform(0.05, 0.3))
                qx, qy = px + c * lx - s * ly, py + s * lx + c * ly
                if np.hypot(qx - plan.eye[0], qy - plan.eye[1]) < 0.8 or not (0.3 < qx < W - 0.3 and 0.3 < qy < D - 0.3):
                    continue
                mats = fu.chair(b, rng, qx, qy, yaw + (np.pi if side > 0 else 0) + rng.normal(0, 0.15), mats, style)
        if rng.random() < 0.5:
            ft.lamp(b, rng, "pendant", px, py, H, on * rng.choice([0, 0.8]))
        if rng.random() < 0.3:
            ft.rug(b, rng, px, py, yaw, rng.uniform(1.1, 1.6), rng.uniform(0.9, 1.3))
        return


def _kitchen(b: Builder, plan: Plan, rng: Rng) -> None:
    wall = int(rng.choice([3, 3, 0, 1]))
    length = plan.length(wall)
    lo = rng.uniform(0.02, 0.3)
    hi = length - rng.uniform(0.02, 0.5)
    for a, e in sorted(plan.low[wall]):
        if e - a > 0.6 and (a + e) / 2 < length / 2:
            lo = max(lo, e)
        elif e - a > 0.6:
            hi = min(hi, a)
    if hi - lo < 1.0:
        return
    state = rng.bit_generator.state
    x, y, yaw = ft.wall_frame(wall, plan.size, (lo + hi) / 2)
    fu.cabinet(b, rng, x, y, yaw, hi - lo, 0.58, 0.87, 0.0, 0.0, counter=True)
    plan.floor.append(plan.footprint(wall, (lo + hi) / 2, (hi - lo) / 2, 0.62))
    plan.low[wall].append((lo, hi))
    b.begin("other", x, y, 0, yaw)
    steel = b.mat(tx.pack(tx.PAINT, mt.lin(str(rng.choice(("8f9092", "2a2b2d", "d8d8d6")))), gloss=1.5, rough=0.12))
    black = b.mat(tx.pack(tx.PAINT, mt.lin("151516"), gloss=1.5, rough=0.03))
    cx = rng.uniform(-(hi - lo) / 2 + 0.4, (hi - lo) / 2 - 0.4)
    b.box((cx, 0.31, 0.435), (0.3, 0.305, 0.434), steel, 0.004)
    b.box((cx, 0.31, 0.905), (0.29, 0.28, 0.006), black)
    b.box((cx, 0.62, 0.42), (0.24, 0.003, 0.22), black)
    for _ in range(int(rng.integers(1, 5))):
        fu.decor(b, rng, rng.uniform(-(hi - lo) / 2 + 0.15, (hi - lo) / 2 - 0.15), 0.25, 0.91)
    # Wall units or shelves above, where there is no window.
    u = lo
    while u < hi - 0.5:
        w = rng.uniform(0.5, 1.4)
        if u + w < hi and plan.free_wall(wall, u, u + w) and rng.random() < 0.7:
            x, y, yaw = ft.wall_frame(wall, plan.size, u + w / 2)
            rng2 = np.random.default_rng(state["state"]["state"] % (1 << 32))
            if rng.random() < 0.75:
                fu.cabinet(b, rng2, x, y, yaw, w, 0.34, rng.uniform(0.6, 0.85), 1.42, 0.1)
            else:
                b.begin("cabinet", x, y, 0, yaw)
                m = b.mat(mt.wood(rng))
                for zz in (1.45, 1.8)[: int(rng.integers(1, 3))]:
                    b.box((0, 0.12, zz), (w / 2, 0.12, 0.015), m)
                    for _ in range(int(rng.integers(0, 4))):
                        fu.decor(b, rng, rng.uniform(-w / 2 + 0.1, w / 2 - 0.1), 0.12, zz + 0.015)
            plan.walls[wall].append((u, u + w))
        u += w + rng.choice([0.0, 0.1])
