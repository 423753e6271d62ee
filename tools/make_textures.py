"""Draw the catalogue's seamless materials: `python tools/make_textures.py [--out respray/catalog/textures]`. Deterministic; own designs.

Every picture repeats without a seam because all noise is made by filtering on the torus (FFT) and all layouts divide the picture evenly.
Sizes in metres stand in respray/catalog/textures/catalogue.yaml and must fit the layouts here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
QUALITY = 90


def noise(rng: np.random.Generator, size: int, scale_x: float, scale_y: float, power: float = 1.0) -> Array:
    """Periodic Gaussian noise float32 [size,size], mean 0, deviation 1; features about `scale_x` x `scale_y` pixels large."""
    fx, fy = np.fft.fftfreq(size)[None], np.fft.fftfreq(size)[:, None]
    radius = (fx * scale_x) ** 2 + (fy * scale_y) ** 2
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) / (1.0 + radius) ** (1.0 + power)
    spectrum[0, 0] = 0.0
    field = np.fft.ifft2(spectrum).real
    normal: Array = (field / field.std()).astype(np.float32)
    return normal


def color(hex_code: str) -> Array:
    """'#rrggbb' -> sRGB float32 [3] in 0..1."""
    return np.array([int(hex_code[i : i + 2], 16) / 255.0 for i in (1, 3, 5)], np.float32)


def mix(low: Array, high: Array, share: Array) -> Array:
    """Blend two sRGB colours by share [h,w] (clipped to 0..1): [h,w,3]."""
    share = np.clip(share, 0.0, 1.0)[..., None]
    mixed: Array = low * (1.0 - share) + high * share
    return mixed


def wood_grain(rng: np.random.Generator, size: int, dark: str, light: str) -> Array:
    """A sheet of wood, grain along x: growth rings as warped stripes, fibres and pores. sRGB [size,size,3]."""
    warp = noise(rng, size, 900, 60) * 1.3 + noise(rng, size, 260, 22) * 0.35
    y = np.arange(size, dtype=np.float32)[:, None] / size
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (y * 14 + warp * 0.9))
    fibres = noise(rng, size, 220, 1.6, 0.4)
    pores = np.clip(noise(rng, size, 40, 1.2, 0.3) - 1.7, 0.0, 1.0)
    share = 0.55 + 0.20 * (rings**2 - 0.4) + 0.10 * fibres + 0.12 * noise(rng, size, 700, 90)
    return mix(color(dark), color(light), share) * (1.0 - 0.25 * pores[..., None])


def planks(seed: int, size: int, dark: str, light: str, rows: int = 12, seam: str = "#5a4530") -> Array:
    """Boards along x, `rows` of them, with staggered butt joints; each board its own piece of grain and tone."""
    rng = np.random.default_rng(seed)
    sheets = [wood_grain(rng, size, dark, light) for _ in range(3)]
    out = np.zeros((size, size, 3), np.float32)
    edges = np.zeros((size, size), np.float32)
    bounds = np.linspace(0, size, rows + 1).round().astype(int)
    for row in range(rows):
        top, bottom = int(bounds[row]), int(bounds[row + 1])
        cuts = np.sort((np.array([0, size // 2]) + int(rng.integers(size)) + rng.integers(-size // 8, size // 8, 2)) % size)
        for start, stop in ((cuts[0], cuts[1]), (cuts[1], cuts[0] + size)):
            xs = np.arange(start, stop) % size
            piece = sheets[int(rng.integers(3))][
                np.arange(bottom - top)[:, None] + int(rng.integers(size - (bottom - top))), (xs + int(rng.integers(size)))[None] % size
            ]
            tone = 1.0 + 0.08 * rng.standard_normal()
            out[top:bottom, xs] = piece * tone * (1.0 + 0.008 * rng.standard_normal(3))
            edges[top:bottom, [int(start) % size, (int(start) + 1) % size]] = 0.7
        edges[top : top + 2] = 0.65
    edges = np.asarray(cv2.GaussianBlur(np.tile(edges, (3, 3)), (0, 0), 0.7)[size : 2 * size, size : 2 * size], np.float32)
    return mix_image(out, color(seam), edges)


def herringbone(seed: int, size: int, dark: str, light: str, repeats: int = 4) -> Array:
    """Blocks of 1 : 4 in herringbone. One repeat of the lattice is 8 x 8 block widths turned by 45 degrees; drawn unturned."""
    rng = np.random.default_rng(seed)
    sheet = wood_grain(rng, size, dark, light)
    turned = np.ascontiguousarray(sheet.transpose(1, 0, 2))
    cell = size // (repeats * 4)
    out, edges = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    count = repeats * 4
    for k in range(count):
        for step in range(count // 4):
            # On row k a horizontal block of four cells starts at column k + 4 x step x 2; vertical blocks fill the gaps.
            x = (k + 8 * step) * cell
            if 8 * step >= count:
                continue
            _block(rng, out, edges, sheet, x, k * cell, 4 * cell, cell)
            _block(rng, out, edges, turned, x + 4 * cell, (k - 3) * cell, cell, 4 * cell)
    edges = np.asarray(cv2.GaussianBlur(np.tile(edges, (3, 3)), (0, 0), 0.7)[size : 2 * size, size : 2 * size], np.float32)
    return mix_image(out, color("#3a2a1c"), edges)


def _block(rng: np.random.Generator, out: Array, edges: Array, sheet: Array, x: int, y: int, width: int, height: int) -> None:
    size = out.shape[0]
    xs, ys = np.arange(x, x + width) % size, np.arange(y, y + height) % size
    dx, dy = (int(v) for v in rng.integers(size, size=2))
    out[np.ix_(ys, xs)] = sheet[np.ix_((ys + dy) % size, (xs + dx) % size)] * (1.0 + 0.10 * rng.standard_normal())
    edges[np.ix_(ys, xs)] = 0.0
    edges[np.ix_(ys[:2], xs)] = edges[np.ix_(ys, xs[:2])] = 0.7


def mix_image(image: Array, ink: Array, share: Array) -> Array:
    """Lay a colour over an image by share [h,w]."""
    return np.asarray(image * (1.0 - share[..., None]) + ink * share[..., None], np.float32)


def terrazzo(seed: int, size: int) -> Array:
    """Stone chips of three sizes in a pale binder; chips are cells of a periodic Voronoi diagram, shrunk."""
    rng = np.random.default_rng(seed)
    out = np.tile(color("#d9d5cd"), (size, size, 1)) * (1.0 + 0.012 * noise(rng, size, 3, 3)[..., None])
    inks = [color(c) for c in ("#8f8a84", "#b56f52", "#5f665f", "#efece6", "#c9a77c", "#46494c", "#a8b0ab")]
    for count, low, high in ((60, 16, 26), (260, 7, 13), (1200, 2, 5)):
        for _ in range(count):
            x, y, radius = rng.integers(size), rng.integers(size), rng.uniform(low, high)
            angles = np.sort(rng.uniform(0, 2 * np.pi, 6 + int(rng.integers(4))))
            points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius * rng.uniform(0.7, 1.2, (len(angles), 1))
            ink = inks[int(rng.integers(len(inks)))] * (1.0 + 0.06 * rng.standard_normal())
            for ox in (-size, 0, size):
                for oy in (-size, 0, size):
                    corners = ((points + np.array([x + ox, y + oy])) * 8).round().astype(np.int32)
                    cv2.fillPoly(out, [corners], ink.tolist(), cv2.LINE_AA, shift=3)
    return out


def marble(seed: int, size: int) -> Array:
    """White slabs 2 x 2 with fine joints; soft clouds and thin branching veins where a warped field crosses zero."""
    rng = np.random.default_rng(seed)
    slabs = []
    for _ in range(2):
        field = noise(rng, size, 420, 300) + 0.45 * noise(rng, size, 120, 90) + 0.12 * noise(rng, size, 30, 30)
        veins = np.exp(-((field / 0.05) ** 2)) * np.clip(0.6 + 0.5 * noise(rng, size, 300, 300), 0.0, 1.0)
        fine = np.exp(-(((noise(rng, size, 200, 160) + 0.4 * noise(rng, size, 40, 40)) / 0.03) ** 2)) * 0.35
        clouds = 0.06 * noise(rng, size, 350, 350) + 0.02 * noise(rng, size, 60, 60)
        slabs.append(mix(color("#eeedea"), color("#8d8f93"), 0.10 + clouds + 0.55 * veins + fine))
    half = size // 2
    out = np.zeros((size, size, 3), np.float32)
    for row in range(2):
        for column in range(2):
            dx, dy = (int(v) for v in rng.integers(size, size=2))
            turned = np.roll(slabs[(row + column) % 2], (dy, dx), (0, 1))[:: (-1 if row else 1)]
            out[row * half : (row + 1) * half, column * half : (column + 1) * half] = turned[:half, :half]
    joints = np.zeros((size, size), np.float32)
    joints[[0, half]] = joints[:, [0, half]] = 0.5
    return mix_image(out, color("#b9b8b4"), joints)


def tile_square(seed: int, size: int, count: int = 6) -> Array:
    """Glazed square tiles with recessed grout: `count` in each direction."""
    rng = np.random.default_rng(seed)
    pitch = size / count
    position = (np.arange(size) + 0.5) % pitch
    edge = np.minimum(position, pitch - position)
    distance = np.minimum(edge[None], edge[:, None])
    index = (np.arange(size) // pitch).astype(int)
    tone = 1.0 + 0.025 * rng.standard_normal((count, count))[index[:, None], index[None]]
    glaze = color("#dfe3df") * (tone * (1.0 + 0.01 * noise(rng, size, 60, 60)))[..., None]
    return _grouted(rng, glaze, distance, size / 1024 * 2.6, "#a9a7a1")


def tile_hex(seed: int, size: int) -> Array:
    """Hexagon tiles: 6 across and 4 double rows; the catalogue's aspect sqrt(3) : 2 makes them regular."""
    rng = np.random.default_rng(seed)
    columns, rows = 6, 4
    x = ((np.arange(size) + 0.5) / size * columns)[None] * np.sqrt(3)
    y = ((np.arange(size) + 0.5) / size * rows)[:, None] * 3.0
    best, second = np.full((size, size), 9e9), np.full((size, size), 9e9)
    owner = np.zeros((size, size), int)
    for row in range(-1, 2 * rows + 1):
        for column in range(-1, columns + 1):
            cx, cy = (column + (row % 2) / 2 + 0.5) * np.sqrt(3), row * 1.5 + 0.75
            away = np.hypot(x - cx, y - cy)
            closer = away < best
            second = np.where(closer, best, np.minimum(second, away))
            owner = np.where(closer, (row % (2 * rows)) * columns + column % columns, owner)
            best = np.where(closer, away, best)
    distance = (second - best) / 2 * size / rows / 3.0
    tone = 1.0 + 0.05 * rng.standard_normal(2 * rows * columns)[owner]
    glaze = color("#8fa09a") * (tone * (1.0 + 0.012 * noise(rng, size, 40, 40)))[..., None]
    return _grouted(rng, glaze, distance, size / 1024 * 3.0, "#d6d3cb")


