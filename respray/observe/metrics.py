"""Prometheus metrics of one worker, in a registry of their own (so that tests can have several workers)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from respray.contract.report import ProbeReport

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
        self.probe = Gauge(
            "respray_probe",
            "1: the server's graphs answered the probe within its limits when it started; 0: they have no probe.",
            ["model", "target", "engine", "device", "fallback_from"],
            registry=self.registry,
        )
        self.probe_value = Gauge("respray_probe_value", "What was compared with PyTorch's answers.", ["what"], registry=self.registry)
        self.probe_limit = Gauge(
            "respray_probe_limit", "Its limit: the most of score errors, the least of the others.", ["what"], registry=self.registry
        )
        self.probe_time = Gauge("respray_probe_timestamp_seconds", "When the server's graphs were asked.", registry=self.registry)
        self._probed: ProbeReport | None = None

    def probed(self, report: ProbeReport) -> None:
        """Show how the server that photos go to has answered the probe, in place of what was shown before."""
        if report == self._probed:
            return
        self._probed = report
        for family in (self.probe, self.probe_value, self.probe_limit):
            family.clear()
        who = (report.model, report.target, report.engine, report.device, report.fallback_from)
        self.probe.labels(*who).set(bool(report.measures))
        for measure in report.measures:
            self.probe_value.labels(measure.what).set(measure.value)
            self.probe_limit.labels(measure.what).set(measure.limit)
        self.probe_time.set(report.at.timestamp())

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
