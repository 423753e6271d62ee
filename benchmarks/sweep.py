"""`respray bench sweep`: which instance counts, queue delays and concept buckets serve this machine best.

One setting after the other is varied on the embedded server, the best value kept for the next (all combinations would take hours). Best is
the highest throughput among the values whose p95 latency is within `--patience` times the lowest p95. Figures of the JSON file:
    machine, concepts, concurrency, seconds
    points[].settings          the target's settings of this point
    points[].setting, value    what was varied
    points[].photos_per_second, p50_ms, p95_ms, mean_encoder_batch, mean_decoder_batch
    recommended                the settings to use, `command` the `respray build` that gives them
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load import Level, run_level
from benchmarks.pipeline import served
from benchmarks.work import GRAPHS, PHOTOS, load_photos, machine, make_request
from respray.triton.repository.targets import Target, target

VALUES: dict[str, tuple[int | bool, ...]] = {
    "graph_threads": (0, 1),
    "applier_instances": (1, 2, 3),
    "pipeline_instances": (2, 4, 8),
    "max_photos": (1, 4),
    "encoder_delay": (0, 2000, 20000),
    "exact_buckets": (True, False),
}
console = Console(stderr=True)


@dataclass(frozen=True)
class Point:
    """One measured configuration: `setting` had `value`."""

    setting: str
    value: int | bool
    chosen: Target
    level: Level


def best(points: list[Point], patience: float) -> Point:
    """The highest throughput among the points whose p95 is within `patience` times the lowest."""
    limit = min(point.level.p95_ms for point in points) * patience
    return max((point for point in points if point.level.p95_ms <= limit), key=lambda point: point.level.photos_per_second)


def main(
    *,
    photos: Annotated[Path, typer.Option(help="Folder of photos.")] = PHOTOS,
    graphs: Annotated[Path, typer.Option(help="Exported graphs.")] = GRAPHS,
    concepts: Annotated[int, typer.Option(help="Concepts per photo, 1 to 8.")] = 3,
    concurrency: Annotated[int, typer.Option(min=1, help="Photos under way at a time.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each point is measured.")] = 8.0,
    patience: Annotated[float, typer.Option(min=1.0, help="How much longer than the shortest p95 may be, for throughput's sake.")] = 1.25,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Vary the embedded server's settings one after the other and recommend a configuration for this machine."""
    files, request = load_photos(photos), make_request(concepts)
    chosen = target("embedded")
    points: list[Point] = []
    for setting, values in VALUES.items():
        some = []
        for value in values:
            candidate = dataclasses.replace(chosen, **{setting: value})  # type: ignore[arg-type]
            with served(None, graphs, candidate) as url:
                level = asyncio.run(run_level(url, files, request, concurrency, seconds))
            some.append(Point(setting, value, candidate, level))
            console.print(f"{setting}={value}: {level.photos_per_second:.2f} photos/s, p95 {level.p95_ms:.0f} ms", highlight=False)
        chosen = best(some, patience).chosen
        points += some
    report = _report(points, chosen, concepts, concurrency, seconds)
    _show(points, report["recommended"]["command"])
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _report(points: list[Point], chosen: Target, concepts: int, concurrency: int, seconds: float) -> dict[str, Any]:
    def batch(point: Point, model: str) -> float:
        return point.level.models[model].mean_batch

    return {
        "machine": machine(),
        "concepts": concepts,
        "concurrency": concurrency,
        "seconds": seconds,
        "points": [
            {
                "setting": point.setting,
                "value": point.value,
                "settings": dataclasses.asdict(point.chosen),
                "photos_per_second": point.level.photos_per_second,
                "p50_ms": point.level.p50_ms,
                "p95_ms": point.level.p95_ms,
                "mean_encoder_batch": batch(point, "sam3_image_encoder"),
                "mean_decoder_batch": batch(point, "sam3_concept_decoder"),
            }
            for point in points
        ],
        "recommended": {"settings": dataclasses.asdict(chosen), "command": command(chosen)},
    }


def command(chosen: Target) -> str:
    """The `respray build` command that gives these settings."""
    flags = [f"--{name.replace('_', '-')} {getattr(chosen, name)}" for name in VALUES if name != "exact_buckets"]
    flags.append("--exact-buckets" if chosen.exact_buckets else "--padded-buckets")
    return f"respray build --target {chosen.name} {' '.join(flags)} --out build/{chosen.name}"


def _show(points: list[Point], recommended: str) -> None:
    table = Table("setting", "value", "photos/s", "p50 ms", "p95 ms", "encoder batch")
    for point in points:
        encoder = point.level.models["sam3_image_encoder"].mean_batch
        figures = (f"{point.level.photos_per_second:.2f}", f"{point.level.p50_ms:.0f}", f"{point.level.p95_ms:.0f}", f"{encoder:.2f}")
        table.add_row(point.setting, str(point.value), *figures)
    console = Console()
    console.print(table)
    console.print(f"recommended here: {recommended}", highlight=False, soft_wrap=True)
