"""Ray casting against a room: a box seen from inside with openings, and groups of transformed primitives.

World axes: x to the right, y into the room, z up, metres. Primitives live in unit space ([-1, 1] cube, unit sphere,
z-aligned frustum of height [-1, 1]); ``inv`` (N,3,4) maps world to unit space and ``half`` (N,4) holds half sizes in
metres (for frusta: bottom radius, top radius, half height). All arrays are float64 unless named otherwise.
"""

import math

from numba import njit

BOX, ELLIPSOID, FRUSTUM = 0, 1, 2
# Pseudo primitive numbers of the room itself; primitives follow from FIRST_PRIM on.
WALL_X0, WALL_X1, WALL_Y0, WALL_Y1, FLOOR, CEILING = range(6)
FIRST_PRIM = 6
INF = 1e30


@njit(cache=True, fastmath=True)
def hit_prim(k, ptype, inv, half, ox, oy, oz, dx, dy, dz, best):
    """Nearest distance in (1e-4, best) at which the ray meets primitive k, or INF."""
    m = inv[k]
    px = m[0, 0] * ox + m[0, 1] * oy + m[0, 2] * oz + m[0, 3]
    py = m[1, 0] * ox + m[1, 1] * oy + m[1, 2] * oz + m[1, 3]
    pz = m[2, 0] * ox + m[2, 1] * oy + m[2, 2] * oz + m[2, 3]
    vx = m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz
    vy = m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz
    vz = m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz
    kind = ptype[k]
    if kind == 0:
        ix = 1.0 / vx if abs(vx) > 1e-12 else 1e12
        iy = 1.0 / vy if abs(vy) > 1e-12 else 1e12
        iz = 1.0 / vz if abs(vz) > 1e-12 else 1e12
        a = (-1 - px) * ix
        b = (1 - px) * ix
        lo = min(a, b)
        hi = max(a, b)
        a = (-1 - py) * iy
        b = (1 - py) * iy
        lo = max(lo, min(a, b))
        hi = min(hi, max(a, b))
        a = (-1 - pz) * iz
        b = (1 - pz) * iz
        lo = max(lo, min(a, b))
        hi = min(hi, max(a, b))
        if hi < lo or lo < 1e-4 or lo >= best:
            return INF
        return lo
    if kind == 1:
        a = vx * vx + vy * vy + vz * vz
        b = px * vx + py * vy + pz * vz
        c = px * px + py * py + pz * pz - 1.0
        d = b * b - a * c
        if d < 0:
            return INF
        t = (-b - math.sqrt(d)) / a
        if t < 1e-4 or t >= best:
            return INF
        return t
    # Frustum: x and y are metres here, z is in units of the half height, radius linear in z.
    rm = 0.5 * (half[k, 0] + half[k, 1])
    rs = 0.5 * (half[k, 1] - half[k, 0])
    rz = rm + rs * pz
    rv = rs * vz
    a = vx * vx + vy * vy - rv * rv
    b = px * vx + py * vy - rz * rv
    c = px * px + py * py - rz * rz
    t_out = INF
    d = b * b - a * c
    if d >= 0 and abs(a) > 1e-12:
        s = math.sqrt(d)
        for sg in range(2):
            t = (-b - s) / a if sg == 0 else (-b + s) / a
            z = pz + t * vz
            if t > 1e-4 and t < best and z >= -1 and z <= 1 and rm + rs * z > 0 and t < t_out:
                t_out = t
    if abs(vz) > 1e-12:
        for sg in range(2):
            zc = -1.0 if sg == 0 else 1.0
            t = (zc - pz) / vz
            if t > 1e-4 and t < best and t < t_out:
                x = px + t * vx
                y = py + t * vy
                r = half[k, 0] if sg == 0 else half[k, 1]
                if x * x + y * y <= r * r:
                    t_out = t
    return t_out


@njit(cache=True, fastmath=True)
def hit_aabb(b, ox, oy, oz, ix, iy, iz, best):
    """Whether the ray meets the axis-aligned box b (6,) before distance ``best``."""
    t0 = (b[0] - ox) * ix
    t1 = (b[1] - ox) * ix
    lo = min(t0, t1)
    hi = max(t0, t1)
    t0 = (b[2] - oy) * iy
    t1 = (b[3] - oy) * iy
    lo = max(lo, min(t0, t1))
    hi = min(hi, max(t0, t1))
    t0 = (b[4] - oz) * iz
    t1 = (b[5] - oz) * iz
    lo = max(lo, min(t0, t1))
    hi = min(hi, max(t0, t1))
    return hi >= max(lo, 0.0) and lo < best


@njit(cache=True, fastmath=True)
def safe_inv(v):
    """1/v without a division by zero."""
    if abs(v) < 1e-12:
        return 1e12 if v >= 0 else -1e12
    return 1.0 / v


@njit(cache=True, fastmath=True)
def closest_prim(groups, gstart, ptype, inv, half, ox, oy, oz, dx, dy, dz, best):
    """(distance, primitive) of the nearest primitive before ``best``; primitive is -1 when there is none."""
    ix = safe_inv(dx)
    iy = safe_inv(dy)
    iz = safe_inv(dz)
    who = -1
    for g in range(groups.shape[0]):
        if hit_aabb(groups[g], ox, oy, oz, ix, iy, iz, best):
            for k in range(gstart[g], gstart[g + 1]):
                t = hit_prim(k, ptype, inv, half, ox, oy, oz, dx, dy, dz, best)
                if t < best:
                    best = t
                    who = k
    return best, who


