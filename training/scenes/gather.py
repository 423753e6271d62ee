"""Light from reduced to full resolution: edge-avoiding smoothing, gathering along surfaces, and sharp sunlight."""

import math

from numba import njit

from training.scenes.intersect import blocked, in_opening
from training.scenes.light import wall_uv
from training.scenes.openings import O_DEPTH, frame_cover


@njit(cache=True, fastmath=True, nogil=True)
def smooth(low, depth_scale, spacing):
    """One edge-avoiding a-trous pass (Dammertz 2010) over the irradiance of ``low``; returns a new array."""
    hl, wl, _ = low.shape
    out = low.copy()
    for j in range(hl):
        for i in range(wl):
            p = low[j, i]
            x, y, z, nx, ny, nz = p[6], p[7], p[8], p[9], p[10], p[11]
            r = 0.0
            g = 0.0
            b = 0.0
            ws = 0.0
            for dj in range(-2, 3):
                jj = j + dj * spacing
                if jj < 0 or jj >= hl:
                    continue
                for di in range(-2, 3):
                    ii = i + di * spacing
                    if ii < 0 or ii >= wl:
                        continue
                    q = low[jj, ii]
                    nd = q[9] * nx + q[10] * ny + q[11] * nz
                    if nd < 0.8:
                        continue
                    pd = abs((q[6] - x) * nx + (q[7] - y) * ny + (q[8] - z) * nz) * depth_scale
                    # Keeps contact shadows: neighbours of very different light do not mix.
                    dl = abs(q[1] - p[1]) / (0.25 * p[1] + 0.25 * q[1] + 0.02)
                    w = nd**8 / (1.0 + 4 * pd * pd) / (1.0 + dl * dl) * math.exp(-0.3 * (di * di + dj * dj))
                    ws += w
                    r += w * q[0]
                    g += w * q[1]
                    b += w * q[2]
            if ws > 0:
                out[j, i, 0] = r / ws
                out[j, i, 1] = g / ws
                out[j, i, 2] = b / ws
    return out


@njit(cache=True, fastmath=True)
def gather(low, fi, fj, x, y, z, nx, ny, nz, depth, rad, acc):
    """Weighted mean of the sampled light near (fi, fj) in low-resolution pixels, along the same surface only."""
    hl, wl, _ = low.shape
    for c in range(6):
        acc[c] = 0.0
    ws = 0.0
    i0 = math.floor(fi)
    j0 = math.floor(fj)
    scale = 40.0 / depth
    for j in range(max(j0 - rad, 0), min(j0 + rad + 1, hl)):
        for i in range(max(i0 - rad, 0), min(i0 + rad + 1, wl)):
            q = low[j, i]
            nd = q[9] * nx + q[10] * ny + q[11] * nz
            if nd < 0.3:
                continue
            pd = abs((q[6] - x) * nx + (q[7] - y) * ny + (q[8] - z) * nz) * scale
            di = i - fi
            dj = j - fj
            wgt = nd * nd * nd * nd / (1.0 + pd * pd * 4) * math.exp(-(di * di + dj * dj) / (0.9 * rad * rad)) + 1e-7
            ws += wgt
            for c in range(6):
                acc[c] += wgt * q[c]
    if ws <= 0:
        q = low[min(max(j0, 0), hl - 1), min(max(i0, 0), wl - 1)]
        for c in range(6):
            acc[c] = q[c]
        return
    for c in range(6):
        acc[c] /= ws


@njit(cache=True, fastmath=True)
def sun_light(sun, x, y, z, nx, ny, nz, jit, size, openings, groups, gstart, ptype, inv, half, solid):
    """Share of the sun's irradiance (incl. cosine) that reaches a point through the panes; sun = (dx,dy,dz,...)."""
    dx = sun[0] + jit * 0.006
    dy = sun[1] - jit * 0.006
    dz = sun[2]
    c = nx * dx + ny * dy + nz * dz
    if c <= 0:
        return 0.0
    for w in range(4):
        if w == 0:
            t = -x / dx if dx < -1e-6 else -1.0
        elif w == 1:
            t = (size[0] - x) / dx if dx > 1e-6 else -1.0
        elif w == 2:
            t = -y / dy if dy < -1e-6 else -1.0
        else:
            t = (size[1] - y) / dy if dy > 1e-6 else -1.0
        if t <= 0 or z + t * dz > size[2]:
            continue
        px = x + t * dx
        py = y + t * dy
        pz = z + t * dz
        if px < -1e-3 or px > size[0] + 1e-3 or py < -1e-3 or py > size[1] + 1e-3:
            continue
        u, v = wall_uv(w, px, py, pz)
        i = in_opening(openings, w, u, v)
        if i < 0:
            continue
        o = openings[i]
        dn = abs(dx) if w <= 1 else abs(dy)
        s = o[O_DEPTH] / dn
        du = dy if w <= 1 else dx
        if in_opening(openings[i : i + 1], w, u + s * du, v + s * dz) < 0 or frame_cover(o, u + s * du, v + s * dz):
            continue
        return c * blocked(groups, gstart, ptype, inv, half, solid, x, y, z, dx, dy, dz, t)
    return 0.0
