"""Sampling of whole rooms: what kind, what size, what stands where, who photographs it."""

from __future__ import annotations

import numpy as np

from . import fittings as ft
from . import furniture as fu
from . import materials as mt
from . import textures as tx
from .sensor import sample_sensor
from .spec import Builder, RoomSpec

Rng = np.random.Generator
KINDS = ("living", "bedroom", "dining", "kitchen", "office", "hall", "empty")


class Plan:
    """Keeps track of free floor and free wall."""

    def __init__(self, size, eye) -> None:
        self.size, self.eye = size, np.array(eye[:2])
        self.floor: list[tuple[float, float, float, float]] = []
        self.walls: list[list[tuple[float, float]]] = [[] for _ in range(4)]
        self.low: list[list[tuple[float, float]]] = [[] for _ in range(4)]

    def length(self, wall: int) -> float:
        return self.size[1] if wall < 2 else self.size[0]

    def free_wall(self, wall: int, lo: float, hi: float, taken=None) -> bool:
        """Whether the stretch [lo, hi] of a wall is free."""
        if lo < 0.02 or hi > self.length(wall) - 0.02:
            return False
        return all(hi < a or lo > e for a, e in (self.walls[wall] if taken is None else taken[wall]))

    def footprint(self, wall: int, u: float, hw: float, d: float) -> tuple[float, float, float, float]:
        """Floor rectangle (x0, x1, y0, y1) of a piece of half width hw, depth d with its back at a wall."""
        w, dd = self.size[0], self.size[1]
        return {0: (0, d, u - hw, u + hw), 1: (w - d, w, u - hw, u + hw), 2: (u - hw, u + hw, 0, d),
                3: (u - hw, u + hw, dd - d, dd)}[wall]

    def free_floor(self, r, clear: float = 0.6) -> bool:
        """Whether a floor rectangle is free and not in the photographer's way."""
        if r[0] < -0.01 or r[1] > self.size[0] + 0.01 or r[2] < -0.01 or r[3] > self.size[1] + 0.01:
            return False
        near = np.array([np.clip(self.eye[0], r[0], r[1]), np.clip(self.eye[1], r[2], r[3])])
        if np.linalg.norm(near - self.eye) < clear:
            return False
        return all(r[1] < f[0] or r[0] > f[1] or r[3] < f[2] or r[2] > f[3] for f in self.floor)


def _against_wall(plan: Plan, rng: Rng, hw: float, d: float, walls, low: bool = True, tries: int = 14):
    """Find (wall, u) where a piece fits; reserves it. ``low`` pieces may stand under windows."""
    for _ in range(tries):
        wall = int(rng.choice(walls))
        if plan.length(wall) < 2 * hw + 0.1:
            continue
        u = rng.uniform(hw + 0.03, plan.length(wall) - hw - 0.03)
        taken = plan.low if low else plan.walls
        r = plan.footprint(wall, u, hw, d)
        if plan.free_wall(wall, u - hw, u + hw, taken) and plan.free_floor(r):
            plan.floor.append(r)
            plan.low[wall].append((u - hw, u + hw))
            plan.walls[wall].append((u - hw, u + hw)) if not low else None
            return wall, u
    return None


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


def _furnish(b: Builder, plan: Plan, rng: Rng, kind: str, on: float) -> None:
    W, D, H = plan.size
    front, walls = [3, 3, 0, 1], [0, 1, 3]
    if kind in ("living", "empty") and (kind == "living" or rng.random() < 0.3):
        _living(b, plan, rng)
    if kind == "bedroom":
        spot = _against_wall(plan, rng, 1.05, 2.15, front, tries=24)
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
        spot = _against_wall(plan, rng, 0.8, 0.75, walls)
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
        spot = _against_wall(plan, rng, w / 2, d, walls, low=not tall)
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
    spot = _against_wall(plan, rng, 1.25, 1.0, [3, 3, 0, 1], tries=24)
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
                for zz in (1.45, 1.8)[:int(rng.integers(1, 3))]:
                    b.box((0, 0.12, zz), (w / 2, 0.12, 0.015), m)
                    for _ in range(int(rng.integers(0, 4))):
                        fu.decor(b, rng, rng.uniform(-w / 2 + 0.1, w / 2 - 0.1), 0.12, zz + 0.015)
            plan.walls[wall].append((u, u + w))
        u += w + rng.choice([0.0, 0.1])


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
        b.box((w if s == 0 else W - w, D - w, H / 2), (w, w, H / 2), m, rot=ft.rotation_z(float(rng.choice([0, np.pi / 4]))))
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
    _furnish(b, plan, rng, kind, on)
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
    return RoomSpec(seed=seed, kind=kind, size=size, plane_mat=np.array(plane_mat, np.int64), sun=sun,
                    eye=(float(ex), float(ey), float(ez)), yaw=float(yaw), pitch=float(pitch), roll=float(rng.normal(0, 0.006)),
                    focal=float(focal), shift=float(shift), aspect=aspect, sensor=sample_sensor(rng), **arrays)
