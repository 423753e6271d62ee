"""Furniture as boxes, ellipsoids and frusta.

Own frame of every piece: x along its width, back at y = 0, front towards +y, z up from the floor, metres. Each
function adds one instance to the builder and returns its footprint (half width, depth).
"""

from __future__ import annotations

import numpy as np

from training.scenes.scene_spec import Builder, rotation_x, rotation_z

from . import materials as mt
from . import textures as tx

Rng = np.random.Generator


def _legs(b: Builder, hw: float, y0: float, y1: float, h: float, mat: int, r: float, round_: bool) -> None:
    for x in (-hw + r * 1.5, hw - r * 1.5):
        for y in (y0 + r * 1.5, y1 - r * 1.5):
            if round_:
                b.cone((x, y, h / 2), r * 0.7, r, h / 2, mat)
            else:
                b.box((x, y, h / 2), (r, r, h / 2), mat)


def sofa(b: Builder, rng: Rng, x: float, y: float, yaw: float, wide: float | None = None) -> tuple[float, float]:
    """Sofa or armchair (``wide`` under 1 m), with cushions and sometimes a chaise."""
    w = rng.uniform(1.5, 2.7) if wide is None else wide
    d, seat, back = rng.uniform(0.8, 1.0), rng.uniform(0.38, 0.46), rng.uniform(0.68, 0.95)
    arm, arm_h, leg = rng.uniform(0.08, 0.24), rng.uniform(0.5, 0.68), rng.choice([0.03, rng.uniform(0.1, 0.17)])
    b.begin("sofa", x, y, 0, yaw)
    m = b.mat(mt.fabric(rng, 0.06))
    leather = rng.random() < 0.2
    if leather:
        b.materials[m][tx.GLOSS], b.materials[m][tx.ROUGH] = 0.5, 0.3
    bev = rng.uniform(0.02, 0.06)
    hw = w / 2
    base_h = seat - 0.16
    b.box((0, d / 2, (leg + base_h) / 2), (hw - 0.01, d / 2 - 0.02, (base_h - leg) / 2), m, bev)
    bt = rng.uniform(0.14, 0.22)
    b.box((0, bt / 2, (leg + back) / 2), (hw - arm * 0.5, bt / 2, (back - leg) / 2), m, bev)
    for s in (-1, 1):
        b.box((s * (hw - arm / 2), d / 2, (leg + arm_h) / 2), (arm / 2, d / 2, (arm_h - leg) / 2), m, bev)
    n = 1 if w < 1.1 else int(rng.integers(2, 4))
    iw = (w - 2 * arm) / n
    chaise = w > 2.0 and rng.random() < 0.25
    for i in range(n):
        cx = -hw + arm + iw * (i + 0.5)
        ext = 0.75 if chaise and i == n - 1 else 0.0
        b.box((cx, bt + (d - bt + ext) / 2 + 0.01, seat - 0.08), (iw / 2 - 0.006, (d - bt + ext) / 2, 0.08), m, 0.05)
        if ext:
            b.box((cx, d + ext / 2 - 0.02, (leg + base_h) / 2), (iw / 2, ext / 2, (base_h - leg) / 2), m, bev)
        if rng.random() < 0.85:
            b.box((cx, bt + 0.09, seat + (back - seat) * 0.52), (iw / 2 - 0.01, 0.08, (back - seat) * 0.5), m, 0.06, rot=rotation_x(0.15))
    lm = b.mat(mt.wood(rng) if rng.random() < 0.6 else mt.metal(rng))
    _legs(b, hw - 0.03, 0.05, d - 0.05, max(leg, 0.05), lm, 0.022, True)
    for _ in range(int(rng.integers(0, 5 if w > 1.2 else 2))):
        pm = b.mat(mt.fabric(rng, 0.5))
        px = rng.uniform(-hw + arm + 0.2, hw - arm - 0.2) if hw - arm > 0.25 else 0.0
        ph = rng.uniform(0.17, 0.25)
        r = rotation_z(rng.uniform(-0.4, 0.4)) @ rotation_x(rng.uniform(0.2, 0.5))
        b.box((px, bt + 0.24, seat + ph * 0.92), (ph, 0.06, ph), pm, 0.06, rot=r)
    if rng.random() < 0.12:
        tm = b.mat(mt.fabric(rng, 0.6))
        px = rng.uniform(-hw + 0.3, hw - 0.3) if hw > 0.4 else 0.0
        b.box((px, d / 2 + 0.03, seat + 0.006), (0.25, d / 2 - 0.02, 0.012), tm, 0.01)
        b.box((px, d + 0.012, seat - 0.12), (0.25, 0.008, 0.13), tm)
    return hw, d + (0.75 if chaise else 0)


