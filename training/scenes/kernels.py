"""The three image passes: primary rays, light at reduced resolution, and full-resolution shading.

Pass 1 finds what each pixel centre sees. Pass 2 samples light with soft shadows and one bounce on every ``step``-th
pixel. Pass 3 gathers that light along surfaces only, adds sun, textures and highlights, and supersamples edges.
"""

import math

import numpy as np
from numba import njit

from training.scenes.gather import gather, sun_light
from training.scenes.intersect import blocked
from training.scenes.light import lamp_light, seen_radiance, trace
from training.scenes.openings import FRAME, GLASS, O_FRAME_MAT, REVEAL, daylight, outside
from training.scenes.textures import C0, EMIT, GLOSS, ROUGH, TRANS, hash2, texture


@njit(cache=True, fastmath=True)
def ray(cam, px, py):
    """Unit direction of image point (px, py); cam = (ox, oy, oz, fx, fy, cx, cy, rotation rows right/down/forward)."""
    a = (px - cam[5]) / cam[3]
    b = (py - cam[6]) / cam[4]
    dx = cam[7] * a + cam[10] * b + cam[13]
    dy = cam[8] * a + cam[11] * b + cam[14]
    dz = cam[9] * a + cam[12] * b + cam[15]
    n = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
    return dx * n, dy * n, dz * n


@njit(cache=True, fastmath=True, nogil=True)
def primary(cam, w, h, size, openings, groups, gstart, ptype, inv, half, bevel):
    """Pass 1. Returns surf (h,w) int32, opening/part (h,w) int16 each and geo (h,w,6) float32 = t, normal, u, v."""
    surf = np.empty((h, w), np.int32)
    opening = np.empty((h, w), np.int16)
    part = np.empty((h, w), np.int16)
    geo = np.empty((h, w, 6), np.float32)
    for j in range(h):
        for i in range(w):
            dx, dy, dz = ray(cam, i + 0.5, j + 0.5)
            t, s, o, p, nx, ny, nz, u, v = trace(
                size, openings, groups, gstart, ptype, inv, half, bevel, cam[0], cam[1], cam[2], dx, dy, dz
            )
            surf[j, i] = s
            opening[j, i] = o
            part[j, i] = p
            geo[j, i, 0] = t
            geo[j, i, 1] = nx
            geo[j, i, 2] = ny
            geo[j, i, 3] = nz
            geo[j, i, 4] = u
            geo[j, i, 5] = v
    return surf, opening, part, geo


