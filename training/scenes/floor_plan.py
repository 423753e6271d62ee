"""The floor plan of a room: which floor and which stretch of wall is still free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Rng = np.random.Generator
# Stretches (from, to) in metres along each of the four walls.
Spans: TypeAlias = list[list[tuple[float, float]]]


class Plan:
    """Keeps track of free floor and free wall."""

    def __init__(self, size: Sequence[float], eye: Sequence[float]) -> None:
        self.size, self.eye = size, np.array(eye[:2])
        self.floor: list[tuple[float, float, float, float]] = []
        self.walls: Spans = [[] for _ in range(4)]
        self.low: Spans = [[] for _ in range(4)]

    def length(self, wall: int) -> float:
        return self.size[1] if wall < 2 else self.size[0]

    def free_wall(self, wall: int, lo: float, hi: float, taken: Spans | None = None) -> bool:
        """Whether the stretch [lo, hi] of a wall is free."""
        if lo < 0.02 or hi > self.length(wall) - 0.02:
            return False
        return all(hi < a or lo > e for a, e in (self.walls[wall] if taken is None else taken[wall]))

    def footprint(self, wall: int, u: float, hw: float, d: float) -> tuple[float, float, float, float]:
        """Floor rectangle (x0, x1, y0, y1) of a piece of half width hw, depth d with its back at a wall."""
        w, dd = self.size[0], self.size[1]
        return {0: (0, d, u - hw, u + hw), 1: (w - d, w, u - hw, u + hw), 2: (u - hw, u + hw, 0, d), 3: (u - hw, u + hw, dd - d, dd)}[wall]

    def free_floor(self, r: tuple[float, float, float, float], clear: float = 0.6) -> bool:
        """Whether a floor rectangle is free and not in the photographer's way."""
        if r[0] < -0.01 or r[1] > self.size[0] + 0.01 or r[2] < -0.01 or r[3] > self.size[1] + 0.01:
            return False
        near = np.array([np.clip(self.eye[0], r[0], r[1]), np.clip(self.eye[1], r[2], r[3])])
        if np.linalg.norm(near - self.eye) < clear:
            return False
        return all(r[1] < f[0] or r[0] > f[1] or r[3] < f[2] or r[2] > f[3] for f in self.floor)


def against_wall(
    plan: Plan, rng: Rng, hw: float, d: float, walls: Sequence[int], low: bool = True, tries: int = 14
) -> tuple[int, float] | None:
    """Find (wall, u) where a piece fits; reserves it. ``low`` pieces may stand under windows."""
    for _ in range(tries):
        wall = int(rng.choice(walls))
        if plan.length(wall) < 2 * hw + 0.1:
            continue
        u = rng.uniform(hw + 0.03, plan.length(wall) - hw - 0.03)
        taken = plan.low if low else plan.walls
        r = plan.footprint(wall, u, hw, d)
        if plan.free_wall(wall, u - hw, u + hw, taken) and plan.free_floor(r):
            plan.floor.append(r)
            plan.low[wall].append((u - hw, u + hw))
            plan.walls[wall].append((u - hw, u + hw)) if not low else None
            return wall, u
    return None