def _grouted(rng: np.random.Generator, glaze: Array, distance: Array, width: float, grout: str) -> Array:
    size = glaze.shape[0]
    joint = np.clip((width - distance) / 1.2 + 0.5, 0.0, 1.0).astype(np.float32)
    rim = np.exp(-(((distance - width - 2.0) / 2.0) ** 2)).astype(np.float32)
    sand = color(grout) * (1.0 + 0.05 * noise(rng, size, 2, 2)[..., None])
    body = glaze * (1.0 - 0.05 * rim[..., None])
    return mix(body, sand, joint).astype(np.float32)


def carpet(seed: int, size: int) -> Array:
    """Loop pile: rows of small tufts with uneven height, and broad wear."""
    rng = np.random.default_rng(seed)
    count = 96
    x = (np.arange(size) / size * count)[None] + 0.25 * noise(rng, size, 12, 12)
    y = (np.arange(size) / size * count)[:, None] + 0.25 * noise(rng, size, 12, 12)
    shifted = x + 0.5 * (np.floor(y) % 2)
    loops = np.abs(np.sin(np.pi * shifted)) * np.abs(np.sin(np.pi * y))
    height = 0.55 + 0.35 * loops**0.6 + 0.05 * noise(rng, size, 3, 3) + 0.03 * noise(rng, size, 90, 90)
    return mix(color("#6f6a62"), color("#b9b1a4"), height)


