"""Windows: the world outside, panes with frame and muntins, and the daylight that comes in.

Radiance and irradiance are in the unit that ``light`` explains.
"""

import math

from numba import njit

from training.scenes.textures import fbm, hash2, vnoise

# Parts of an opening that a ray can end on.
PLANE, REVEAL, FRAME, GLASS = 0, 1, 2, 3
# Columns of an opening row. O_TINT holds three columns (sky colour), the last one the frame material.
O_WALL, O_U0, O_U1, O_Z0, O_Z1, O_DEPTH, O_FRAME, O_NX, O_NZ, O_STYLE, O_SEED, O_SKY, O_HORIZON, O_TINT = range(14)
O_FRAME_MAT, O_COLS = 17, 18


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
