"""A folder of rendered rooms for training: written by background workers in shards, read in any order.

A shard is one file, ``<number>.npy``: uint8 (SHARD, S, S, 5) with planes R, G, B, concept number and instance number (0 none).
Scene i of shard n has seed n * SHARD + i. In a folder of rooms that show one concept it has the first seed that does, of that one and
each ``STRIDE`` after it.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
from pathlib import Path

import cv2
import numpy as np

from training.arrays import Bytes
from training.scenes.render import render
from training.scenes.rooms import sample_room
from training.scenes.scene_spec import CONCEPTS

SHARD = 64
# Surfaces are one region each: a wall's corner is no border between two things that people name.
REGIONS = frozenset(("floor", "wall", "ceiling", "baseboard"))
# Training uses seeds below this, everything else (evaluation, demo photos, tests) above.
FIRST_HELD_OUT_SEED = 10_000_000
STRIDE = 1_000_000


def seed_showing(seed: int, concept: str) -> int:
    """The first of ``seed``, ``seed + STRIDE`` and so on whose room has something of the concept; ``seed`` itself where none has."""
    number = CONCEPTS.index(concept)
    later = range(seed, FIRST_HELD_OUT_SEED, STRIDE)
    return next((s for s in later if (sample_room(s).concept_of == number).any()), seed)


def render_example(seed: int, size: int) -> Bytes:
    """uint8 (size, size, 5): the room's photo stretched to the square, concept map, instance map."""
    room = sample_room(seed)
    scene = render(room, size, size, aspect=room.aspect, quality=0)
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


def render_shards(cache: Path, size: int, worker: int, workers: int, limit: int, first: int = 0, showing: str | None = None) -> None:
    """Render every ``workers``-th shard of ``limit`` scenes into ``cache``, from scene ``first`` on, all or those ``showing`` one
    concept; skips finished ones."""
    cv2.setNumThreads(1)
    cache.mkdir(parents=True, exist_ok=True)
    for shard in range(first // SHARD + worker, (first + limit) // SHARD, workers):
        path = cache / f"{shard:06d}.npy"
        if path.exists():
            continue
        seeds = range(shard * SHARD, (shard + 1) * SHARD)
        data = np.stack([render_example(seed_showing(s, showing) if showing else s, size) for s in seeds])
        part = cache / f"{shard:06d}.part{os.getpid()}"
        with part.open("wb") as f:
            np.save(f, data)
        part.rename(path)


def start_rendering(
    cache: Path, size: int, workers: int, limit: int, first: int = 0, showing: str | None = None
) -> list[multiprocessing.process.BaseProcess]:
    """Processes that write the missing ones of ``limit`` scenes into ``cache``, from scene ``first`` on: see ``render_shards``.

    They end with their work or with this process. A checkpoint that is trained on learns most from scenes that it does not know yet.
    """
    spawn = multiprocessing.get_context("spawn")
    whats = [(cache, size, i, workers, limit, first, showing) for i in range(workers)]
    processes = [spawn.Process(target=render_shards, daemon=True, args=what) for what in whats]
    for process in processes:
        process.start()
    return list(processes)


class Cache:
    """Random access to the shards that exist so far in some folders."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.shards: dict[Path, Bytes] = {}
        self.names: list[Path] = []

    def refresh(self) -> int:
        """Look for new shards; returns the number of scenes."""
        for folder in self.folders:
            for path in sorted(folder.glob("*.npy")):
                if path not in self.shards:
                    self.shards[path] = np.load(path, mmap_mode="r")
                    self.names.append(path)
        return len(self.names) * SHARD

    def sample(self, rng: np.random.Generator) -> Bytes:
        """One scene (S, S, 5)."""
        shard = self.shards[self.names[int(rng.integers(len(self.names)))]]
        return np.asarray(shard[int(rng.integers(SHARD))])