@njit(cache=True, fastmath=True, nogil=True)
def sample_light(
    cam,
    surf,
    opening,
    part,
    geo,
    step,
    seed,
    n_win,
    n_lamp,
    n_bounce,
    size,
    openings,
    groups,
    gstart,
    ptype,
    inv,
    half,
    bevel,
    solid,
    mat_of,
    mats,
    mat_mean,
    plane_mat,
    plane_albedo,
    lamps,
    grid,
):
    """Pass 2. Returns low (hl,wl,12) float32: irradiance rgb, mirror rgb, position xyz, normal xyz."""
    h, w = surf.shape
    hl = (h + step - 1) // step
    wl = (w + step - 1) // step
    low = np.zeros((hl, wl, 12), np.float32)
    for jl in range(hl):
        j = min(jl * step + step // 2, h - 1)
        for il in range(wl):
            i = min(il * step + step // 2, w - 1)
            dx, dy, dz = ray(cam, i + 0.5, j + 0.5)
            t = geo[j, i, 0] - 1e-4
            nx = geo[j, i, 1]
            ny = geo[j, i, 2]
            nz = geo[j, i, 3]
            x = cam[0] + t * dx + nx * 2e-3
            y = cam[1] + t * dy + ny * 2e-3
            z = cam[2] + t * dz + nz * 2e-3
            low[jl, il, 6] = x
            low[jl, il, 7] = y
            low[jl, il, 8] = z
            low[jl, il, 9] = nx
            low[jl, il, 10] = ny
            low[jl, il, 11] = nz
            if part[j, i] == GLASS:
                continue
            # One R2 sequence (Roberts 2018) is dealt out over 4 x 4 neighbours: the gather then averages all of it.
            deal = (il & 3) * 4 + (jl & 3)
            deal = (deal * 7 + 5 * (jl & 1)) & 15
            h0 = (0.7548776662 * deal + hash2(0, 0, seed)) % 1.0
            h1 = (0.5698402910 * deal + hash2(1, 0, seed)) % 1.0
            er = 0.0
            eg = 0.0
            eb = 0.0
            for k in range(openings.shape[0]):
                o = openings[k]
                for s in range(n_win):
                    a = (h0 + 0.7548776662 * 16 * s) % 1.0
                    b = (h1 + 0.5698402910 * 16 * s) % 1.0
                    r, g, bl, lx, ly, lz, dist = daylight(o, size, a, b, x, y, z, nx, ny, nz)
                    if r + g + bl > 1e-4:
                        v = blocked(groups, gstart, ptype, inv, half, solid, x, y, z, lx, ly, lz, dist) / n_win
                        er += v * r
                        eg += v * g
                        eb += v * bl
            for k in range(lamps.shape[0]):
                for s in range(n_lamp):
                    j0 = 2 * ((h0 + 0.8191725134 * 16 * s) % 1.0) - 1
                    j1 = 2 * ((h1 + 0.6710436067 * 16 * s) % 1.0) - 1
                    j2 = 2 * ((h0 + h1 + 0.5497004779 * 16 * s) % 1.0) - 1
                    r, g, bl, lx, ly, lz, dist = lamp_light(lamps[k], x, y, z, nx, ny, nz, j0, j1, j2)
                    if r + g + bl > 1e-4:
                        v = blocked(groups, gstart, ptype, inv, half, solid, x, y, z, lx, ly, lz, dist - lamps[k, 3]) / n_lamp
                        er += v * r
                        eg += v * g
                        eb += v * bl
            # Tangent frame for the cosine-weighted bounce rays.
            if abs(nz) < 0.9:
                tx, ty, tz = -ny, nx, 0.0
            else:
                tx, ty, tz = 0.0, -nz, ny
            q = 1.0 / (math.sqrt(tx * tx + ty * ty + tz * tz) + 1e-9)
            tx *= q
            ty *= q
            tz *= q
            bx = ny * tz - nz * ty
            by = nz * tx - nx * tz
            bz = nx * ty - ny * tx
            for s in range(n_bounce):
                a = (h1 + 0.7548776662 * 16 * s) % 1.0
                b = 6.2831853 * ((h0 + 0.5698402910 * 16 * s) % 1.0)
                rr = math.sqrt(a)
                ca = rr * math.cos(b)
                sa = rr * math.sin(b)
                cz = math.sqrt(1 - a)
                lx = tx * ca + bx * sa + nx * cz
                ly = ty * ca + by * sa + ny * cz
                lz = tz * ca + bz * sa + nz * cz
                t2, s2, o2, p2, mx, my, mz, _, _ = trace(size, openings, groups, gstart, ptype, inv, half, bevel, x, y, z, lx, ly, lz)
                r, g, bl = seen_radiance(
                    size,
                    openings,
                    grid,
                    plane_albedo,
                    mat_mean,
                    mats,
                    mat_of,
                    s2,
                    o2,
                    p2,
                    x + t2 * lx,
                    y + t2 * ly,
                    z + t2 * lz,
                    mx,
                    my,
                    mz,
                    lx,
                    ly,
                    lz,
                    False,
                )
                er += r / n_bounce
                eg += g / n_bounce
                eb += bl / n_bounce
            low[jl, il, 0] = er
            low[jl, il, 1] = eg
            low[jl, il, 2] = eb
            sf = surf[j, i]
            m = mat_of[sf - 6] if sf >= 6 else plane_mat[sf]
            if part[j, i] == FRAME:
                m = int(openings[opening[j, i], O_FRAME_MAT])
            if mats[m, GLOSS] > 0 and part[j, i] != REVEAL:
                c = min(max(-(dx * nx + dy * ny + dz * nz), 0.0), 1.0)
                rough = mats[m, ROUGH]
                ns = 2 if rough < 0.05 else 5
                sr = 0.0
                sg = 0.0
                sb = 0.0
                for s in range(ns):
                    a = 2 * ((h0 + 0.7548776662 * 16 * s) % 1.0) - 1
                    b = 2 * ((h1 + 0.5698402910 * 16 * s) % 1.0) - 1
                    gx = nx + rough * (a * tx + b * bx)
                    gy = ny + rough * (a * ty + b * by)
                    gz = nz + rough * (a * tz + b * bz)
                    q = 1.0 / math.sqrt(gx * gx + gy * gy + gz * gz)
                    gx *= q
                    gy *= q
                    gz *= q
                    d = 2 * (dx * gx + dy * gy + dz * gz)
                    rx = dx - d * gx
                    ry = dy - d * gy
                    rz = dz - d * gz
                    if rx * nx + ry * ny + rz * nz <= 0:
                        continue
                    t2, s2, o2, p2, mx, my, mz, _, _ = trace(size, openings, groups, gstart, ptype, inv, half, bevel, x, y, z, rx, ry, rz)
                    r, g, bl = seen_radiance(
                        size,
                        openings,
                        grid,
                        plane_albedo,
                        mat_mean,
                        mats,
                        mat_of,
                        s2,
                        o2,
                        p2,
                        x + t2 * rx,
                        y + t2 * ry,
                        z + t2 * rz,
                        mx,
                        my,
                        mz,
                        rx,
                        ry,
                        rz,
                        True,
                    )
                    sr += r / ns
                    sg += g / ns
                    sb += bl / ns
                # Schlick's approximation of Fresnel reflection for a dielectric (normal incidence 4 %).
                f = mats[m, GLOSS] * (0.04 + 0.96 * max(0.0, 1 - c) ** 5 * (1 - rough) ** 2)
                low[jl, il, 3] = f * sr
                low[jl, il, 4] = f * sg
                low[jl, il, 5] = f * sb
    return low


@njit(cache=True, fastmath=True, nogil=True)
def shade(
    cam,
    surf,
    opening,
    part,
    geo,
    low,
    step,
    rad,
    spp,
    edge_spp,
    seed,
    size,
    openings,
    groups,
    gstart,
    ptype,
    inv,
    half,
    bevel,
    solid,
    mat_of,
    mats,
    plane_mat,
    sun,
    alt,
):
    """Pass 3. ``alt`` (M,) int maps a material to its override or to itself.

    Returns float32 (h,w,3) each: albedo, light of the original room, light, gloss; and the overridden share (h,w).
    The two light images are ``sum(albedo * shading)`` over the subsamples, so that their quotient by the albedo is
    the effective shading of the pixel.
    """
    h, w = surf.shape
    alb2 = np.zeros((h, w, 3), np.float32)
    lit = np.zeros((h, w, 3), np.float32)
    lit2 = np.zeros((h, w, 3), np.float32)
    spec = np.zeros((h, w, 3), np.float32)
    cover = np.zeros((h, w), np.float32)
    acc = np.zeros(6)
    pix = 1.0 / cam[3]
    for j in range(h):
        for i in range(w):
            s0 = surf[j, i]
            edge = False
            for dj in range(-1, 2):
                for di in range(-1, 2):
                    jj = min(max(j + dj, 0), h - 1)
                    ii = min(max(i + di, 0), w - 1)
                    if surf[jj, ii] != s0 or part[jj, ii] != part[j, i]:
                        edge = True
            n = edge_spp if edge else spp
            inv_n = 1.0 / n
            for s in range(n):
                if n == 1:
                    ox = 0.5
                    oy = 0.5
                else:
                    ox = (s * 0.7548776662 + 0.5) % 1.0
                    oy = (s * 0.5698402910 + 0.5) % 1.0
                dx, dy, dz = ray(cam, i + ox, j + oy)
                if s == 0:
                    t = geo[j, i, 0]
                    sf = s0
                    op = opening[j, i]
                    pt = part[j, i]
                    nx = geo[j, i, 1]
                    ny = geo[j, i, 2]
                    nz = geo[j, i, 3]
                    u = geo[j, i, 4]
                    v = geo[j, i, 5]
                else:
                    t, sf, op, pt, nx, ny, nz, u, v = trace(
                        size, openings, groups, gstart, ptype, inv, half, bevel, cam[0], cam[1], cam[2], dx, dy, dz
                    )
                if pt == GLASS:
                    r, g, b = outside(openings[op], dx, dy, dz)
                    spec[j, i, 0] += r * inv_n
                    spec[j, i, 1] += g * inv_n
                    spec[j, i, 2] += b * inv_n
                    continue
                x = cam[0] + t * dx + nx * 2e-3
                y = cam[1] + t * dy + ny * 2e-3
                z = cam[2] + t * dz + nz * 2e-3
                if sf >= 6:
                    m = mat_of[sf - 6]
                elif pt in (FRAME, REVEAL):
                    m = int(openings[op, O_FRAME_MAT]) + (1 if pt == REVEAL else 0)
                else:
                    m = plane_mat[sf]
                gather(low, (i + ox - 0.5 - step // 2) / step, (j + oy - 0.5 - step // 2) / step, x, y, z, nx, ny, nz, t, rad, acc)
                if sun[3] > 0:
                    k = sun_light(
                        sun, x, y, z, nx, ny, nz, hash2(i * 4 + s, j, seed) * 2 - 1, size, openings, groups, gstart, ptype, inv, half, solid
                    )
                    acc[0] += k * sun[3]
                    acc[1] += k * sun[4]
                    acc[2] += k * sun[5]
                if mats[m, TRANS] > 0:
                    # A curtain glows with what is behind it: daylight where the ray would reach a pane.
                    _, _, o2, p2, _, _, _, _, _ = trace(
                        size, openings, groups[:0], gstart[:1], ptype, inv, half, bevel, x, y, z, dx, dy, dz
                    )
                    if o2 >= 0 and p2 != REVEAL:
                        k = mats[m, TRANS] * openings[o2, 11] * (1.0 if p2 == GLASS else 0.35)
                        acc[0] += k * openings[o2, 13]
                        acc[1] += k * openings[o2, 14]
                        acc[2] += k * openings[o2, 15]
                cos = max(abs(nx * dx + ny * dy + nz * dz), 0.08)
                fw = t * pix / math.sqrt(cos)
                r, g, b, cav = texture(mats[m], u, v, fw)
                m2 = alt[m]
                if m2 != m:
                    cover[j, i] += inv_n
                    r2, g2, b2, cav2 = texture(mats[m2], u, v, fw)
                    # A paint override keeps the relief (joints, folds) that is there; a material brings its own.
                    if mats[m2, 0] == 0:
                        cav2 = cav
                else:
                    r2, g2, b2, cav2 = r, g, b, cav
                em = mats[m, EMIT]
                alb2[j, i, 0] += r2 * inv_n
                alb2[j, i, 1] += g2 * inv_n
                alb2[j, i, 2] += b2 * inv_n
                lit[j, i, 0] += r * acc[0] * cav * inv_n
                lit[j, i, 1] += g * acc[1] * cav * inv_n
                lit[j, i, 2] += b * acc[2] * cav * inv_n
                lit2[j, i, 0] += r2 * acc[0] * cav2 * inv_n
                lit2[j, i, 1] += g2 * acc[1] * cav2 * inv_n
                lit2[j, i, 2] += b2 * acc[2] * cav2 * inv_n
                spec[j, i, 0] += (acc[3] + em * mats[m, C0]) * inv_n
                spec[j, i, 1] += (acc[4] + em * mats[m, C0 + 1]) * inv_n
                spec[j, i, 2] += (acc[5] + em * mats[m, C0 + 2]) * inv_n
    return alb2, lit, lit2, spec, cover