def concrete(seed: int, size: int) -> Array:
    """Trowelled concrete: clouds on several scales, faint trowel arcs and small pores."""
    rng = np.random.default_rng(seed)
    clouds = 0.10 * noise(rng, size, 400, 400) + 0.07 * noise(rng, size, 120, 120) + 0.035 * noise(rng, size, 25, 25)
    arcs = 0.03 * noise(rng, size, 160, 14) + 0.02 * noise(rng, size, 14, 160)
    pores = np.clip(noise(rng, size, 5, 5) - 3.0, 0.0, 1.0)
    return mix(color("#8f8d89"), color("#c3c1bb"), 0.55 + clouds + arcs + 0.015 * noise(rng, size, 2, 2) - 0.5 * pores)


MATERIALS: dict[str, Callable[[], Array]] = {
    "oak_planks": lambda: planks(11, 1536, "#9b774d", "#d3b184"),
    "walnut_planks": lambda: planks(12, 1536, "#432b1d", "#84593c", seam="#1d120b"),
    "oak_herringbone": lambda: herringbone(13, 1536, "#9b774d", "#cfac7e"),
    "terrazzo": lambda: terrazzo(14, 1024),
    "marble": lambda: marble(15, 1536),
    "tile_square": lambda: tile_square(16, 1024),
    "tile_hex": lambda: tile_hex(17, 1024),
    "carpet": lambda: carpet(18, 1024),
    "concrete": lambda: concrete(19, 1024),
}


def main() -> None:
    """Write every material as JPEG and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "respray" / "catalog" / "textures")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in MATERIALS.items():
        image = np.round(np.clip(draw(), 0.0, 1.0) * 255.0).astype(np.uint8)
        ok, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not ok:
            raise SystemExit(f"could not encode {name}")
        (out / f"{name}.jpg").write_bytes(data.tobytes())
        print(f"{name}.jpg {image.shape[1]} x {image.shape[0]}, {len(data) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
