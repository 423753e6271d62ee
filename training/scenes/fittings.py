"""What hangs on or stands at walls and ceilings: windows, doors, curtains, pictures, mouldings, lamps, plants, rugs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from training.arrays import Floats
from training.scenes.openings import O_COLS
from training.scenes.scene_spec import Builder, rotation_x, rotation_z

from . import materials as mt
from . import textures as tx

Rng = np.random.Generator
# What the windows, or the doors, of one room have in common: numbers of materials, sizes in metres, colours.
Look: TypeAlias = dict[str, Any]


def wall_frame(wall: int, size: Sequence[float], u: float) -> tuple[float, float, float]:
    """(x, y, yaw) of a frame at ``u`` metres along a wall whose +y points into the room."""
    if wall == 0:
        return 0.0, u, -np.pi / 2
    if wall == 1:
        return size[0], u, np.pi / 2
    if wall == 2:
        return u, 0.0, 0.0
    return u, size[1], np.pi


def window(b: Builder, rng: Rng, wall: int, size: Sequence[float], u0: float, u1: float, z0: float, z1: float, look: Look) -> None:
    """Opening with reveal, frame, muntins and often a casing and sill. ``look`` is shared by the room's windows."""
    x, y, yaw = wall_frame(wall, size, (u0 + u1) / 2)
    b.begin("window", x, y, 0, yaw)
    row = np.zeros(O_COLS)
    row[:17] = [
        wall,
        u0,
        u1,
        z0,
        z1,
        look["depth"],
        look["frame"],
        max(1, round((u1 - u0) / look["pane_w"])),
        max(1, round((z1 - z0) / look["pane_h"])),
        look["style"],
        look["seed"],
        look["sky"],
        look["horizon"],
        *look["tint"],
        0,
    ]
    row[17] = look["mat"]
    b.openings.append(row)
    b.window_instance.append(b.n_instances - 1)
    hw, m = (u1 - u0) / 2, look["casing_mat"]
    c = look["casing"]
    if c > 0:
        for s in (-1, 1):
            b.box((s * (hw + c / 2), 0.01, (z0 + z1) / 2), (c / 2, 0.012, (z1 - z0) / 2 + c), m, 0.004)
        b.box((0, 0.011, z1 + c / 2), (hw + c, 0.013, c / 2), m, 0.004)
        if z0 > 0.1:
            b.box((0, 0.011, z0 - c / 2), (hw + c, 0.013, c / 2), m, 0.004)
    if z0 > 0.2 and rng.random() < 0.6:
        b.box((0, 0.04, z0 - 0.015), (hw + c + 0.04, 0.06, 0.018), m, 0.005)


def window_look(b: Builder, rng: Rng) -> Look:
    """Properties shared by the windows of one room."""
    frame = mt.lacquer(rng, 0.65) if rng.random() < 0.75 else mt.wood(rng)
    mat = b.mat(frame)
    b.mat(tx.pack(tx.PAINT, mt.paint_colour(rng, 0.85)))  # The reveal: always the row after the frame.
    big = rng.random() < 0.45
    warm = rng.normal(0, 0.05)
    return {
        "depth": rng.uniform(0.06, 0.3),
        "frame": rng.uniform(0.03, 0.075),
        "mat": mat,
        "pane_w": 9.0 if rng.random() < 0.2 else rng.uniform(0.6, 1.3) if big else rng.uniform(0.28, 0.5),
        "pane_h": 9.0 if big and rng.random() < 0.6 else rng.uniform(0.35, 1.2),
        "style": int(rng.choice([0, 1, 1, 2, 3])),
        "seed": int(rng.integers(100000)),
        "sky": float(np.exp(rng.normal(1.5, 0.5))),
        "horizon": rng.uniform(-0.25, 0.12),
        "tint": (1 + warm - 0.03, 1.0, 1.03 - warm),
        "casing": float(rng.choice([0.0, rng.uniform(0.04, 0.13)], p=[0.35, 0.65])),
        "casing_mat": b.mat(frame if rng.random() < 0.7 else mt.lacquer(rng, 0.8)),
    }