def bed(b: Builder, rng: Rng, x: float, y: float, yaw: float) -> tuple[float, float]:
    """Bed with headboard, duvet, pillows and often a throw; head at y = 0."""
    w, length = float(rng.choice([0.95, 1.4, 1.6, 1.8])), rng.uniform(1.95, 2.1)
    h, hw = rng.uniform(0.42, 0.62), w / 2
    b.begin("bed", x, y, 0, yaw)
    frame = b.mat(mt.fabric(rng, 0.02) if rng.random() < 0.4 else mt.furniture_surface(rng))
    hb = rng.uniform(0.8, 1.35)
    if rng.random() < 0.88:
        b.box((0, 0.04, hb / 2), (hw + rng.uniform(0, 0.12), 0.04, hb / 2), frame, 0.025)
    fh = rng.uniform(0.2, 0.36)
    if rng.random() < 0.7:
        b.box((0, 0.06 + length / 2, fh / 2), (hw + 0.03, length / 2, fh / 2), frame, 0.015)
    else:
        b.box((0, 0.06 + length / 2, fh - 0.08), (hw + 0.03, length / 2, 0.08), frame, 0.015)
        _legs(b, hw, 0.1, length, fh - 0.1, frame, 0.035, False)
    sheet = b.mat(mt.fabric(rng, 0.05, mt.paint_colour(rng, 0.8)))
    b.box((0, 0.08 + length / 2, (fh + h) / 2), (hw, length / 2 - 0.03, (h - fh) / 2), sheet, 0.05)
    duvet = b.mat(mt.fabric(rng, 0.35, mt.paint_colour(rng, 0.45)))
    start = rng.uniform(0.35, 0.8)
    drop = rng.uniform(0.08, 0.3)
    dl = (length - start) / 2
    b.box((0, start + dl + 0.09, h + 0.02 - drop / 2), (hw + 0.035, dl, drop / 2 + 0.03), duvet, 0.06)
    n_p = 1 if w < 1.2 else 2
    for row in range(int(rng.integers(1, 3))):
        pm = b.mat(mt.fabric(rng, 0.3, mt.paint_colour(rng, 0.6 if row == 0 else 0.2)))
        for i in range(n_p):
            px = (i - (n_p - 1) / 2) * (w / n_p)
            pw = min(0.36, w / n_p / 2 - 0.03) * (1 - 0.2 * row)
            b.box(
                (px, 0.24 + 0.17 * row, h + 0.10),
                (pw, 0.09, 0.19),
                pm,
                0.09,
                rot=rotation_z(rng.normal(0, 0.05)) @ rotation_x(rng.uniform(0.5, 1.2)),
            )
    if rng.random() < 0.55:
        tm = b.mat(mt.fabric(rng, 0.4))
        ty, tw = rng.uniform(length * 0.6, length * 0.85), rng.uniform(0.18, 0.4)
        b.box((0, ty, h + 0.025 - drop / 2), (hw + 0.045, tw, drop / 2 + 0.04), tm, 0.06)
    return hw + 0.1, length + 0.1


def table(b: Builder, rng: Rng, x: float, y: float, yaw: float, kind: str) -> tuple[float, float]:
    """Coffee, dining, side or desk table with a few things on top."""
    dims = {
        "coffee": ((0.7, 1.3), (0.45, 0.75), (0.3, 0.46)),
        "dining": ((1.2, 2.2), (0.75, 1.0), (0.72, 0.77)),
        "side": ((0.35, 0.55), (0.35, 0.5), (0.42, 0.62)),
        "desk": ((1.0, 1.7), (0.55, 0.75), (0.72, 0.77)),
        "console": ((0.8, 1.5), (0.28, 0.4), (0.72, 0.88)),
    }[kind]
    w, d, h = (rng.uniform(*v) for v in dims)
    b.begin("table", x, y, 0, yaw)
    top = b.mat(
        mt.furniture_surface(rng) if rng.random() < 0.85 else tx.pack(tx.MARBLE, mt.lin("e9e6e0"), mt.lin("8a8680"), gloss=0.8, rough=0.02)
    )
    leg = top if rng.random() < 0.55 else b.mat(mt.metal(rng))
    hw, th = w / 2, rng.uniform(0.012, 0.03)
    if kind in ("coffee", "side", "dining") and rng.random() < 0.3:
        r = d / 2 if kind != "dining" else rng.uniform(0.5, 0.65)
        b.cone((0, d / 2, h - th), r, r, th, top)
        b.cone((0, d / 2, h / 2 - th), 0.04, 0.03, h / 2 - th, leg)
        b.cone((0, d / 2, 0.012), r * 0.6, r * 0.55, 0.012, leg)
        hw = r
    else:
        b.box((0, d / 2, h - th), (hw, d / 2, th), top, 0.006)
        style = rng.random()
        if style < 0.65:
            _legs(b, hw - 0.02, 0.02, d - 0.02, h - 2 * th, leg, rng.uniform(0.015, 0.04), rng.random() < 0.4)
            if rng.random() < 0.5:
                b.box((0, d / 2, h - 2 * th - 0.04), (hw - 0.06, d / 2 - 0.05, 0.04), top)
        elif style < 0.85:
            for s in (-1, 1):
                b.box((s * (hw - 0.03), d / 2, h / 2 - th), (0.02, d / 2 - 0.02, h / 2 - th), leg)
        else:
            b.box((0, d / 2, h / 2 - th), (hw * 0.75, d * 0.3, h / 2 - th), leg)
    for _ in range(int(rng.integers(0, 4))):
        decor(b, rng, rng.uniform(-0.6, 0.6) * hw, d / 2 + rng.uniform(-0.25, 0.25) * d, h)
    return hw, d


