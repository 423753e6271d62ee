"""Light transport: what a ray sees, daylight through openings, lamps, and one diffuse bounce.

Radiance and irradiance share one unit: a matt surface of albedo ``a`` under irradiance ``E`` has radiance ``a * E``
(the factor pi is folded in), linear sRGB, where 1 is a white sheet under the room's nominal exposure.
"""

import math

import numpy as np
from numba import njit

from .intersect import blocked, closest_prim, in_opening, prim_surface, room_exit
from .textures import C0, EMIT, fbm, hash2, vnoise

# Parts of an opening that a ray can end on.
PLANE, REVEAL, FRAME, GLASS = 0, 1, 2, 3
# Columns of an opening row.
O_WALL, O_U0, O_U1, O_Z0, O_Z1, O_DEPTH, O_FRAME, O_NX, O_NZ, O_STYLE, O_SEED, O_SKY, O_HORIZON, O_TINT = range(14)
O_COLS = 18  # O_TINT holds three columns (sky colour), the last one the frame material.
O_FRAME_MAT = 17
GRID = 8


@njit(cache=True, fastmath=True)
def outside(o, dx, dy, dz):
    """Radiance of the world beyond opening row ``o`` in direction d (unit)."""
    style = int(o[O_STYLE])
    seed = int(o[O_SEED])
    gain = o[O_SKY]
    az = math.atan2(dx, dy)
    el = math.asin(min(max(dz, -1.0), 1.0))
    horizon = o[O_HORIZON]
    r = gain * o[O_TINT]
    g = gain * o[O_TINT + 1]
    b = gain * o[O_TINT + 2]
    if style == 3:  # Frosted or overexposed: no detail at all.
        return r, g, b
    k = min(max((el - horizon) * 1.4, 0.0), 1.0)
    r *= 1.0 - 0.45 * k
    g *= 1.0 - 0.28 * k
    b *= 1.0 - 0.05 * k
    cloud = fbm(az * 3.0, el * 7.0, seed + 40, 3, 0.0)
    c = min(max((cloud - 0.45) * 3.0, 0.0), 1.0) * 0.5
    r += c * (gain - r)
    g += c * (gain - g)
    b += c * (gain - b)
    top = horizon + 0.06 + 0.22 * (fbm(az * 2.5, 1.7, seed, 4, 0.0) - 0.35)
    if style == 2:
        cell = math.floor(az * 9.0)
        top = horizon + 0.02 + 0.5 * hash2(int(cell), 3, seed) ** 2
    if el < top:
        n = fbm(az * 26.0, el * 26.0, seed + 7, 4, 0.0)
        if style == 2:
            tone = 0.25 + 0.4 * hash2(math.floor(az * 9.0), 5, seed)
            wx = az * 90.0 - math.floor(az * 90.0)
            wz = el * 70.0 - math.floor(el * 70.0)
            if wx > 0.3 and wz > 0.4:
                tone *= 0.55
            r, g, b = gain * tone * 0.9, gain * tone * 0.9, gain * tone * 0.92
        else:
            t = 0.10 + 0.35 * n
            r, g, b = gain * t * 0.55, gain * t * 0.75, gain * t * 0.35
            haze = min(max((el - horizon + 0.3) * 0.6, 0.0), 0.5)
            r += haze * 0.35 * gain
            g += haze * 0.36 * gain
            b += haze * 0.36 * gain
    if el < horizon - 0.12:
        n = vnoise(az * 40.0, el * 60.0, seed + 9)
        t = 0.22 + 0.14 * n
        r, g, b = gain * t * 0.8, gain * t * (0.95 if style == 1 else 0.8), gain * t * (0.55 if style == 1 else 0.75)
    return r, g, b


@njit(cache=True, fastmath=True)
def wall_uv(wall, x, y, z):
    """Texture coordinates (metres) on plane ``wall`` of the room box."""
    if wall <= 1:
        return y, z
    if wall <= 3:
        return x, z
    return x, y


