"""How long stage 2 takes and how much memory it needs, beside `cv2.imencode('.png')` on the same picture in the same run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask.select import Segments
from respray.imaging.arrays import UInt8Array
from training import scenes

MASK_SIDE = 288
REPEATS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds (best of REPEATS): the PNG encoder alone, all of stage 2, and its stages; `bytes_per_pixel` of growth in peak memory."""

    width: int
    height: int
    imencode: float
    total: float
    stages: dict[str, float]
    bytes_per_pixel: float

    @property
    def ratio(self) -> float:
        """Stage 2 over the encoder alone."""
        return self.total / self.imencode


def room_photo(width: int, height: int, seed: int = 9008) -> tuple[UInt8Array, UInt8Array]:
    """A rendered room with sensor noise, enlarged to any size (uint8 [H,W,3]), and its wall as probabilities uint8 [288,288]."""
    scene = scenes.render(scenes.sample_room(seed), 1000, 750)
    photo = cv2.resize(scene.photo, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0.0, 1.5, photo.shape).astype(np.int16)
    photo = cv2.add(photo, noise, dtype=cv2.CV_8U)
    wall = cv2.resize(scene.masks["wall"].astype(np.float32), (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(photo), np.round(wall * 255).astype(np.uint8)


def segments_of(*probabilities: UInt8Array) -> Segments:
    """A network's answer that has found one instance of every concept."""
    region, count = np.stack(probabilities), len(probabilities)
    return Segments(
        region=region,
        masks=region[:, None],
        scores=np.ones((count, 1), np.float32),
        boxes=np.zeros((count, 1, 4), np.float32),
        presence=np.ones(count, np.float32),
    )


def wall_request(color: str = "#5E7F8C") -> PhotoRequest:
    """One rule on one concept, PNG and preview."""
    edits = [Edit(concept="wall", rule=Recolor(color=color))]
    return PhotoRequest(concepts=[ConceptQuery(name="wall", prompts=["wall"])], outputs=[Output(name="out", edits=edits)])


def measure_speed(width: int, height: int) -> Timing:
    """Time one recolouring of a wall with everything around it."""
    photo, probability = room_photo(width, height)
    segments, request = segments_of(probability), wall_request()
    encoder = _best(lambda: cv2.imencode(".png", photo))
    before = _reset_peak()
    stages: dict[str, float] = {}
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = edit_photo(photo, segments, request, [])
        seconds = time.perf_counter() - start
        if seconds < best:
            best, stages = seconds, result.report.timings
    grown = (_peak() - before) / (width * height)
    return Timing(width, height, encoder, best, stages, grown)


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _reset_peak() -> float:
    """Forget the process's peak memory so far (Linux: proc(5), clear_refs) and return what it uses now, in bytes."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return float(line.split()[1]) * 1024.0
