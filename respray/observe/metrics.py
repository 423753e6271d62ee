"""Prometheus metrics of one worker, in a registry of their own (so that tests can have several workers)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_STAGE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Names begin with `respray_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Counter("respray_jobs", "Jobs by what came of them.", ["status"], registry=self.registry)
        self.items = Counter("respray_items", "Items by what came of them.", ["status"], registry=self.registry)
        self.stage_seconds = Histogram(
            "respray_stage_seconds", "Time per stage of an item.", ["stage"], buckets=_STAGE_BUCKETS, registry=self.registry
        )
        self.retries = Counter("respray_retries", "Repetitions by what was repeated.", ["what"], registry=self.registry)
        self.callbacks = Counter("respray_callbacks", "Callbacks by what came of them.", ["outcome"], registry=self.registry)
        self.callback_seconds = Histogram(
            "respray_callback_seconds", "Time per callback, with retries.", buckets=_STAGE_BUCKETS, registry=self.registry
        )
        self.callbacks_owed = Gauge("respray_callbacks_owed", "Callbacks found owed at the last sweep.", registry=self.registry)
        self.jobs_in_flight = Gauge("respray_jobs_in_flight", "Jobs being worked on.", registry=self.registry)
        self.items_in_flight = Gauge("respray_items_in_flight", "Items being worked on.", registry=self.registry)
        self.pipeline_limit = Gauge(
            "respray_pipeline_limit", "Photos that may be in the pipeline at the same time.", registry=self.registry
        )
        self.queue_lag = Gauge("respray_queue_lag", "Messages waiting in the queue, where it says.", registry=self.registry)

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