@njit(cache=True, fastmath=True)
def frame_cover(o, u, z):
    """Whether the point (u, z) of the pane lies on the frame or on a muntin."""
    fw = o[O_FRAME]
    w = o[O_U1] - o[O_U0]
    h = o[O_Z1] - o[O_Z0]
    a = u - o[O_U0]
    b = z - o[O_Z0]
    if a < fw or b < fw or w - a < fw or h - b < fw:
        return True
    nx = o[O_NX]
    nz = o[O_NZ]
    if nx > 1:
        s = w / nx
        d = abs(a - s * math.floor(a / s + 0.5))
        if d < fw * 0.45:
            return True
    if nz > 1:
        s = h / nz
        d = abs(b - s * math.floor(b / s + 0.5))
        if d < fw * 0.35:
            return True
    return False


@njit(cache=True, fastmath=True)
def trace(size, openings, groups, gstart, ptype, inv, half, bevel, ox, oy, oz, dx, dy, dz):
    """What a ray inside the room ends on.

    Returns (t, surface, opening, part, nx, ny, nz, u, v): surface is a plane (0-5) or 6 + primitive number,
    opening is -1 unless the ray entered one, (u, v) are texture coordinates in metres.
    """
    t_room, plane = room_exit(size, ox, oy, oz, dx, dy, dz)
    if plane < 0 or t_room <= 0:
        # Leaves an opening's reveal outwards: it ends on the reveal itself.
        return 1e-3, 0, -1, REVEAL, -dx, -dy, -dz, 0.0, 0.0
    t, k = closest_prim(groups, gstart, ptype, inv, half, ox, oy, oz, dx, dy, dz, t_room)
    if k >= 0:
        nx, ny, nz, u, v = prim_surface(k, ptype, inv, half, bevel, ox + t * dx, oy + t * dy, oz + t * dz)
        if nx * dx + ny * dy + nz * dz > 0 and bevel[k] <= 0:
            nx, ny, nz = -nx, -ny, -nz
        return t, k + 6, -1, PLANE, nx, ny, nz, u, v
    t = t_room
    x = ox + t * dx
    y = oy + t * dy
    z = oz + t * dz
    u, v = wall_uv(plane, x, y, z)
    nx = 0.0
    ny = 0.0
    nz = 0.0
    if plane == 0:
        nx = 1.0
    elif plane == 1:
        nx = -1.0
    elif plane == 2:
        ny = 1.0
    elif plane == 3:
        ny = -1.0
    elif plane == 4:
        nz = 1.0
    else:
        nz = -1.0
    if plane < 4:
        i = in_opening(openings, plane, u, z)
        if i >= 0:
            o = openings[i]
            dn = -(nx * dx + ny * dy)
            du = dy if plane <= 1 else dx
            s = o[O_DEPTH] / max(dn, 1e-6)
            part = GLASS
            if du > 1e-9 and (o[O_U1] - u) / du < s:
                s = (o[O_U1] - u) / du
                part = REVEAL
                axis = -1.0
                vert = 0
            elif du < -1e-9 and (o[O_U0] - u) / du < s:
                s = (o[O_U0] - u) / du
                part = REVEAL
                axis = 1.0
                vert = 0
            else:
                axis = 0.0
                vert = 0
            if dz > 1e-9 and (o[O_Z1] - z) / dz < s:
                s = (o[O_Z1] - z) / dz
                part = REVEAL
                axis = -1.0
                vert = 1
            elif dz < -1e-9 and (o[O_Z0] - z) / dz < s:
                s = (o[O_Z0] - z) / dz
                part = REVEAL
                axis = 1.0
                vert = 1
            t += s
            u += s * du
            v += s * dz
            if part == GLASS:
                if frame_cover(o, u, v):
                    part = FRAME
            elif vert == 1:
                nx, ny, nz = 0.0, 0.0, axis
            elif plane <= 1:
                nx, ny, nz = 0.0, axis, 0.0
            else:
                nx, ny, nz = axis, 0.0, 0.0
            return t, plane, i, part, nx, ny, nz, u, v
    return t, plane, -1, PLANE, nx, ny, nz, u, v