@njit(cache=True, fastmath=True)
def blocked(groups, gstart, ptype, inv, half, solid, ox, oy, oz, dx, dy, dz, tmax):
    """Share of light that passes along the segment: 0 when a solid stands in it, its transmission otherwise."""
    ix = safe_inv(dx)
    iy = safe_inv(dy)
    iz = safe_inv(dz)
    through = 1.0
    for g in range(groups.shape[0]):
        if hit_aabb(groups[g], ox, oy, oz, ix, iy, iz, tmax):
            for k in range(gstart[g], gstart[g + 1]):
                if solid[k] > 0 and hit_prim(k, ptype, inv, half, ox, oy, oz, dx, dy, dz, tmax) < tmax:
                    through *= 1.0 - solid[k]
                    if through < 0.02:
                        return 0.0
    return through


@njit(cache=True, fastmath=True)
def room_exit(size, ox, oy, oz, dx, dy, dz):
    """(distance, plane) at which a ray from inside leaves the room box ``size`` (width, depth, height)."""
    best = INF
    who = -1
    if dx > 1e-9:
        t = (size[0] - ox) / dx
        if t < best:
            best = t
            who = 1
    elif dx < -1e-9:
        t = -ox / dx
        if t < best:
            best = t
            who = 0
    if dy > 1e-9:
        t = (size[1] - oy) / dy
        if t < best:
            best = t
            who = 3
    elif dy < -1e-9:
        t = -oy / dy
        if t < best:
            best = t
            who = 2
    if dz > 1e-9:
        t = (size[2] - oz) / dz
        if t < best:
            best = t
            who = 5
    elif dz < -1e-9:
        t = -oz / dz
        if t < best:
            best = t
            who = 4
    return best, who


@njit(cache=True, fastmath=True)
def in_opening(openings, wall, u, z):
    """Number of the opening of this wall that contains (u, z), or -1. Rows: wall, u0, u1, z0, z1, depth, ..."""
    for i in range(openings.shape[0]):
        o = openings[i]
        if int(o[0]) == wall and u > o[1] and u < o[2] and z > o[3] and z < o[4]:
            return i
    return -1


@njit(cache=True, fastmath=True)
def prim_surface(k, ptype, inv, half, bevel, x, y, z):
    """Unit normal and texture coordinates (metres) of a point on primitive k.

    Returns (nx, ny, nz, u, v). Box normals bend within ``bevel`` metres of an edge, which reads as a rounded edge.
    """
    m = inv[k]
    px = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
    py = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
    pz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
    lx = px
    ly = py
    lz = pz
    if ptype[k] == 0:
        hx = half[k, 0]
        hy = half[k, 1]
        hz = half[k, 2]
        qx = (1 - abs(px)) * hx
        qy = (1 - abs(py)) * hy
        qz = (1 - abs(pz)) * hz
        b = bevel[k]
        if qx <= qy and qx <= qz:
            u = py * hy
            v = pz * hz
            lx = 1.0
            ly = max(0.0, 1 - qy / b) if b > 0 else 0.0
            lz = max(0.0, 1 - qz / b) if b > 0 else 0.0
        elif qy <= qz:
            u = px * hx
            v = pz * hz
            ly = 1.0
            lx = max(0.0, 1 - qx / b) if b > 0 else 0.0
            lz = max(0.0, 1 - qz / b) if b > 0 else 0.0
        else:
            u = px * hx
            v = py * hy
            lz = 1.0
            lx = max(0.0, 1 - qx / b) if b > 0 else 0.0
            ly = max(0.0, 1 - qy / b) if b > 0 else 0.0
        # Unit space is scaled by 1 / half per axis, so dividing by it here cancels the scale of ``inv`` below.
        lx = math.copysign(lx, px) * hx
        ly = math.copysign(ly, py) * hy
        lz = math.copysign(lz, pz) * hz
    elif ptype[k] == 1:
        u = math.atan2(py, px) * 0.5 * (half[k, 0] + half[k, 1])
        v = pz * half[k, 2]
    elif abs(pz) > 0.9999 or px * px + py * py < 0.98 * min(half[k, 0], half[k, 1]) ** 2:
        lx = 0.0
        ly = 0.0
        lz = math.copysign(1.0, pz) * half[k, 2]
        u = px
        v = py
    else:
        r = math.sqrt(px * px + py * py) + 1e-9
        slope = (half[k, 0] - half[k, 1]) / (2 * half[k, 2])
        lx = px / r
        ly = py / r
        lz = slope * half[k, 2]
        u = math.atan2(py, px) * 0.5 * (half[k, 0] + half[k, 1])
        v = pz * half[k, 2]
    nx = m[0, 0] * lx + m[1, 0] * ly + m[2, 0] * lz
    ny = m[0, 1] * lx + m[1, 1] * ly + m[2, 1] * lz
    nz = m[0, 2] * lx + m[1, 2] * ly + m[2, 2] * lz
    n = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
    return nx * n, ny * n, nz * n, u, v
