"""A folder of rendered rooms for training: written by background workers in shards, read with augmentation.

A shard is one file, ``<number>.npy``: uint8 (SHARD, S, S, 5) with planes R, G, B, concept number and instance number (0 none).
Scene i of shard n has seed n * SHARD + i.
"""

from __future__ import annotations

import colorsys
import os
from pathlib import Path

import cv2
import numpy as np

from .render import render
from .rooms import sample_room
from .sensor import srgb_decode, srgb_encode
from .spec import CONCEPTS

SHARD = 64
REPAINTED = tuple(CONCEPTS.index(c) for c in ("wall", "sofa", "bed", "curtain", "rug", "door", "cabinet", "chair"))
# Surfaces are one region each: a wall's corner is no border between two things that people name.
REGIONS = frozenset(("floor", "wall", "ceiling", "baseboard"))
# Training uses seeds below this, everything else (evaluation, demo photos, tests) above.
FIRST_HELD_OUT_SEED = 10_000_000


def render_example(seed: int, size: int) -> np.ndarray:
    """uint8 (size, size, 5): the room's photo stretched to the square, concept map, instance map."""
    room = sample_room(seed)
    scene = render(room, size, size, aspect=room.aspect)
    out = np.zeros((size, size, 5), np.uint8)
    out[..., :3] = scene.photo
    for name, mask in scene.masks.items():
        out[..., 3][mask] = CONCEPTS.index(name)
    n = 0
    region_ids: dict[str, int] = {}
    for name, mask in scene.instances:
        if name in REGIONS:
            if name not in region_ids:
                n += 1
                region_ids[name] = n
            out[..., 4][mask] = region_ids[name]
        elif n < 254:
            n += 1
            out[..., 4][mask] = n
    return out


def render_shards(cache: Path, size: int, worker: int, workers: int, limit: int) -> None:
    """Render shards ``worker``, ``worker + workers``, ... below ``limit`` scenes into ``cache``; skips finished ones."""
    cv2.setNumThreads(1)
    cache.mkdir(parents=True, exist_ok=True)
    for shard in range(worker, limit // SHARD, workers):
        path = cache / f"{shard:06d}.npy"
        if path.exists():
            continue
        data = np.stack([render_example(shard * SHARD + i, size) for i in range(SHARD)])
        part = cache / f"{shard:06d}.part{os.getpid()}"
        with part.open("wb") as f:
            np.save(f, data)
        part.rename(path)


class Cache:
    """Random access to the shards that exist so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[str, np.ndarray] = {}
        self.names: list[str] = []

    def refresh(self) -> int:
        """Look for new shards; returns the number of scenes."""
        for path in sorted(self.folder.glob("*.npy")):
            if path.name not in self.shards:
                self.shards[path.name] = np.load(path, mmap_mode="r")
                self.names.append(path.name)
        return len(self.names) * SHARD

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """One scene (S, S, 5)."""
        shard = self.shards[self.names[int(rng.integers(len(self.names)))]]
        return np.asarray(shard[int(rng.integers(SHARD))])


def repaint(photo: np.ndarray, concept: np.ndarray, rng: np.random.Generator) -> None:
    """Give walls or a kind of furniture in the photo, in place, another albedo: their linear light times a factor per channel.

    Light, shadow and pattern stay. Teaches that these may have any colour, an olive accent wall above all, for the price of a
    table instead of a rendering. Floors and ceilings keep theirs: a green floor is no help in telling floors apart.
    """
    there = [c for c in REPAINTED if (concept == c).any()]
    if not there:
        return
    # Mostly it is the wall: nothing else in real homes varies so much.
    c = there[0] if rng.random() < 0.5 else there[int(rng.integers(len(there)))]
    mask = (concept == c).astype(np.uint8)
    light = srgb_decode(np.arange(256) / 255.0)
    mean = srgb_decode(np.array(cv2.mean(photo, mask)[:3]) / 255.0)
    hue = srgb_decode(np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.75), 1.0)))
    wanted = hue * mean.mean() * np.exp(rng.uniform(-1.4, 0.4)) / hue.mean()
    table = srgb_encode(np.clip(light[:, None] * (wanted / np.maximum(mean, 0.005)), 0, 1)) * 255 + 0.5
    cv2.copyTo(cv2.LUT(photo, table.astype(np.uint8)[:, None]), mask, photo)


def augment(example: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Mirror, crop and zoom, then colour, blur, noise and JPEG as photos from anywhere have them.

    ``strength`` scales how often: 1 in a long training, less in a short one that has no time for hard examples.
    """
    size = example.shape[0]
    if rng.random() < 0.5:
        example = example[:, ::-1]
    photo, labels = np.ascontiguousarray(example[..., :3]), np.ascontiguousarray(example[..., 3:])
    if rng.random() < 0.55 * strength:
        s = rng.uniform(0.55, 1.0)
        a = np.exp(rng.normal(0, 0.12))
        w, h = int(min(size, size * s * a)), int(min(size, size * s / a))
        x, y = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
        photo = cv2.resize(photo[y:y + h, x:x + w], (size, size), interpolation=cv2.INTER_LINEAR)
        labels = cv2.resize(labels[y:y + h, x:x + w], (size, size), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.4 * strength:
        repaint(photo, labels[..., 0], rng)
    if rng.random() < 0.8 * strength:
        # Tone curve and white balance as one look-up table per channel, saturation as a colour matrix.
        x = (np.arange(256) / 255.0) ** np.exp(rng.normal(0, 0.18))
        mid = rng.uniform(0.35, 0.6)
        x = mid + np.exp(rng.normal(0, 0.12)) * (x * np.exp(rng.normal(0, 0.12)) - mid)
        table = np.clip(x[:, None] * np.exp(rng.normal(0, 0.06, 3)) * 255 + 0.5, 0, 255).astype(np.uint8)
        photo = cv2.LUT(photo, table[:, None])
        sat = rng.uniform(0.5, 1.35) if rng.random() > 0.04 else 0.0
        photo = cv2.transform(photo, np.eye(3) * sat + (1 - sat) / 3)
    if rng.random() < 0.2 * strength:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.2 * strength:
        noise = np.rint(rng.standard_normal(photo.shape, dtype=np.float32) * rng.uniform(2, 10)).astype(np.int8)
        photo = cv2.add(photo, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.3 * strength:
        _, buf = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        photo = cv2.imdecode(buf, cv2.IMREAD_COLOR)
    return np.concatenate([photo, labels], axis=2)
