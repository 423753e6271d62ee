"""Procedural materials: albedo and cavity of a surface point, anti-aliased by the pixel footprint.

Everything here runs inside the render kernels, so it is scalar numba code. Lengths are metres, colours are linear
sRGB in [0, 1]. A *cavity* multiplies the light (grout lines, panel edges, curtain folds): it belongs to the
shading, never to the albedo, so that repainting a brick wall keeps its joints.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numba import njit

from training.arrays import Floats

# Material kinds (column 0 of a packed material row).
PAINT, PLANKS, HERRINGBONE, TILES, CARPET, CONCRETE, BRICK, STRIPES, DAMASK, WOOD, FABRIC, BEADBOARD = range(12)
SHIPLAP, MARBLE, CHECKER, ART, RUG, FOLIAGE, FOLDS, TERRAZZO, BATTENS, SLATS, BOOKS = range(12, 23)

# Columns of a packed material row.
KIND, C0, C1, C2, P0, GLOSS, ROUGH, EMIT, SEED, ROT, TRANS = 0, 1, 4, 7, 10, 18, 19, 20, 21, 22, 23
ROW = 24


@njit(cache=True, inline="always")
def hash2(ix, iy, seed):
    """Uniform [0, 1) number of an integer lattice point."""
    n = (ix * 374761393 + iy * 668265263 + seed * 974634777) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFFFF) / 16777216.0


@njit(cache=True)
def vnoise(x, y, seed):
    """Value noise in [0, 1], period-free, one lattice cell per unit."""
    fx = math.floor(x)
    fy = math.floor(y)
    ix = int(fx)
    iy = int(fy)
    tx = x - fx
    ty = y - fy
    tx = tx * tx * (3 - 2 * tx)
    ty = ty * ty * (3 - 2 * ty)
    a = hash2(ix, iy, seed) * (1 - tx) + hash2(ix + 1, iy, seed) * tx
    b = hash2(ix, iy + 1, seed) * (1 - tx) + hash2(ix + 1, iy + 1, seed) * tx
    return a * (1 - ty) + b * ty


@njit(cache=True)
def fbm(x, y, seed, octaves, fw):
    """Fractal noise around 0.5; octaves finer than the footprint ``fw`` (in noise units) fade to their mean."""
    s = 0.0
    amp = 0.5
    for o in range(octaves):
        k = 1.0 - (fw - 0.25) * 2.0
        if k <= 0:
            break
        if k > 1:
            k = 1.0
        s += amp * k * (vnoise(x, y, seed + o) - 0.5)
        x *= 2.03
        y *= 2.03
        fw *= 2.03
        amp *= 0.55
    return 0.5 + s


@njit(cache=True, inline="always")
def line_cover(d, half, fw):
    """Share of a pixel of size ``fw`` covered by a line of half width ``half`` at distance ``d``."""
    c = (half + 0.5 * fw - abs(d)) / fw
    full = 2 * half / fw
    if full > 1:
        full = 1.0
    if c < 0:
        return 0.0
    return c if c < full else full


@njit(cache=True, inline="always")
def edge_dist(x, period):
    """Signed distance of x to the nearest multiple of ``period``."""
    return x - period * math.floor(x / period + 0.5)


@njit(cache=True)
def wood(u, v, seed, fw):
    """Grain value in [0, 1] of a board that runs along u."""
    warp = fbm(u * 0.9, v * 6.0, seed + 3, 2, fw * 6)
    a = fbm(u * 1.7, (v + warp * 0.06) * 34.0, seed, 3, fw * 34)
    b = fbm(u * 7.0, v * 190.0, seed + 11, 2, fw * 190)
    return 0.62 * a + 0.38 * b


@njit(cache=True)
def texture(m, u, v, fw):
    """Albedo and cavity of material row ``m`` at (u, v) metres for a pixel footprint of ``fw`` metres.

    Returns (r, g, b, cavity), linear sRGB.
    """
    kind = int(m[KIND])
    seed = int(m[SEED])
    rot = m[ROT]
    if rot != 0.0:
        c = math.cos(rot)
        s = math.sin(rot)
        u, v = c * u - s * v, s * u + c * v
    fw = max(fw, 1e-5)
    k1 = 0.0
    k2 = 0.0
    cav = 1.0
    gain = 1.0
    p0 = m[P0]
    p1 = m[P0 + 1]
    p2 = m[P0 + 2]
    p3 = m[P0 + 3]
    p4 = m[P0 + 4]
    if kind == PAINT:
        gain = 1.0 + p0 * (fbm(u * 1.3, v * 1.3, seed, 3, fw * 1.3) - 0.5)
    elif kind == PLANKS:
        row = math.floor(v / p0)
        off = hash2(int(row), 7, seed) * p1
        col = math.floor((u + off) / p1)
        tone = hash2(int(row), int(col), seed)
        g = wood(u + tone * 13, v + tone * 7, seed, fw)
        k1 = 0.5 + p3 * (tone - 0.5) + p4 * (g - 0.5)
        gap = max(line_cover(edge_dist(v, p0), p2, fw), line_cover(edge_dist(u + off, p1), p2, fw))
        k2 = gap
        cav = 1.0 - 0.35 * gap
    elif kind == HERRINGBONE:
        x = u / p0
        y = v / p0
        n = int(p1)
        i = math.floor(x)
        j = math.floor(y)
        mm = int(i - j) % (2 * n)
        if mm < n:
            bu = x - (i - mm)
            bv = y - j
            ida = int(i) - mm
            idb = int(j)
        else:
            mv = mm - n
            bu = y - (j - (n - 1 - mv))
            bv = x - i
            ida = int(i)
            idb = int(j) - (n - 1 - mv) + 5000
        tone = hash2(ida, idb, seed)
        g = wood(bu * p0 + tone * 13, bv * p0 + tone * 7, seed, fw)
        k1 = 0.5 + p3 * (tone - 0.5) + p4 * (g - 0.5)
        d = min(bv, 1 - bv, bu, n - bu) * p0
        k2 = line_cover(d, p2, fw)
        cav = 1.0 - 0.35 * k2
    elif kind in (TILES, BRICK, TERRAZZO):
        row = math.floor(v / p1)
        uu = u + p3 * p0 * (row % 2)
        col = math.floor(uu / p0)
        tone = hash2(int(row), int(col), seed)
        ou = tone * 9.7
        k1 = 0.5 + p4 * (tone - 0.5) + m[P0 + 5] * (fbm(u * 4 + ou, v * 4 - ou, seed, 4, fw * 4) - 0.5)
        if kind == TERRAZZO:
            cell = vnoise(u * 55, v * 55, seed + 5)
            if cell > 0.68 and fw < 0.02:
                k1 += 0.5 * (vnoise(u * 21, v * 21, seed + 6) - 0.3)
        grout = max(line_cover(edge_dist(v, p1), p2, fw), line_cover(edge_dist(uu, p0), p2, fw))
        k2 = grout
        cav = 1.0 - (0.4 if kind == BRICK else 0.15) * grout
        if kind == BRICK:
            cav *= 0.86 + 0.28 * fbm(u * 38, v * 38, seed + 9, 3, fw * 38)
    elif kind == CARPET:
        k1 = fbm(u * 60, v * 60, seed, 2, fw * 60) * 0.8 + 0.2 * fbm(u * 2, v * 2, seed + 3, 2, fw * 2)
        cav = 0.93 + 0.14 * fbm(u * 140, v * 140, seed + 4, 2, fw * 140)
    elif kind == CONCRETE:
        k1 = 0.5 + p0 * (fbm(u * 1.1, v * 1.1, seed, 5, fw * 1.1) - 0.5)
    elif kind == STRIPES:
        x = u / p0 - math.floor(u / p0)
        k1 = 1.0 if x < p1 else 0.0
        if fw > 0.5 * p0:
            k1 = p1
    elif kind == DAMASK:
        x = u / p0
        y = v / p0
        sgn = math.floor(y)
        x += 0.5 * (sgn % 2)
        fx = x - math.floor(x) - 0.5
        fy = y - math.floor(y) - 0.5
        r = math.sqrt(fx * fx + fy * fy)
        a = math.atan2(fy, fx)
        petal = 0.30 + 0.10 * math.cos(a * p1)
        k1 = 1.0 if r < petal and r > petal * p2 else 0.0
        if fw > 0.3 * p0:
            k1 = 0.3
    elif kind == WOOD:
        k1 = 0.5 + p0 * (wood(u, v, seed, fw) - 0.5)
    elif kind == FABRIC:
        k1 = 0.5 + p0 * (fbm(u * 180, v * 180, seed, 2, fw * 180) - 0.5)
        cav = 0.95 + 0.1 * fbm(u * 5, v * 5, seed + 2, 3, fw * 5)
        if p1 > 0:
            s1 = math.sin(u * 6.2832 / p1) * math.sin(v * 6.2832 / p1)
            k2 = 1.0 if s1 > p2 else 0.0
            if fw > 0.4 * p1:
                k2 = 0.25
    elif kind in (BEADBOARD, SHIPLAP):
        d = edge_dist(u if kind == BEADBOARD else v, p0)
        c = line_cover(d, 0.004, fw)
        hl = line_cover(d - 0.008, 0.003, fw)
        cav = 1.0 - 0.5 * c + 0.10 * hl
    elif kind == BATTENS:
        d = edge_dist(u, p0)
        w = p1 * 0.5
        lo = line_cover(d - w, 0.005, fw)
        hi = line_cover(d + w, 0.004, fw)
        cav = 1.0 - 0.38 * lo + 0.12 * hi
    elif kind == SLATS:
        x = u / p0 - math.floor(u / p0)
        inside = 1.0 if x < 0.65 else 0.0
        if fw > 0.5 * p0:
            inside = 0.65
        cav = 0.22 + 0.78 * inside
        k1 = 0.5 + 0.7 * (wood(v, u, seed, fw) - 0.5)
    elif kind == MARBLE:
        w1 = fbm(u * 1.5, v * 1.5, seed, 4, fw * 1.5) - 0.5
        vein = abs(math.sin((u * 0.8 + v * 0.55) * 5.0 + 14.0 * w1))
        k1 = 0.25 * fbm(u * 3, v * 3, seed + 4, 3, fw * 3)
        vv = 1.0 - vein * 9.0
        if vv > 0:
            k1 += 0.8 * vv
    elif kind == CHECKER:
        a = math.floor(u / p0) + math.floor(v / p0)
        k1 = float(int(a) % 2)
        if fw > 0.6 * p0:
            k1 = 0.5
    elif kind == ART:
        style = int(p2)
        x = u / p0 + 0.5  # Box faces have their origin in the centre.
        y = v / p1 + 0.5
        if style == 0:
            h = 0.45 + 0.18 * (fbm(x * 2.5, 0.3, seed, 3, 0.0) - 0.5)
            h2 = 0.33 + 0.3 * (fbm(x * 4, 9.3, seed + 2, 3, 0.0) - 0.5)
            k1 = 0.0 if y > h else 1.0
            k2 = 1.0 if y < h2 else 0.0
            gain = 0.8 + 0.5 * fbm(x * 9, y * 9, seed, 3, fw * 9 / p0)
        elif style == 1:
            k1 = 1.0 if fbm(x * 2.2, y * 2.2, seed, 2, 0.0) > 0.53 else 0.0
            k2 = 1.0 if fbm(x * 1.7 + 7, y * 1.7, seed + 5, 2, 0.0) > 0.6 else 0.0
        elif style == 2:
            gx = math.floor(x * 4)
            gy = math.floor(y * 4)
            hh = hash2(int(gx), int(gy), seed)
            k1 = hh
            k2 = 1.0 if hh > 0.75 else 0.0
        else:
            r = math.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2)
            k1 = 1.0 if r < 0.3 else 0.0
            k2 = 1.0 if abs(x - 0.5) < 0.04 or y < 0.2 else 0.0
        if x < p3 or x > 1 - p3 or y < p3 * p0 / p1 or y > 1 - p3 * p0 / p1:
            return 0.82, 0.81, 0.78, 1.0
    elif kind == RUG:
        hw = p0
        hh = p1
        d = min(hw - abs(u), hh - abs(v))
        style = int(p2)
        if style == 0:
            k1 = 0.0
        elif style == 1:
            k1 = 1.0 if (d > 0.12 and d < 0.2) or (d > 0.26 and d < 0.29) else 0.0
            s1 = math.sin(u * 14) * math.sin(v * 14)
            k2 = 1.0 if d > 0.3 and s1 > 0.35 else 0.0
        elif style == 2:
            k1 = float(math.floor(v / p3) % 2)
        elif style == 3:
            s1 = abs(edge_dist(u + v, 0.35)) < 0.02 or abs(edge_dist(u - v, 0.35)) < 0.02
            k1 = 1.0 if s1 else 0.0
        else:
            k1 = 1.0 if fbm(u * 3, v * 3, seed, 3, 0.0) > 0.52 else 0.0
            k2 = 1.0 if d < 0.15 and fbm(u * 9, v * 9, seed + 3, 2, 0.0) > 0.5 else 0.0
        gain = 0.8 + 0.4 * fbm(u * 50, v * 50, seed, 2, fw * 50)
    elif kind == FOLIAGE:
        k1 = fbm(u * 14, v * 14, seed, 3, fw * 14)
        vein = line_cover(v, 0.004, fw)
        gain = 1.0 + 0.4 * vein
    elif kind == FOLDS:
        ph = u * 6.2832 / p0 + 2.2 * (vnoise(u * 1.7, v * 0.35, seed) - 0.5) * 3.0
        s1 = math.sin(ph)
        fade = 1.0 / (1.0 + (fw / p0 * 1.6) ** 2)
        cav = 1.0 + fade * (p1 * (0.5 * s1 - 0.1) + 0.5 * p1 * math.sin(2.3 * ph + 1.0) * 0.4)
        if p2 > 0:
            k1 = float(math.floor(v / p2) % 2) if p3 < 0.5 else float(math.floor(u / p2) % 2)
        else:
            k1 = 0.3 * fbm(u * 90, v * 90, seed, 2, fw * 90)
    elif kind == BOOKS:
        col = math.floor(u / p0)
        hh = hash2(int(col), 3, seed)
        k1 = hash2(int(col), 5, seed)
        k2 = 1.0 if hash2(int(col), 9, seed) > 0.7 else 0.0
        gain = 0.35 + 0.9 * hh
        cav = 1.0 - 0.6 * line_cover(edge_dist(u, p0), 0.002, fw)
    k1 = min(max(k1, 0.0), 1.0)
    k2 = min(max(k2, 0.0), 1.0)
    r = ((m[C0] * (1 - k1) + m[C1] * k1) * (1 - k2) + m[C2] * k2) * gain
    g = ((m[C0 + 1] * (1 - k1) + m[C1 + 1] * k1) * (1 - k2) + m[C2 + 1] * k2) * gain
    b = ((m[C0 + 2] * (1 - k1) + m[C1 + 2] * k1) * (1 - k2) + m[C2 + 2] * k2) * gain
    return min(r, 0.95), min(g, 0.95), min(b, 0.95), cav


# A linear sRGB triple.
Colour: TypeAlias = Floats | Sequence[float]


def pack(
    kind: int,
    c0: Colour,
    c1: Colour | None = None,
    c2: Colour | None = None,
    params: Sequence[float] = (),
    gloss: float = 0.0,
    rough: float = 0.3,
    emit: float = 0.0,
    seed: int = 0,
    rot: float = 0.0,
    trans: float = 0.0,
) -> Floats:
    """Pack a material into a float64 row of length ROW; colours are linear sRGB triples."""
    row = np.zeros(ROW)
    row[KIND] = kind
    row[C0 : C0 + 3] = c0
    row[C1 : C1 + 3] = c0 if c1 is None else c1
    row[C2 : C2 + 3] = row[C1 : C1 + 3] if c2 is None else c2
    row[P0 : P0 + len(params)] = params
    row[GLOSS], row[ROUGH], row[EMIT], row[SEED], row[ROT], row[TRANS] = gloss, rough, emit, seed % 100003, rot, trans
    return row
