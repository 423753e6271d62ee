"""Writes the Grafana dashboard from one short list of panels: `python deploy/observe/dashboard.py`.

Grafana's own format needs some forty lines a panel, of which three say something.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent / "grafana" / "dashboards" / "respray.json"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH = 24


@dataclass(frozen=True)
class Panel:
    """One graph: `queries` are (expression, legend) pairs; `unit` is Grafana's name of it; `width` in 24ths of the page."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    help: str = ""


ROWS: dict[str, tuple[Panel, ...]] = {
    "Work": (
        Panel("Photos per minute", (("sum(rate(respray_items_total[5m])) by (status) * 60", "{{status}}"),)),
        Panel(
            "Failing",
            (('sum(rate(respray_items_total{status="failed"}[10m])) / sum(rate(respray_items_total[10m]))', "photos"),),
            "percentunit",
            "stat",
            4,
        ),
        Panel("Jobs waiting", (("max(respray_queue_lag)", "waiting"),), kind="stat", width=4),
        Panel("In flight", (("sum(respray_jobs_in_flight)", "jobs"), ("sum(respray_items_in_flight)", "photos"))),
    ),
    "Where the time goes": (
        Panel(
            "Stages, median",
            (("histogram_quantile(0.5, sum(rate(respray_stage_seconds_bucket[5m])) by (le, stage))", "{{stage}}"),),
            "s",
            width=12,
        ),
        Panel(
            "Stages, 95th percentile",
            (("histogram_quantile(0.95, sum(rate(respray_stage_seconds_bucket[5m])) by (le, stage))", "{{stage}}"),),
            "s",
            width=12,
        ),
    ),
    "Triton": (
        Panel(
            "Queue to compute",
            (("triton:queue_to_compute:ratio", "{{instance}}"),),
            help="Above 1, photos wait longer inside Triton than they are worked on: add workers.",
        ),
        Panel(
            "Mean batch",
            (("sum(rate(nv_inference_count[5m])) by (model) / sum(rate(nv_inference_exec_count[5m])) by (model)", "{{model}}"),),
        ),
        Panel("Requests that wait", (("sum(nv_inference_pending_request_count) by (model)", "{{model}}"),)),
        Panel(
            "Compute per inference",
            (
                (
                    "sum(rate(nv_inference_compute_infer_duration_us[5m])) by (model) / sum(rate(nv_inference_count[5m])) by (model)",
                    "{{model}}",
                ),
            ),
            "µs",
        ),
        Panel(
            "Text features from the cache",
            (
                (
                    "sum(rate(nv_cache_num_hits_per_model[5m])) / "
                    "(sum(rate(nv_cache_num_hits_per_model[5m])) + sum(rate(nv_cache_num_misses_per_model[5m])))",
                    "hits",
                ),
            ),
            "percentunit",
        ),
        Panel(
            "GPU",
            (("avg(nv_gpu_utilization)", "busy"), ("sum(nv_gpu_memory_used_bytes) / sum(nv_gpu_memory_total_bytes)", "memory")),
            "percentunit",
        ),
    ),
    "Trouble": (
        Panel("Repeated", (("sum(rate(respray_retries_total[5m])) by (what) * 60", "{{what}}"),), help="Per minute, by what was repeated."),
        Panel("Callbacks per minute", (("sum(rate(respray_callbacks_total[5m])) by (outcome) * 60", "{{outcome}}"),)),
        Panel("Callbacks owed", (("max(respray_callbacks_owed)", "owed"),), kind="stat", width=4),
        Panel("Photos at a time", (("respray_pipeline_limit", "{{instance}}"),), width=4, help="Halved when the GPU ran out of memory."),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "id": len(panels) + 1, "gridPos": _at(0, top, _WIDTH, 1)}
        )
        top, left = top + 1, 0
        for panel in row:
            if left + panel.width > _WIDTH:
                top, left = top + 8, 0
            panels.append(_panel(panel, len(panels) + 1, _at(left, top, panel.width, 8)))
            left += panel.width
        top += 8
    return {
        "uid": "respray",
        "title": "Respray",
        "tags": ["respray"],
        "schemaVersion": 41,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
        for index, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": targets,
    }


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
