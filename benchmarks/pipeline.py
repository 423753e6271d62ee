"""`respray bench pipeline`: 1 to 16 concurrent photos through gRPC, throughput and latency, and where the time goes.

    respray bench pipeline --json build/pipeline.json
    TRITON_URL=pod:8001 respray bench pipeline --photos my-photos --concepts 8

Without TRITON_URL it starts the embedded server with the demo model. Figures of the JSON file:
    machine, server, photos, concepts, settings      what was measured on and with which target settings
    levels[].concurrency, photos, photos_per_second, mean_ms, p50_ms, p95_ms, p99_ms
    levels[].stages_ms         decode, segment, matte, apply, encode, preview as the pipeline reports them, mean per photo
    levels[].models.NAME       queue_ms and compute_ms per photo, inferences_per_photo, executions_per_photo, cache_hits_per_photo,
                               mean_batch - all from Triton's own statistics
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.curves import Panel, curves
from benchmarks.load import Level, run_level
from benchmarks.work import GRAPHS, PHOTOS, BenchmarkError, load_photos, machine, make_request
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import Target, target

console = Console(stderr=True)


@contextlib.contextmanager
def served(url: str | None, graphs: Path, chosen: Target) -> Iterator[str]:
    """`url` itself, or the URL of an embedded server that lives as long as the context."""
    if url:
        yield url
        return
    with embedded(graphs, chosen) as server:
        yield server.grpc_url


@contextlib.contextmanager
def embedded(graphs: Path, chosen: Target) -> Iterator[EmbeddedServer]:
    """An embedded server over a new repository. BenchmarkError when it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="respray-bench-") as folder:
        try:
            repository = build(graphs, chosen, Path(folder) / "repository")
            with EmbeddedServer(repository) as server:
                console.print(f"embedded server ready after {server.start_seconds:.1f} s", highlight=False)
                yield server
        except ServingError as error:
            raise BenchmarkError(str(error)) from error


def main(
    *,
    photos: Annotated[Path, typer.Option(help="Folder of photos.")] = PHOTOS,
    graphs: Annotated[Path, typer.Option(help="Exported graphs for the embedded server.")] = GRAPHS,
    concepts: Annotated[int, typer.Option(help="Concepts per photo, 1 to 8.")] = 3,
    concurrency: Annotated[str, typer.Option(help="Photos under way at a time, comma-separated.")] = "1,2,4,8,16",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each level is measured.")] = 10.0,
    pipeline_instances: Annotated[int | None, typer.Option(min=1, help="Of the embedded server.")] = None,
    triton_url: Annotated[str | None, typer.Option(envvar="TRITON_URL", help="host:port of a running Triton (gRPC).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    png: Annotated[Path, typer.Option(help="Write the picture here.")] = Path("build/pipeline.png"),
) -> None:
    """Measure throughput, latency and the time per model under 1 to 16 concurrent photos."""
    levels_wanted = numbers(concurrency, "--concurrency")
    files, request = load_photos(photos), make_request(concepts)
    chosen = target("embedded", pipeline_instances=pipeline_instances or min(8, max(levels_wanted)))
    levels: list[Level] = []
    with served(triton_url, graphs, chosen) as url:
        for level in levels_wanted:
            levels.append(asyncio.run(run_level(url, files, request, level, seconds)))
            console.print(
                f"{level} at a time: {levels[-1].photos_per_second:.2f} photos/s, p50 {levels[-1].p50_ms:.0f} ms", highlight=False
            )
    report = {
        "machine": machine(),
        "server": triton_url or "embedded",
        "photos": len(files),
        "concepts": concepts,
        "settings": {} if triton_url else dataclasses.asdict(chosen),
        "levels": [level.as_json() for level in levels],
    }
    show(levels)
    draw(png, report)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def numbers(text: str, option: str) -> list[int]:
    """Ascending whole numbers from `1,2,4`. BenchmarkError for anything else."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise BenchmarkError(f"{option} {text!r} is not a list of numbers like 1,2,4")
    return found


def show(levels: list[Level]) -> None:
    """The tables on stdout."""
    table = Table("at a time", "photos", "photos/s", "p50 ms", "p95 ms", "p99 ms")
    for level in levels:
        latencies = (level.p50_ms, level.p95_ms, level.p99_ms)
        table.add_row(str(level.concurrency), str(level.photos), f"{level.photos_per_second:.2f}", *(f"{value:.0f}" for value in latencies))
    models = Table("ms per photo, queue + compute (mean batch)", *[f"{level.concurrency} at a time" for level in levels])
    for name in sorted({name for level in levels for name in level.models}):
        shares = [level.models.get(name) for level in levels]
        models.add_row(name, *[f"{s.queue_ms:.0f} + {s.compute_ms:.0f} ({s.mean_batch:.1f})" if s else "" for s in shares])
    console = Console()
    console.print(table)
    console.print(models)


def draw(png: Path, report: dict[str, Any]) -> None:
    """Latency over throughput, and time per model over concurrency."""
    levels = report["levels"]
    rates = [level["photos_per_second"] for level in levels]
    names = ("p50_ms", "p95_ms", "p99_ms")
    latency = Panel(
        "Latency over throughput",
        "photos per second",
        "ms",
        {name.removesuffix("_ms"): [(rate, level[name]) for rate, level in zip(rates, levels, strict=True)] for name in names},
        [str(level["concurrency"]) for level in levels],
    )
    shares: dict[str, list[tuple[float, float]]] = {}
    for level in levels:
        for name in ("sam3_image_encoder", "sam3_concept_decoder", "applier"):
            if name in level["models"]:
                share = level["models"][name]
                shares.setdefault(name, []).append((level["concurrency"], share["queue_ms"] + share["compute_ms"]))
    models = Panel("Queue and compute per photo", "photos at a time", "ms", shares)
    subtitle = f"{report['server']}, {report['concepts']} concepts, {report['machine']}"
    curves(png, "Photos through pipeline_bls", subtitle, [latency, models])