def curtains(
    b: Builder, rng: Rng, wall: int, size: Sequence[float], u0: float, u1: float, z0: float, z1: float, room: tuple[float, float]
) -> None:
    """Pair of curtains, one curtain, a roman shade or a blind in front of a window; ``room`` bounds u on the wall."""
    x, y, yaw = wall_frame(wall, size, (u0 + u1) / 2)
    hw = (u1 - u0) / 2
    flip = wall in (0, 3)  # In these frames +x runs against the wall's u axis.
    lo, hi = room[0] - (u0 + u1) / 2, room[1] - (u0 + u1) / 2
    if flip:
        lo, hi = -hi, -lo
    p = rng.random()
    if p < 0.2:
        b.begin("curtain", x, y, 0, yaw)
        row = mt.curtain(rng, rng.random() < 0.4)
        m = b.mat(mt.fabric(rng, 0.4) if rng.random() < 0.6 else row)
        drop = rng.uniform(0.15, 0.75) * (z1 - z0)
        n = int(rng.integers(1, 6))
        for i in range(n):
            h = drop / n
            b.box((0, 0.03 + 0.006 * (i % 2), z1 + 0.05 - h * (i + 0.5)), (hw + 0.04, 0.016, h / 2 + 0.004), m, 0.012, solid=0.8)
        return
    full = rng.random() < 0.75
    top = min(z1 + rng.uniform(0.06, 0.35), size[2] - 0.02) if rng.random() < 0.75 else size[2] - 0.01
    bottom = rng.uniform(0.0, 0.05) if full else max(z0 - rng.uniform(0.02, 0.25), 0.02)
    sheer = rng.random() < 0.3
    m = b.mat(mt.curtain(rng, sheer))
    out = rng.uniform(0.08, 0.16)
    solid = 0.55 if sheer else 0.97
    spread = rng.uniform(0.05, 0.4)
    sides = [-1, 1] if rng.random() < 0.85 else [int(rng.choice([-1, 1]))]
    closed = rng.random() < 0.12
    for s in sides:
        w = hw * rng.uniform(0.9, 1.02) if closed else rng.uniform(0.2, 0.3 + 0.35 * hw)
        a, c = (s * (hw + spread), s * (hw + spread - w)) if not closed else (s * (hw + spread), 0.0)
        a, c = max(min(a, c), lo), min(max(a, c), hi)
        if c - a < 0.08:
            continue
        b.begin("curtain", x, y, 0, yaw)
        # Slices of slightly different depth give the outline and the shadow real folds.
        n = max(2, int((c - a) / 0.09))
        step = (c - a) / n
        for i in range(n):
            zz = 0.02 * np.sin(i * 2.1 + s)
            b.box((a + step * (i + 0.5), out + zz, (top + bottom) / 2), (step / 2 + 0.004, 0.03, (top - bottom) / 2), m, 0.03, solid=solid)
    b.begin("curtain", x, y, 0, yaw, same_instance=True)
    rod = b.mat(mt.metal(rng))
    if top < size[2] - 0.05:
        b.box((0, out, top + 0.015), (min(hw + spread + 0.08, hi, -lo), 0.011, 0.011), rod)


def door(b: Builder, rng: Rng, wall: int, size: Sequence[float], u: float, w: float, h: float, look: Look) -> None:
    """Closed door with casing, panels and handle; sometimes glazed, sometimes a pair."""
    x, y, yaw = wall_frame(wall, size, u)
    b.begin("door", x, y, 0, yaw)
    m, f, metal = look["leaf"], look["frame"], look["metal"]
    c, hw = look["casing"], w / 2
    b.box((0, 0.006, h / 2), (hw, 0.008, h / 2), m)
    for s in (-1, 1):
        b.box((s * (hw + c / 2), 0.016, h / 2 + c / 2), (c / 2, 0.02, h / 2 + c / 2), f, 0.006)
    b.box((0, 0.017, h + c / 2), (hw + c, 0.021, c / 2), f, 0.006)
    leaves = 2 if w > 1.15 else 1
    for leaf in range(leaves):
        cx = 0.0 if leaves == 1 else (leaf - 0.5) * hw
        lw = hw / leaves
        style = look["panels"]
        if style > 0:
            rows = ([(0.06, 0.94)], [(0.06, 0.42), (0.5, 0.94)], [(0.05, 0.3), (0.36, 0.62), (0.68, 0.94)])[style - 1]
            cols = look["cols"]
            for a, e in rows:
                for k in range(cols):
                    px = cx + (k - (cols - 1) / 2) * (2 * lw - 0.12) / cols
                    pw = (lw - 0.1) / cols - 0.01
                    glass = look["glazed"] and a > 0.3
                    mm = look["glass"] if glass else m
                    b.box((px, 0.012, h * (a + e) / 2), (pw, 0.008, h * (e - a) / 2), mm, 0.012)
                    if not glass:
                        b.box((px, 0.014, h * (a + e) / 2), (pw - 0.035, 0.01, h * (e - a) / 2 - 0.035), m, 0.01)
        s = look["hand"] if leaves == 1 else (1 if leaf == 0 else -1)
        hx = cx + s * (lw - 0.07)
        b.box((hx, 0.03, 1.0), (0.016, 0.012, 0.05), metal)
        b.box((hx - s * 0.05, 0.06, 1.02), (0.055, 0.008, 0.009), metal)
        if leaves == 2 and leaf == 0:
            b.box((0, 0.016, h / 2), (0.006, 0.008, h / 2), f)


