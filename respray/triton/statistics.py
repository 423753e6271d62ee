"""Triton's own counters per model, as plain numbers that can be subtracted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NANOSECONDS = 1e9


@dataclass(frozen=True)
class ModelStatistics:
    """One model's counters since the server started, or between two moments (`later - earlier`). Times are summed seconds.

    `requests` were answered well and `failures` not; `inferences` were computed (a request of a batch of two counts two, one out of
    the cache none); `executions` are the runs that computed them, so inferences / executions is the mean batch.
    """

    requests: int = 0
    failures: int = 0
    inferences: int = 0
    executions: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    total_seconds: float = 0.0
    queue_seconds: float = 0.0
    compute_input_seconds: float = 0.0
    compute_infer_seconds: float = 0.0
    compute_output_seconds: float = 0.0
    batches: dict[int, int] = field(default_factory=dict)

    def __sub__(self, earlier: ModelStatistics) -> ModelStatistics:
        numbers = {
            entry.name: getattr(self, entry.name) - getattr(earlier, entry.name)
            for entry in dataclasses.fields(self)
            if entry.name != "batches"
        }
        sizes = {size: count - earlier.batches.get(size, 0) for size, count in self.batches.items()}
        return ModelStatistics(**numbers, batches={size: count for size, count in sizes.items() if count})


def parse(answer: Mapping[str, Any]) -> dict[str, ModelStatistics]:
    """Statistics by model from the JSON form of Triton's statistics answer (int64 values are strings there)."""
    return {entry["name"]: _model(entry) for entry in answer.get("model_stats", [])}


def difference(later: Mapping[str, ModelStatistics], earlier: Mapping[str, ModelStatistics]) -> dict[str, ModelStatistics]:
    """What happened between two moments, by model."""
    return {name: value - earlier.get(name, ModelStatistics()) for name, value in later.items()}


def _model(entry: Mapping[str, Any]) -> ModelStatistics:
    times = entry.get("inference_stats", {})

    def count(kind: str) -> int:
        return int(times.get(kind, {}).get("count", 0))

    def seconds(kind: str) -> float:
        return int(times.get(kind, {}).get("ns", 0)) / NANOSECONDS

    return ModelStatistics(
        requests=count("success"),
        failures=count("fail"),
        inferences=int(entry.get("inference_count", 0)),
        executions=int(entry.get("execution_count", 0)),
        cache_hits=count("cache_hit"),
        cache_misses=count("cache_miss"),
        total_seconds=seconds("success"),
        queue_seconds=seconds("queue"),
        compute_input_seconds=seconds("compute_input"),
        compute_infer_seconds=seconds("compute_infer"),
        compute_output_seconds=seconds("compute_output"),
        batches={int(batch["batch_size"]): int(batch.get("compute_infer", {}).get("count", 0)) for batch in entry.get("batch_stats", [])},
    )
