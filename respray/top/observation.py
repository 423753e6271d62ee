"""What a worker and its Triton are doing, from two snapshots of their metrics and from the worker's events: plain numbers, no screen."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

MAX_JOBS = 200
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Snapshot:
    """Metrics at one moment; `at` in seconds of any clock that only goes forward."""

    at: float
    samples: Samples

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over everything that has these labels."""
        wanted = set(labels.items())
        return sum(value for (key, own), value in self.samples.items() if key == name and wanted <= own)

    def values(self, name: str, label: str) -> list[str]:
        """The values that a label has in a metric, sorted."""
        return sorted({value for key, own in self.samples if key == name for label_name, value in own if label_name == label})


def parse(text: str, at: float) -> Snapshot:
    """The Prometheus text format. ValueError where it is something else."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser gives every counter the ending that Prometheus recommends; Triton's own have none.
            name = sample.name.removesuffix("_total") if sample.name.startswith("nv_") else sample.name
            samples[name, frozenset(sample.labels.items())] = sample.value
    return Snapshot(at, samples)


@dataclass(frozen=True)
class Stage:
    """Mean seconds and number per minute of one stage, between the two snapshots."""

    name: str
    seconds: float
    per_minute: float


@dataclass(frozen=True)
class WorkerView:
    """A worker between two snapshots. Rates are per minute."""

    completed: float
    failed: float
    total_completed: int
    total_failed: int
    jobs: int
    photos: int
    waiting: int
    limit: int
    owed: int
    retries: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class ModelView:
    """One Triton model between two snapshots: requests a second, mean batch, milliseconds waiting and computing, requests that wait now."""

    name: str
    per_second: float
    batch: float
    queue_ms: float
    compute_ms: float
    pending: int


def worker_view(earlier: Snapshot, later: Snapshot) -> WorkerView:
    """What a worker did between two snapshots of its own metrics."""
    minutes = max(later.at - earlier.at, 1e-6) / 60

    def rate(name: str, **labels: str) -> float:
        return max(0.0, later.total(name, **labels) - earlier.total(name, **labels)) / minutes

    stages = []
    for stage in later.values("respray_stage_seconds_count", "stage"):
        count = later.total("respray_stage_seconds_count", stage=stage) - earlier.total("respray_stage_seconds_count", stage=stage)
        seconds = later.total("respray_stage_seconds_sum", stage=stage) - earlier.total("respray_stage_seconds_sum", stage=stage)
        stages.append(Stage(stage, seconds / count if count > 0 else 0.0, max(0.0, count) / minutes))
    return WorkerView(
        completed=rate("respray_items_total", status="completed"),
        failed=rate("respray_items_total", status="failed"),
        total_completed=int(later.total("respray_items_total", status="completed")),
        total_failed=int(later.total("respray_items_total", status="failed")),
        jobs=int(later.total("respray_jobs_in_flight")),
        photos=int(later.total("respray_items_in_flight")),
        waiting=int(later.total("respray_queue_lag")),
        limit=int(later.total("respray_pipeline_limit")),
        owed=int(later.total("respray_callbacks_owed")),
        retries=rate("respray_retries_total"),
        stages=tuple(stages),
    )


def triton_view(earlier: Snapshot, later: Snapshot) -> tuple[ModelView, ...]:
    """What Triton's models did between two snapshots of its metrics."""
    seconds = max(later.at - earlier.at, 1e-6)
    views = []
    for model in later.values("nv_inference_count", "model"):

        def gained(name: str, model: str = model) -> float:
            return max(0.0, later.total(name, model=model) - earlier.total(name, model=model))

        inferences, runs, requests = gained("nv_inference_count"), gained("nv_inference_exec_count"), gained("nv_inference_request_success")
        views.append(
            ModelView(
                name=model,
                per_second=requests / seconds,
                batch=inferences / runs if runs else 0.0,
                queue_ms=gained("nv_inference_queue_duration_us") / requests / 1000 if requests else 0.0,
                compute_ms=gained("nv_inference_compute_infer_duration_us") / runs / 1000 if runs else 0.0,
                pending=int(later.total("nv_inference_pending_request_count", model=model)),
            )
        )
    return tuple(views)


@dataclass
class JobLine:
    """One job as its events tell it."""

    job_id: str
    done: int = 0
    total: int = 0
    stage: str = ""
    status: str = "working"
    error: str = ""


@dataclass
class Jobs:
    """The jobs that a worker's events speak of, the newest last; older ones than the last 200 are forgotten."""

    lines: OrderedDict[str, JobLine] = field(default_factory=OrderedDict)

    def feed(self, text: str) -> None:
        """One line of a worker's stdout; what is no event is passed over."""
        try:
            event = json.loads(text)
        except ValueError:
            return
        if not isinstance(event, dict) or not isinstance(event.get("job_id"), str):
            return
        job = self.lines.pop(event["job_id"], None) or JobLine(event["job_id"])
        self.lines[job.job_id] = job
        if event.get("event") == "progress":
            job.done, job.total, job.stage = int(event.get("done", 0)), int(event.get("total", 0)), str(event.get("stage", ""))
        elif event.get("event") == "item" and event.get("error"):
            job.error = str(event["error"])
        elif event.get("event") == "finish":
            job.status, job.error = str(event.get("status", "")), str(event.get("error") or job.error)
        while len(self.lines) > MAX_JOBS:
            self.lines.popitem(last=False)