@njit(cache=True, fastmath=True)
def window_point(o, size, a, b):
    """World position of the point (a, b) in [0, 1]^2 of the pane of opening ``o`` and its inward normal (x, y)."""
    u = o[O_U0] + a * (o[O_U1] - o[O_U0])
    z = o[O_Z0] + b * (o[O_Z1] - o[O_Z0])
    w = int(o[O_WALL])
    d = o[O_DEPTH]
    if w == 0:
        return -d, u, z, 1.0, 0.0
    if w == 1:
        return size[0] + d, u, z, -1.0, 0.0
    if w == 2:
        return u, -d, z, 0.0, 1.0
    return u, size[1] + d, z, 0.0, -1.0


@njit(cache=True, fastmath=True)
def daylight(o, size, a, b, x, y, z, nx, ny, nz):
    """Unshadowed irradiance at (x, y, z) from the whole pane, estimated through its point (a, b).

    Returns (r, g, b, dx, dy, dz, distance to the wall plane); the light is zero where the reveal cuts it off.
    """
    wx, wy, wz, mx, my = window_point(o, size, a, b)
    dx = wx - x
    dy = wy - y
    dz = wz - z
    r2 = dx * dx + dy * dy + dz * dz + 1e-4
    r = math.sqrt(r2)
    dx /= r
    dy /= r
    dz /= r
    c1 = nx * dx + ny * dy + nz * dz
    c2 = -(mx * dx + my * dy)
    if c1 <= 0 or c2 <= 1e-3:
        return 0.0, 0.0, 0.0, dx, dy, dz, 0.0
    # Where the segment crosses the wall plane it must be inside the opening.
    s = r - o[O_DEPTH] / c2
    w = int(o[O_WALL])
    u = (y + s * dy) if w <= 1 else (x + s * dx)
    zz = z + s * dz
    if u < o[O_U0] or u > o[O_U1] or zz < o[O_Z0] or zz > o[O_Z1]:
        return 0.0, 0.0, 0.0, dx, dy, dz, 0.0
    area = (o[O_U1] - o[O_U0]) * (o[O_Z1] - o[O_Z0])
    e = area * c1 * c2 / (math.pi * max(r2, 0.15)) * 0.85 * o[O_SKY]
    if dz > 0:
        return e * o[O_TINT], e * o[O_TINT + 1], e * o[O_TINT + 2], dx, dy, dz, s
    k = 0.42 + 0.58 * math.exp(8.0 * dz)
    return e * k * 0.95, e * k, e * k * 0.82, dx, dy, dz, s


@njit(cache=True, fastmath=True)
def lamp_light(lamp, x, y, z, nx, ny, nz, j0, j1, j2):
    """Unshadowed irradiance of a lamp row (x, y, z, radius, r, g, b, kind); j in [-1, 1] picks a point on it.

    Returns (r, g, b, dx, dy, dz, distance). Kind 1 shines downwards only.
    """
    dx = lamp[0] + j0 * lamp[3] - x
    dy = lamp[1] + j1 * lamp[3] - y
    dz = lamp[2] + j2 * lamp[3] - z
    r = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-6
    dx /= r
    dy /= r
    dz /= r
    c = nx * dx + ny * dy + nz * dz
    if lamp[7] > 0:
        c *= max(dz, 0.0) ** lamp[7]
    if c <= 0:
        return 0.0, 0.0, 0.0, dx, dy, dz, r
    e = c / max(r * r, 0.04)
    return e * lamp[4], e * lamp[5], e * lamp[6], dx, dy, dz, r


@njit(cache=True, fastmath=True)
def plane_point(plane, size, a, b):
    """Point (a, b) in [0, 1]^2 of plane number ``plane``, with its inward normal."""
    if plane == 0:
        return 0.0, a * size[1], b * size[2], 1.0, 0.0, 0.0
    if plane == 1:
        return size[0], a * size[1], b * size[2], -1.0, 0.0, 0.0
    if plane == 2:
        return a * size[0], 0.0, b * size[2], 0.0, 1.0, 0.0
    if plane == 3:
        return a * size[0], size[1], b * size[2], 0.0, -1.0, 0.0
    if plane == 4:
        return a * size[0], b * size[1], 0.0, 0.0, 0.0, 1.0
    return a * size[0], b * size[1], size[2], 0.0, 0.0, -1.0


