"""How many pods, at what cost and latency: the arithmetic behind `respray plan`, beside the specified formula.

The latter is that of docs/reference/contract.md, "Figures of the specification".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from respray.planning.errors import PlanError
from respray.planning.stage_times import StageTimes

_DAY = 86_400.0
# From the specification: 300 ms per concept and photo (A4000), 50 ms per rule and photo, 2 s of overhead per job.
_SPEC_CONCEPT, _SPEC_RULE, _SPEC_OVERHEAD = 0.300, 0.050, 2.0
# Photos that a worker downloads and uploads beside those in its pipeline (orchestrator.worker.job_runner.AHEAD).
_AHEAD = 10
# Above this share of their capacity, queues grow out of proportion to the work.
UTILISATION = 0.7


@dataclass(frozen=True)
class Load:
    """What is to be done. `peak` is the busiest hour over the mean hour; `job_images` photos come in one job."""

    images_per_day: float
    concepts: int
    rules: int = 1
    peak: float = 3.0
    job_images: int = 10

    def __post_init__(self) -> None:
        """Refuse what has no answer."""
        limits = {"images_per_day": (0, 1e9), "concepts": (1, 16), "rules": (1, 64), "peak": (1, 24), "job_images": (1, 1000)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low < value <= high and not (value == low and low > 0):
                raise PlanError(f"{name.replace('_', ' ')} {value:g}: accepted is {'more than 0' if low == 0 else low} to {high:g}")


@dataclass(frozen=True)
class Plan:
    """The answer. Rates are photos a second, times seconds, costs US dollars (None: no price is known). `bound` is what limits a pod."""

    per_pod: float
    bound: str
    mean_rate: float
    peak_rate: float
    pods: int
    utilisation_at_peak: float
    photo_latency: float
    job_latency: float
    cost_per_1000: float | None
    cost_per_1000_scaled: float | None
    cost_per_day: float | None
    spec_job: float
    job_alone: float
    spec_pods: int


def make_plan(load: Load, times: StageTimes, *, cores: int = 8, concurrency: int = 4) -> Plan:
    """Pods, cost and latency of `load`. `cores` are a pod's CPU cores, `concurrency` the photos that it holds at a time."""
    if cores < 1 or concurrency < 1:
        raise PlanError(f"cores {cores} and concurrency {concurrency}: accepted is 1 or more")
    gpu, cpu, wait = times.on_gpu(load.concepts), times.on_cpu(load.rules), times.waiting
    # GPU, cores and network work on different photos at the same time: the slowest of them is a pod's speed.
    rates = {
        "the GPU": 1 / gpu,
        "CPU cores": cores / cpu if cpu else math.inf,  # measured events may name no stage on the CPU
        "BATCH_CONCURRENCY": concurrency / (gpu + cpu),
        "photos in flight": (concurrency + _AHEAD) / (gpu + cpu + wait),
    }
    bound = min(rates, key=rates.__getitem__)
    per_pod = rates[bound]
    mean_rate = load.images_per_day / _DAY
    peak_rate = mean_rate * load.peak
    pods = max(1, math.ceil(peak_rate / (per_pod * UTILISATION)))
    used = peak_rate / (per_pod * pods)
    alone = gpu + cpu + wait
    photo_latency = alone + _wait_in_queue(used, pods, 1 / per_pod)
    job_latency = photo_latency + (load.job_images - 1) / per_pod
    # Pods that run all day, and pods that follow the load (scale to zero, at the same utilisation).
    price = times.price
    cost_per_day = None if price.active is None else pods * 24 * price.active
    scaled = None if price.flex is None else 1000 / (per_pod * UTILISATION) / 3600 * price.flex
    spec_job = load.job_images * (load.concepts * _SPEC_CONCEPT + load.rules * _SPEC_RULE) + _SPEC_OVERHEAD
    spec_rate = load.job_images / spec_job
    return Plan(
        per_pod=per_pod,
        bound=bound,
        mean_rate=mean_rate,
        peak_rate=peak_rate,
        pods=pods,
        utilisation_at_peak=used,
        photo_latency=photo_latency,
        job_latency=job_latency,
        cost_per_1000=None if cost_per_day is None else cost_per_day / load.images_per_day * 1000,
        cost_per_1000_scaled=scaled,
        cost_per_day=cost_per_day,
        spec_job=spec_job,
        job_alone=alone + (load.job_images - 1) / per_pod,
        spec_pods=max(1, math.ceil(peak_rate / (spec_rate * UTILISATION))),
    )


def _wait_in_queue(used: float, servers: int, service: float) -> float:
    """Mean wait before service with `servers` in parallel, at a share `used` of their capacity.

    Sakasegawa's approximation of M/G/c with deterministic service (half of M/M/c): used^(sqrt(2(c+1))-1) / (c (1-used)) x service / 2.
    """
    if used >= 1:
        return math.inf
    busy: float = used ** (math.sqrt(2 * (servers + 1)) - 1)
    return busy / (servers * (1 - used)) * service / 2