def door_look(b: Builder, rng: Rng) -> Look:
    """Properties shared by the doors of one room."""
    leaf = mt.lacquer(rng, 0.6) if rng.random() < 0.6 else mt.wood(rng)
    return {
        "leaf": b.mat(leaf),
        "frame": b.mat(leaf if rng.random() < 0.6 else mt.lacquer(rng, 0.85)),
        "metal": b.mat(mt.metal(rng)),
        "glass": b.mat(tx.pack(tx.PAINT, mt.lin("8fa0a4") * rng.uniform(0.3, 1.5), gloss=1.5, rough=0.01)),
        "casing": rng.uniform(0.05, 0.12),
        "panels": int(rng.integers(0, 4)),
        "cols": int(rng.integers(1, 3)),
        "glazed": rng.random() < 0.18,
        "hand": int(rng.choice([-1, 1])),
    }


def picture(b: Builder, rng: Rng, wall: int, size: Sequence[float], u: float, z: float, w: float, h: float) -> None:
    """Framed picture, centre at (u, z)."""
    x, y, yaw = wall_frame(wall, size, u)
    b.begin("picture", x, y, 0, yaw)
    t = rng.uniform(0.008, 0.035)
    art = mt.art(rng, w - 2 * t, h - 2 * t)
    frame = b.mat(mt.lacquer(rng, 0.25) if rng.random() < 0.5 else mt.wood(rng))
    b.box((0, 0.012, z), (w / 2, 0.014, h / 2), frame, 0.004)
    m = b.mat(art)
    b.box((0, 0.018, z), (w / 2 - t, 0.0105, h / 2 - t), m)


def mouldings(b: Builder, rng: Rng, size: Sequence[float], gaps: list[list[tuple[float, float]]], crown: bool, height: float) -> None:
    """Baseboards along all walls, interrupted at ``gaps`` (doors, full-height windows), and maybe a crown."""
    m = b.mat(mt.lacquer(rng, 0.8) if rng.random() < 0.75 else mt.wood(rng))
    for wall in range(4):
        length = size[1] if wall < 2 else size[0]
        cuts = sorted(gaps[wall])
        a = 0.0
        b.begin("baseboard")
        for lo, hi in [*cuts, (length, length)]:
            if lo - a > 0.05:
                x, y, yaw = wall_frame(wall, size, (a + lo) / 2)
                b.begin("baseboard", x, y, 0, yaw, same_instance=True)
                b.box((0, 0.006, height / 2), ((lo - a) / 2, 0.009, height / 2), m, 0.006)
            a = max(a, hi)
        if crown:
            x, y, yaw = wall_frame(wall, size, length / 2)
            b.begin("baseboard", x, y, size[2], yaw)
            b.box((0, 0.02, -0.04), (length / 2, 0.025, 0.04), m, 0.02)


def plant(b: Builder, rng: Rng, x: float, y: float, scale: float = 1.0) -> None:
    """Potted plant: palm-like, bushy or broad-leaved."""
    b.begin("plant", x, y, 0, rng.uniform(0, 6.28))
    pot = b.mat(tx.pack(tx.PAINT, mt.paint_colour(rng, 0.4), gloss=0.3, rough=0.15))
    r, h = rng.uniform(0.12, 0.2) * scale, rng.uniform(0.12, 0.22) * scale
    b.cone((0, 0, h), r * rng.uniform(0.65, 1.0), r, h, pot)
    g0 = mt.jitter(rng, mt.lin(str(rng.choice(("2f4f27", "3f6a35", "56803f", "2a4a38", "6f8f4a")))))
    leaf = b.mat(tx.pack(tx.FOLIAGE, g0, g0 * rng.uniform(1.2, 2.0), gloss=0.5, rough=0.2, seed=int(rng.integers(100000))))
    top, n = rng.uniform(0.5, 1.3) * scale, int(rng.integers(14, 34))
    style = int(rng.integers(0, 3))
    lw, ll = ((0.03, 0.28), (0.05, 0.10), (0.11, 0.17))[style]
    stem = b.mat(tx.pack(tx.PAINT, mt.lin("5a4630")))
    b.cone((0, 0, 2 * h + top * 0.25), 0.015, 0.01, top * 0.3, stem)
    for _ in range(n):
        tilt, turn = rng.uniform(0.15, 1.35), rng.uniform(0, 6.28)
        rot = rotation_z(turn) @ rotation_x(tilt)
        base = np.array([0, 0, 2 * h + top * rng.uniform(0.1, 0.75)])
        reach = ll * scale * rng.uniform(0.6, 1.1) * (1.3 if style == 0 else 1.0)
        if style == 1:
            base = base + rng.normal(0, 0.13 * scale, 3) * np.array([1, 1, 0.8])
        o = rot @ np.array([0, 0, reach * (1.0 if style == 1 else 1.6)])
        b.ell(tuple(base + o), (lw * scale, 0.006, reach), leaf, rot=rot, solid=0.9)


