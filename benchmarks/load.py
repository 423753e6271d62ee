"""A closed-loop load on `pipeline_bls`: so many clients, each sending its next photo when the last one came back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.work import BenchmarkError
from respray.contract.request import PhotoRequest
from respray.triton.client import PipelineClient
from respray.triton.errors import ServingError
from respray.triton.statistics import ModelStatistics, difference

MIN_PHOTOS = 5


@dataclass(frozen=True)
class ModelShare:
    """One model's part in a photo, from Triton's own counters: milliseconds per photo, and the mean batch that was run."""

    queue_ms: float
    compute_ms: float
    inferences_per_photo: float
    executions_per_photo: float
    cache_hits_per_photo: float
    mean_batch: float


@dataclass(frozen=True)
class Level:
    """What came of one load. Latencies in milliseconds as a client sees them, `photos_per_second` over all clients."""

    concurrency: int
    photos: int
    photos_per_second: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    stages_ms: dict[str, float]
    models: dict[str, ModelShare]

    def as_json(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


async def run_level(url: str, photos: Sequence[bytes], request: PhotoRequest, concurrency: int, seconds: float) -> Level:
    """Keep `concurrency` photos under way for so many seconds (and at least five photos), after each client's first one as a warm-up.

    Raises BenchmarkError with the server's words when a photo fails: figures of failing requests are worth nothing.
    """
    latencies: list[float] = []
    stages: dict[str, list[float]] = {}
    async with PipelineClient(url) as client:
        try:
            await asyncio.gather(*(client.edit(photos[index % len(photos)], request) for index in range(concurrency)))
            before = await client.statistics()
            began = time.perf_counter()

            async def one_client(number: int) -> None:
                turn = number
                while time.perf_counter() - began < seconds or len(latencies) < MIN_PHOTOS:
                    start = time.perf_counter()
                    result = await client.edit(photos[turn % len(photos)], request)
                    latencies.append(time.perf_counter() - start)
                    for stage, value in result.report.timings.items():
                        stages.setdefault(stage, []).append(value)
                    turn += concurrency

            await asyncio.gather(*(one_client(number) for number in range(concurrency)))
            wall = time.perf_counter() - began
            added = difference(await client.statistics(), before)
        except ServingError as error:
            raise BenchmarkError(f"the load was broken off: {error}") from error
    count = len(latencies)
    p50, p95, p99 = (1000 * float(value) for value in np.percentile(latencies, (50, 95, 99)))
    return Level(
        concurrency=concurrency,
        photos=count,
        photos_per_second=count / wall,
        mean_ms=1000 * statistics.fmean(latencies),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        stages_ms={stage: 1000 * statistics.fmean(values) for stage, values in stages.items()},
        models={name: _share(counters, count) for name, counters in added.items()},
    )


def _share(counters: ModelStatistics, photos: int) -> ModelShare:
    """`compute_ms` counts a batch's time once for each of its members, as the photo experiences it."""
    compute = counters.compute_input_seconds + counters.compute_infer_seconds + counters.compute_output_seconds
    return ModelShare(
        queue_ms=1000 * counters.queue_seconds / photos,
        compute_ms=1000 * compute / photos,
        inferences_per_photo=counters.inferences / photos,
        executions_per_photo=counters.executions / photos,
        cache_hits_per_photo=counters.cache_hits / photos,
        mean_batch=counters.inferences / counters.executions if counters.executions else 0.0,
    )
