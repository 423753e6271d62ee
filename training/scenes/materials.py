"""Sampling of materials: colours people have at home, as packed rows of ``textures``."""

from __future__ import annotations

import colorsys

import numpy as np

from training.arrays import Floats
from training.scenes.sensor import srgb_decode

from . import textures as tx

Rng = np.random.Generator

# sRGB colours measured by eye from ordinary interiors; neutral names are not needed here.
WHITES = ("f4f2ec", "efece4", "e9e4d8", "f6f6f4", "e4e1da", "dcd8cf", "ece6da", "f1eee9")
PAINTS = (
    "d8cfc0",
    "c9d1c8",
    "b7c4c9",
    "a9b7a0",
    "d9c3b0",
    "8fa3a8",
    "5e7f8c",
    "3f5a6b",
    "2f3f4f",
    "7a8b6f",
    "a8a04a",
    "c8a27a",
    "b5654a",
    "d9b7b0",
    "e3d4b4",
    "8a7f78",
    "5a5550",
    "474a4e",
    "96a5b8",
    "c4b7c9",
    "6d7f5e",
    "d2a94f",
    "8c5a4a",
    "ab8f7c",
    "bcc7bd",
    "9aa39b",
    "3c4a3e",
    "e0c9c0",
    "cfd8dc",
    "b0a090",
)
WOODS = (
    ("d9b98c", "b88a55"),
    ("c79a63", "94663a"),
    ("a06a3c", "6d4022"),
    ("7a4a2b", "48280f"),
    ("5a3a26", "2d1a10"),
    ("e2cfae", "c7a97d"),
    ("b9a88f", "8f7c62"),
    ("8e4a2c", "5c2815"),
    ("d0c4b0", "a89a84"),
    ("9a8a78", "6b5d4f"),
    ("b07a45", "7d4f28"),
    ("9c4a2a", "6a2a14"),
)
STONES = (
    ("d5d0c6", "b9b2a5"),
    ("c2bcb2", "a39c90"),
    ("8f8b85", "6e6a64"),
    ("e8e4dc", "cfc8bb"),
    ("a79d8c", "877c6b"),
    ("5a5b5d", "3e3f41"),
    ("cdb79a", "a8906f"),
    ("b8bdbf", "969b9d"),
    ("efeeea", "dcdad4"),
    ("b56b4a", "8c4a30"),
)
FABRICS = (
    "d9d4c8",
    "b8b0a2",
    "8f8f8c",
    "6a6f75",
    "3d4450",
    "7b6a58",
    "a7613f",
    "c9a24f",
    "5f7261",
    "3f5a4d",
    "8a3f3a",
    "2b2d33",
    "e6e0d4",
    "9fb0bd",
    "c7b8b0",
    "54473e",
    "b9c0a8",
    "6b4a5e",
    "a8a04a",
    "4a6a8a",
)


