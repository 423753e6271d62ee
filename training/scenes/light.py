"""Light transport: what a ray sees, lamps, the light of the bare room, and one diffuse bounce.

Radiance and irradiance share one unit: a matt surface of albedo ``a`` under irradiance ``E`` has radiance ``a * E``
(the factor pi is folded in), linear sRGB, where 1 is a white sheet under the room's nominal exposure.
"""

import math

import numpy as np
from numba import njit

from training.scenes.intersect import closest_prim, in_opening, prim_surface, room_exit
from training.scenes.openings import FRAME, GLASS, O_DEPTH, O_U0, O_U1, O_Z0, O_Z1, PLANE, REVEAL, daylight, frame_cover, outside
from training.scenes.textures import C0, EMIT

GRID = 8


@njit(cache=True, fastmath=True)
def wall_uv(wall, x, y, z):
    """Texture coordinates (metres) on plane ``wall`` of the room box."""
    if wall <= 1:
        return y, z
    if wall <= 3:
        return x, z
    return x, y


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
                            r, g, bl, _, _, _, _ = daylight(openings[w], size, (a + 0.5) / 3, (b + 0.5) / 3, x, y, z, nx, ny, nz)
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
        # One by one: an assignment to a slice takes Numba three seconds more to compile, for the sentence of its error.
        for p in range(6):
            for i in range(GRID):
                for j in range(GRID):
                    grid[p, i, j, c] += amb
    return grid


@njit(cache=True, fastmath=True)
def seen_radiance(size, openings, grid, plane_albedo, mat_mean, mats, mat_of, surf, op, part, x, y, z, nx, ny, nz, dx, dy, dz, sources):
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
        return (
            plane_albedo[surf, 0] * grid[surf, i, j, 0],
            plane_albedo[surf, 1] * grid[surf, i, j, 1],
            plane_albedo[surf, 2] * grid[surf, i, j, 2],
        )
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
    return (mat_mean[m, 0] * e0 + em * mats[m, C0], mat_mean[m, 1] * e1 + em * mats[m, C0 + 1], mat_mean[m, 2] * e2 + em * mats[m, C0 + 2])