def lamp(b: Builder, rng: Rng, kind: str, x: float, y: float, z: float, on: float) -> None:
    """Floor, table, pendant or ceiling lamp; ``on`` is its light, 0 when switched off."""
    b.begin("lamp", x, y, z, rng.uniform(0, 6.28))
    warm = np.array([1.0, rng.uniform(0.68, 0.9), rng.uniform(0.4, 0.75)])
    metal = b.mat(mt.metal(rng))
    c = mt.paint_colour(rng, 0.6) if rng.random() < 0.8 else mt.any_colour(rng)
    glow = b.mat(tx.pack(tx.PAINT, np.clip(c * warm ** (0.5 if on else 0), 0, 1), emit=min(on * 1.6, 2.5)))
    bulb = 0.0
    if kind == "floor":
        h, r = rng.uniform(1.3, 1.65), rng.uniform(0.13, 0.22)
        b.cone((0, 0, 0.012), 0.14, 0.13, 0.012, metal)
        b.cone((0, 0, h / 2), 0.011, 0.011, h / 2, metal)
        b.cone((0, 0, h), r, r * rng.uniform(0.55, 1), rng.uniform(0.1, 0.16), glow, solid=0.35)
        bulb = h
    elif kind == "table":
        h, r = rng.uniform(0.3, 0.45), rng.uniform(0.09, 0.16)
        base = b.mat(tx.pack(tx.PAINT, mt.any_colour(rng), gloss=0.8, rough=0.1))
        b.ell((0, 0, h * 0.28), (0.07, 0.07, h * 0.28), base)
        b.cone((0, 0, h * 0.5), 0.01, 0.01, h * 0.3, metal)
        b.cone((0, 0, h), r, r * rng.uniform(0.6, 1), 0.09, glow, solid=0.35)
        bulb = h
    elif kind == "pendant":
        drop, r = rng.uniform(0.3, 0.9), rng.uniform(0.12, 0.28)
        b.box((0, 0, -drop / 2), (0.004, 0.004, drop / 2), metal)
        if rng.random() < 0.5:
            b.cone((0, 0, -drop - 0.1), r, r * rng.uniform(0.1, 0.9), rng.uniform(0.06, 0.14), glow, solid=0.35)
        else:
            b.ell((0, 0, -drop - r * 0.7), (r * 0.8, r * 0.8, r * rng.uniform(0.5, 0.8)), glow, solid=0.3)
        bulb = -drop - 0.1
    else:
        r = rng.uniform(0.14, 0.25)
        b.cone((0, 0, -0.04), r, r, 0.035, glow, solid=0.0)
        bulb = -0.2
    if on > 0:
        p = b.world(0, 0, bulb)
        b.lamps.append([*p, 0.08, *(warm * on), 0.0])


def downlight(b: Builder, x: float, y: float, height: float, power: float, warm: Floats) -> None:
    """Recessed ceiling spot."""
    b.begin("lamp", x, y, height)
    ring = b.mat(tx.pack(tx.PAINT, mt.lin("f2f0ea")))
    b.cone((0, 0, -0.004), 0.055, 0.055, 0.005, ring, solid=0.0)
    b.cone((0, 0, -0.007), 0.04, 0.04, 0.004, b.mat(tx.pack(tx.PAINT, np.minimum(warm, 1), emit=3.0 * min(1.0, power))), solid=0.0)
    if power > 0:
        b.lamps.append([x, y, height - 0.02, 0.04, *(warm * power), 1.6])


def rug(b: Builder, rng: Rng, x: float, y: float, yaw: float, hx: float, hy: float) -> None:
    """Flat rug, rectangular or round."""
    b.begin("rug", x, y, 0, yaw)
    m = b.mat(mt.rug(rng, hx, hy))
    if rng.random() < 0.15:
        b.cone((0, 0, 0.006), hy, hy, 0.006, m)
    else:
        b.box((0, 0, 0.006), (hx, hy, 0.006), m)