def decor(b: Builder, rng: Rng, x: float, y: float, z: float) -> None:
    """A vase, bowl, stack of books or box; no concept of ours."""
    k = rng.random()
    m = b.mat(tx.pack(tx.PAINT, mt.any_colour(rng), gloss=rng.uniform(0, 1), rough=0.1))
    if k < 0.35:
        r, h = rng.uniform(0.04, 0.09), rng.uniform(0.08, 0.16)
        b.cone((x, y, z + h), r * 0.6, r, h, m, concept="other")
        if rng.random() < 0.5:
            g = b.mat(tx.pack(tx.FOLIAGE, mt.lin("4a6a35"), mt.lin("7f9a55") if rng.random() < 0.6 else mt.any_colour(rng)))
            for _ in range(9):
                rr = rotation_z(rng.uniform(0, 6.3)) @ rotation_x(rng.uniform(0.1, 1.0))
                o = rr @ np.array([0, 0, 0.15])
                b.ell((x + o[0], y + o[1], z + 2 * h + o[2] * 0.8), (0.025, 0.008, 0.12), g, rot=rr, concept="plant")
    elif k < 0.65:
        zz = z
        for _ in range(int(rng.integers(1, 4))):
            bm = b.mat(tx.pack(tx.PAINT, mt.any_colour(rng)))
            t = rng.uniform(0.008, 0.02)
            b.box(
                (x, y, zz + t),
                (rng.uniform(0.08, 0.14), rng.uniform(0.06, 0.1), t),
                bm,
                rot=rotation_z(rng.uniform(-0.4, 0.4)),
                concept="other",
            )
            zz += 2 * t
    elif k < 0.85:
        r = rng.uniform(0.06, 0.14)
        b.cone((x, y, z + r * 0.3), r * 0.5, r, r * 0.3, m, concept="other")
    else:
        b.ell((x, y, z + 0.07), (0.06, 0.06, 0.07), m, concept="other")


def chair(
    b: Builder, rng: Rng, x: float, y: float, yaw: float, mats: tuple[int, int] | None = None, style: int | None = None
) -> tuple[int, int]:
    """Chair that faces +y; returns its materials so that a set can share them."""
    b.begin("chair", x, y, 0, yaw)
    if mats is None:
        mats = (
            b.mat(mt.wood(rng) if rng.random() < 0.6 else mt.metal(rng)),
            b.mat(mt.fabric(rng, 0.1) if rng.random() < 0.6 else mt.furniture_surface(rng)),
        )
    frame, seat = mats
    style = int(rng.integers(0, 4)) if style is None else style
    w, d, sh = 0.22, 0.44, 0.45
    bh = 0.85 + 0.05 * style
    if style == 3:
        b.cone((0, d / 2, 0.02), 0.26, 0.25, 0.02, frame)
        b.cone((0, d / 2, 0.22), 0.03, 0.03, 0.2, frame)
    else:
        _legs(b, w, 0, d, sh - 0.02, frame, 0.018, style == 1)
    b.box((0, d / 2, sh - 0.01), (w, d / 2, 0.03 if style else 0.02), seat, 0.02)
    if style == 0:
        for s in (-1, 1):
            b.box((s * (w - 0.02), 0.015, (sh + bh) / 2), (0.016, 0.014, (bh - sh) / 2), frame)
        for zz in np.linspace(sh + 0.12, bh - 0.03, 3):
            b.box((0, 0.015, zz), (w - 0.03, 0.009, 0.028), frame)
    else:
        b.box((0, 0.02, (sh + bh) / 2 + 0.03), (w, 0.025, (bh - sh) / 2), seat, 0.02, rot=rotation_x(0.08))
    if style == 2:
        for s in (-1, 1):
            b.box((s * (w + 0.01), d / 2, sh + 0.2), (0.02, d / 2, 0.02), frame)
            b.box((s * (w + 0.01), d - 0.04, sh + 0.1), (0.018, 0.018, 0.1), frame)
    return mats