def lin(hexa: str) -> Floats:
    """Linear sRGB (3,) of a six-digit hex colour."""
    return srgb_decode(np.array([int(hexa[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0)


def jitter(rng: Rng, c: Floats, amount: float = 0.12) -> Floats:
    """Colour near ``c``: brightness by ``amount``, each channel by a third of it."""
    near: Floats = np.clip(c * np.exp(rng.normal(0, amount)) * np.exp(rng.normal(0, amount / 3, 3)), 0.005, 0.92)
    return near


def any_colour(rng: Rng) -> Floats:
    """Any colour at all, mostly muted."""
    h, s, v = rng.random(), rng.beta(1.6, 2.5), rng.uniform(0.12, 0.97)
    return np.clip(srgb_decode(np.array(colorsys.hsv_to_rgb(h, s, v))), 0.005, 0.92)


def _seed(rng: Rng) -> int:
    return int(rng.integers(0, 100000))


def paint_colour(rng: Rng, white: float = 0.5) -> Floats:
    """A wall paint: white with probability ``white``, else a paint, else anything."""
    p = rng.random()
    if p < white:
        return jitter(rng, lin(str(rng.choice(WHITES))), 0.06)
    if p < white + (1 - white) * 0.75:
        return jitter(rng, lin(str(rng.choice(PAINTS))))
    return any_colour(rng)


def wood_pair(rng: Rng) -> tuple[Floats, Floats]:
    """Light and dark tone of one wood."""
    a, b = WOODS[int(rng.integers(len(WOODS)))]
    k = np.exp(rng.normal(0, 0.12))
    return np.clip(lin(a) * k, 0, 0.9), np.clip(lin(b) * k, 0, 0.9)


def floor(rng: Rng, kind: str) -> Floats:
    """A floor material for a room kind."""
    p = rng.random()
    s = _seed(rng)
    rot = float(rng.choice([0.0, np.pi / 2, np.pi / 4, -np.pi / 4], p=[0.42, 0.42, 0.08, 0.08]))
    gloss, rough = float(rng.choice([0.0, rng.uniform(0.3, 1.0)], p=[0.15, 0.85])), float(rng.uniform(0.01, 0.16))
    tile_bias = 0.55 if kind in ("kitchen", "hall") else 0.22
    if p < tile_bias:
        a, b = (lin(c) for c in STONES[int(rng.integers(len(STONES)))])
        if rng.random() < 0.1:
            size = rng.uniform(0.2, 0.45)
            return tx.pack(tx.CHECKER, a * 0.9, b * rng.uniform(0.1, 0.6), params=(size,), gloss=gloss, rough=rough, rot=rot)
        w = float(rng.choice([0.2, 0.3, 0.45, 0.6, 0.8]))
        ht = w * float(rng.choice([1, 1, 0.5, 2]))
        grout = jitter(rng, b * 0.7 if rng.random() < 0.6 else a * 1.1, 0.1)
        kind_id = tx.TERRAZZO if rng.random() < 0.15 else tx.TILES
        off = float(rng.choice([0, 0, 0.5, 1 / 3]))
        params = (w, ht, rng.uniform(0.0012, 0.004), off, rng.uniform(0, 0.4), rng.uniform(0.3, 1.0))
        return tx.pack(kind_id, a, b, grout, params, gloss, rough, seed=s, rot=rot)
    if p < tile_bias + 0.10:
        a = jitter(rng, lin(str(rng.choice(FABRICS))))
        return tx.pack(tx.CARPET, a, a * rng.uniform(0.6, 0.85), seed=s, rot=rot)
    if p < tile_bias + 0.16:
        a = jitter(rng, lin(str(rng.choice(("9a9790", "b5b1a8", "77756f", "c9c5bc")))))
        return tx.pack(tx.CONCRETE, a, a * 0.65, params=(rng.uniform(0.5, 1.6),), gloss=gloss, rough=rough + 0.05, seed=s)
    if p < tile_bias + 0.19:
        a = lin("e6e3dd")
        return tx.pack(tx.MARBLE, a, a * rng.uniform(0.3, 0.7), gloss=max(gloss, 0.6), rough=0.02, seed=s, rot=rot)
    a, b = wood_pair(rng)
    tone, grain = rng.uniform(0.1, 0.9), rng.uniform(0.5, 1.6)
    gap = rng.uniform(0.0006, 0.002)
    if rng.random() < 0.2:
        return tx.pack(
            tx.HERRINGBONE,
            a,
            b,
            b * 0.3,
            (rng.uniform(0.06, 0.12), int(rng.integers(4, 7)), gap, tone, grain),
            gloss,
            rough,
            seed=s,
            rot=float(rng.choice([np.pi / 4, 0])),
        )
    return tx.pack(
        tx.PLANKS, a, b, b * 0.3, (rng.uniform(0.07, 0.24), rng.uniform(0.7, 2.4), gap, tone, grain), gloss, rough, seed=s, rot=rot
    )


def wall(rng: Rng, colour: Floats | None = None, plain: float = 0.72) -> Floats:
    """A wall material; ``colour`` fixes the paint."""
    c = paint_colour(rng) if colour is None else colour
    s = _seed(rng)
    p = rng.random()
    if p < plain:
        return tx.pack(tx.PAINT, c, params=(rng.uniform(0, 0.06),), seed=s)
    dark = np.clip(c * rng.uniform(0.45, 0.85), 0, 1)
    k = int(rng.integers(0, 9))
    if k == 0:
        return tx.pack(tx.STRIPES, c, dark, params=(rng.uniform(0.08, 0.4), rng.uniform(0.3, 0.6)))
    if k == 1:
        return tx.pack(tx.DAMASK, c, dark, params=(rng.uniform(0.12, 0.5), int(rng.integers(3, 9)), rng.uniform(0, 0.7)))
    if k == 2:
        a = jitter(rng, lin(str(rng.choice(("a4573c", "8a4a38", "b57a5c", "c9b8a4", "e3ded4", "6d4436")))))
        return tx.pack(tx.BRICK, a, a * 0.6, lin("b9b2a6") * rng.uniform(0.5, 1.1), (0.23, 0.075, 0.005, 0.5, 0.8, 0.8), seed=s)
    if k in (3, 4):
        return tx.pack(tx.BEADBOARD, c, params=(rng.uniform(0.05, 0.14),), gloss=0.25, rough=0.25)
    if k == 5:
        return tx.pack(tx.SHIPLAP, c, params=(rng.uniform(0.1, 0.22),), gloss=0.2, rough=0.25)
    if k == 6:
        return tx.pack(tx.BATTENS, c, params=(rng.uniform(0.3, 0.7), rng.uniform(0.03, 0.07)), gloss=0.2, rough=0.25)
    if k == 7:
        a, b = wood_pair(rng)
        return tx.pack(
            tx.PLANKS,
            a,
            b,
            b * 0.4,
            (rng.uniform(0.1, 0.3), 2.4, 0.001, 0.4, 1.2),
            0.2,
            0.2,
            seed=s,
            rot=float(rng.choice([0.0, np.pi / 2])),
        )
    return tx.pack(tx.CONCRETE, c, c * 0.8, params=(1.0,), seed=s)


def backsplash(rng: Rng) -> Floats:
    """Wall tiles of a kitchen."""
    c = paint_colour(rng, 0.65)
    w = rng.uniform(0.1, 0.3)
    return tx.pack(
        tx.TILES, c, c * 0.85, c * rng.uniform(0.5, 0.9), (w, w * rng.choice([1.0, 0.5]), 0.0015, 0.5, 0.4, 0.2), 0.5, 0.05, seed=_seed(rng)
    )


def ceiling(rng: Rng) -> Floats:
    """A ceiling: nearly always white paint."""
    p = rng.random()
    if p < 0.85:
        return tx.pack(tx.PAINT, jitter(rng, lin(str(rng.choice(WHITES))), 0.05), params=(0.02,))
    if p < 0.93:
        a, b = wood_pair(rng)
        return tx.pack(tx.PLANKS, a, b, b * 0.4, (0.14, 2.4, 0.001, 0.4, 1.0), seed=_seed(rng), rot=float(rng.choice([0, np.pi / 2])))
    return tx.pack(tx.PAINT, paint_colour(rng, 0.2))


def wood(rng: Rng, gloss: float = 0.35) -> Floats:
    """Furniture wood."""
    a, b = wood_pair(rng)
    return tx.pack(tx.WOOD, a, b, params=(rng.uniform(0.8, 1.8),), gloss=gloss, rough=rng.uniform(0.08, 0.3), seed=_seed(rng))


def lacquer(rng: Rng, white: float = 0.5) -> Floats:
    """Painted furniture, doors, frames."""
    return tx.pack(tx.PAINT, paint_colour(rng, white), gloss=rng.uniform(0.1, 0.6), rough=rng.uniform(0.05, 0.3))


def fabric(rng: Rng, pattern: float = 0.15, colour: Floats | None = None) -> Floats:
    """Upholstery or bedding."""
    c = (jitter(rng, lin(str(rng.choice(FABRICS)))) if rng.random() < 0.75 else any_colour(rng)) if colour is None else colour
    c2 = any_colour(rng)
    p1 = rng.uniform(0.03, 0.25) if rng.random() < pattern else 0.0
    return tx.pack(tx.FABRIC, c, c * rng.uniform(0.6, 0.9), c2, (rng.uniform(0.3, 1.0), p1, rng.uniform(0.1, 0.7)), seed=_seed(rng))


def metal(rng: Rng) -> Floats:
    """Handles, legs, fixtures: brass, steel or black."""
    c = lin(str(rng.choice(("b08a4a", "9a9a9c", "1c1c1e", "d8d8d8", "6a5a48"))))
    return tx.pack(tx.PAINT, c * 0.8, gloss=3.0, rough=0.12)


def furniture_surface(rng: Rng) -> Floats:
    """Wood mostly, lacquer otherwise."""
    return wood(rng) if rng.random() < 0.6 else lacquer(rng)


def rug(rng: Rng, hx: float, hy: float) -> Floats:
    """A rug of half size (hx, hy)."""
    a, b, c = (jitter(rng, lin(str(rng.choice(FABRICS)))) if rng.random() < 0.7 else any_colour(rng) for _ in range(3))
    return tx.pack(tx.RUG, a, b, c, (hx, hy, int(rng.integers(0, 5)), rng.uniform(0.06, 0.3)), seed=_seed(rng))


def art(rng: Rng, w: float, h: float) -> Floats:
    """A picture of w x h metres."""
    return tx.pack(
        tx.ART,
        any_colour(rng),
        any_colour(rng),
        any_colour(rng),
        (w, h, int(rng.integers(0, 4)), rng.choice([0.0, rng.uniform(0.05, 0.2)])),
        0.4,
        0.03,
        seed=_seed(rng),
    )


def curtain(rng: Rng, sheer: bool) -> Floats:
    """Curtain cloth with folds; sheer ones let daylight through."""
    c = jitter(rng, lin(str(rng.choice(WHITES + FABRICS)))) if rng.random() < 0.8 else any_colour(rng)
    stripe = rng.uniform(0.08, 0.4) if rng.random() < 0.12 else 0.0
    return tx.pack(
        tx.FOLDS,
        c,
        any_colour(rng) if stripe else c * 0.8,
        None,
        (rng.uniform(0.06, 0.2), rng.uniform(0.25, 0.6), stripe, rng.random()),
        seed=_seed(rng),
        trans=rng.uniform(0.25, 0.6) if sheer else rng.uniform(0.0, 0.12),
    )