@njit(cache=True)
def light_grid(size, openings, lamps, plane_albedo):
    """Coarse irradiance (6, GRID, GRID, 3) of the bare room's planes: direct light and the mean of later bounces."""
    grid = np.zeros((6, GRID, GRID, 3))
    flux = np.zeros(3)
    refl = np.zeros(3)
    total = 0.0
    for p in range(6):
        area = size[1] * size[2] if p <= 1 else (size[0] * size[2] if p <= 3 else size[0] * size[1])
        total += area
        for i in range(GRID):
            for j in range(GRID):
                x, y, z, nx, ny, nz = plane_point(p, size, (i + 0.5) / GRID, (j + 0.5) / GRID)
                for w in range(openings.shape[0]):
                    for a in range(3):
                        for b in range(3):
                            r, g, bl, _, _, _, _ = daylight(openings[w], size, (a + 0.5) / 3, (b + 0.5) / 3,
                                                            x, y, z, nx, ny, nz)
                            grid[p, i, j, 0] += r / 9
                            grid[p, i, j, 1] += g / 9
                            grid[p, i, j, 2] += bl / 9
                for n in range(lamps.shape[0]):
                    r, g, bl, _, _, _, _ = lamp_light(lamps[n], x, y, z, nx, ny, nz, 0.0, 0.0, 0.0)
                    grid[p, i, j, 0] += r
                    grid[p, i, j, 1] += g
                    grid[p, i, j, 2] += bl
                for c in range(3):
                    flux[c] += grid[p, i, j, c] * plane_albedo[p, c] * area / (GRID * GRID)
        for c in range(3):
            refl[c] += plane_albedo[p, c] * area
    for c in range(3):
        rho = min(0.8 * refl[c] / total, 0.75)
        amb = 0.8 * flux[c] / total / (1 - rho)
        grid[:, :, :, c] += amb
    return grid


@njit(cache=True, fastmath=True)
def seen_radiance(size, openings, grid, plane_albedo, mat_mean, mats, mat_of, surf, op, part,
                  x, y, z, nx, ny, nz, dx, dy, dz, sources):
    """Approximate radiance of a traced hit. ``sources`` keeps panes and lamps (reflections) or drops them (bounce)."""
    if part == GLASS:
        if sources:
            return outside(openings[op], dx, dy, dz)
        return 0.0, 0.0, 0.0
    if surf < 6:
        u, v = wall_uv(surf, x, y, z)
        su = size[1] if surf <= 1 else size[0]
        sv = size[2] if surf <= 3 else size[1]
        i = min(max(int(u / su * GRID), 0), GRID - 1)
        j = min(max(int(v / sv * GRID), 0), GRID - 1)
        return (plane_albedo[surf, 0] * grid[surf, i, j, 0], plane_albedo[surf, 1] * grid[surf, i, j, 1],
                plane_albedo[surf, 2] * grid[surf, i, j, 2])
    m = mat_of[surf - 6]
    i = min(max(int(x / size[0] * GRID), 0), GRID - 1)
    j = min(max(int(y / size[1] * GRID), 0), GRID - 1)
    # Objects borrow the light of the floor below them and of the ceiling above, by where they face.
    up = 0.5 + 0.5 * nz
    w = 0.75 * up + 0.15
    down = max(0.9 - w, 0.0)
    e0 = w * grid[4, i, j, 0] + down * grid[5, i, j, 0]
    e1 = w * grid[4, i, j, 1] + down * grid[5, i, j, 1]
    e2 = w * grid[4, i, j, 2] + down * grid[5, i, j, 2]
    em = mats[m, EMIT] if sources else 0.0
    return (mat_mean[m, 0] * e0 + em * mats[m, C0], mat_mean[m, 1] * e1 + em * mats[m, C0 + 1],
            mat_mean[m, 2] * e2 + em * mats[m, C0 + 2])


__all__ = ["blocked", "daylight", "lamp_light", "light_grid", "outside", "seen_radiance", "trace", "wall_uv"]