def cabinet(
    b: Builder,
    rng: Rng,
    x: float,
    y: float,
    yaw: float,
    w: float,
    d: float,
    h: float,
    z0: float = 0.0,
    open_: float = 0.25,
    counter: bool = False,
) -> tuple[float, float]:
    """Cabinet, wardrobe, dresser, wall unit or open shelf."""
    b.begin("cabinet", x, y, z0, yaw)
    body = b.mat(mt.furniture_surface(rng))
    hw = w / 2
    if rng.random() < open_:
        back = b.mat(b.materials[body] * np.where(np.arange(tx.ROW) < tx.P0, 0.8, 1.0))
        t = 0.012
        b.box((0, t, h / 2), (hw, t, h / 2), back)
        for s in (-1, 1):
            b.box((s * (hw - t), d / 2, h / 2), (t, d / 2, h / 2), body)
        n = max(2, int(h / rng.uniform(0.3, 0.42)) + 1)
        for i in range(n):
            zz = t + i * (h - 2 * t) / (n - 1)
            b.box((0, d / 2, zz), (hw, d / 2, t), body)
            if i < n - 1:
                gap = (h - 2 * t) / (n - 1)
                px = -hw + 0.05
                while px < hw - 0.12:
                    k = rng.random()
                    if k < 0.45:
                        bw, bh = rng.uniform(0.08, 0.3), gap * rng.uniform(0.5, 0.85)
                        bw = min(bw, hw - 0.03 - px)
                        bm = b.mat(
                            tx.pack(
                                tx.BOOKS,
                                mt.any_colour(rng),
                                mt.any_colour(rng),
                                mt.any_colour(rng),
                                (rng.uniform(0.02, 0.045),),
                                seed=int(rng.integers(100000)),
                            )
                        )
                        b.box((px + bw / 2, d / 2, zz + t + bh / 2), (bw / 2, d * 0.35, bh / 2), bm, concept="other")
                        px += bw + 0.02
                    elif k < 0.6:
                        decor(b, rng, px + 0.08, d / 2, zz + t)
                        px += 0.25
                    else:
                        px += rng.uniform(0.1, 0.4)
    else:
        toe = 0.0 if z0 > 0.3 else float(rng.choice([0.0, 0.06, 0.1]))
        b.box((0, d / 2, (toe + h) / 2), (hw, d / 2, (h - toe) / 2), body)
        if toe and rng.random() < 0.5:
            b.box((0, d / 2 - 0.03, toe / 2), (hw - 0.02, d / 2 - 0.02, toe / 2), body)
        elif toe:
            _legs(b, hw, 0.02, d - 0.02, toe, b.mat(mt.metal(rng)), 0.015, True)
        handle = b.mat(mt.metal(rng))
        nx = max(1, round(w / rng.uniform(0.4, 0.65)))
        nz = 1 if h > 1.5 or z0 > 1 else int(rng.choice([1, 2, 3]))
        shaker = rng.random() < 0.5
        for i in range(nx):
            for k in range(nz):
                cw, ch = w / nx, (h - toe) / nz
                cx, cz = -hw + cw * (i + 0.5), toe + ch * (k + 0.5)
                b.box((cx, d + 0.008, cz), (cw / 2 - 0.004, 0.009, ch / 2 - 0.004), body, 0.003)
                if shaker and cw > 0.25 and ch > 0.2:
                    e = 0.05
                    for s in (-1, 1):
                        b.box((cx + s * (cw / 2 - e / 2 - 0.004), d + 0.02, cz), (e / 2, 0.006, ch / 2 - 0.004), body, 0.003)
                        b.box((cx, d + 0.02, cz + s * (ch / 2 - e / 2 - 0.004)), (cw / 2 - e, 0.006, e / 2), body, 0.003)
                if rng.random() < 0.9:
                    if nz > 1:
                        b.box((cx, d + 0.035, cz + ch * 0.2), (0.05, 0.006, 0.005), handle)
                    else:
                        s = 1 if i % 2 == 0 else -1
                        b.box((cx + s * (cw / 2 - 0.05), d + 0.035, cz), (0.005, 0.006, 0.06), handle)
    if counter:
        top = b.mat(
            mt.wood(rng)
            if rng.random() < 0.4
            else tx.pack(
                tx.MARBLE if rng.random() < 0.4 else tx.CONCRETE,
                mt.paint_colour(rng, 0.5),
                mt.lin("5a5652"),
                params=(0.6,),
                gloss=0.8,
                rough=0.05,
            )
        )
        b.box((0, d / 2 + 0.01, h + 0.018), (hw + 0.005, d / 2 + 0.02, 0.018), top)
    return hw, d
