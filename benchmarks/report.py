"""`respray bench report`: one HTML page of everything that was measured, with the settings that produced it.

Reads from one folder whatever is there: `pipeline.json`, `overhead.json`, `sweep.json`, `stage1.json` (each benchmark's `--json`), and
`perf/concurrency.csv` and `perf/rate.csv` (`benchmarks/perf_analyzer.sh FOLDER/perf`). Pictures are inside the page.
"""

from __future__ import annotations

import base64
import csv
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer
from rich.console import Console

from benchmarks.curves import Panel, curves
from benchmarks.pipeline import draw
from benchmarks.work import BenchmarkError

TEMPLATE = "report.html.j2"
SOURCES = ("pipeline", "overhead", "sweep", "stage1")
# perf_analyzer's column of what was varied, by the CSV file's name.
SWEEPS = {"concurrency": "Concurrency", "rate": "Request Rate"}
PARTS = {
    "network and client": ("Client Send", "Network+Server Send/Recv", "Client Recv"),
    "queue": ("Server Queue",),
    "compute": ("Server Compute Input", "Server Compute Infer", "Server Compute Output"),
}
MICROSECONDS_PER_MS = 1000.0


def read_perf(path: Path, varied: str) -> list[dict[str, float]]:
    """perf_analyzer's CSV, ascending by what was varied: `value`, `throughput`, percentiles and parts of the latency in milliseconds."""
    rows = []
    with path.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            entry = {"value": float(row[varied]), "throughput": float(row["Inferences/Second"])}
            for percent in ("p50", "p90", "p95", "p99"):
                entry[percent] = float(row[f"{percent} latency"]) / MICROSECONDS_PER_MS
            for part, columns in PARTS.items():
                entry[part] = sum(float(row[column]) for column in columns) / MICROSECONDS_PER_MS
            rows.append(entry)
    return sorted(rows, key=lambda entry: entry["value"])


def picture(paint: Callable[[Path], None]) -> str:
    """What `paint` writes to a PNG file, as a data URI."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        paint(file)
        return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()


def _perf_picture(rows: list[dict[str, float]], varied: str) -> str:
    latency = Panel(
        "Latency over throughput",
        "photos per second",
        "ms",
        {percent: [(row["throughput"], row[percent]) for row in rows] for percent in ("p50", "p95", "p99")},
        [f"{row['value']:g}" for row in rows],
    )
    parts = Panel("Where the time goes", varied.lower(), "ms", {part: [(row["value"], row[part]) for row in rows] for part in PARTS})
    return picture(lambda file: curves(file, f"perf_analyzer: {varied.lower()}", "pipeline_bls, real photos", [latency, parts]))


def render(folder: Path) -> str:
    """The page. BenchmarkError when the folder holds no measurement."""
    found: dict[str, Any] = {}
    for name in SOURCES:
        if (folder / f"{name}.json").is_file():
            found[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    perf = {
        name: read_perf(folder / "perf" / f"{name}.csv", varied)
        for name, varied in SWEEPS.items()
        if (folder / "perf" / f"{name}.csv").is_file()
    }
    if not found and not perf:
        wanted = ", ".join(f"{name}.json" for name in SOURCES)
        raise BenchmarkError(f"{folder} holds no measurement; it looks for {wanted}, perf/concurrency.csv and perf/rate.csv")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(TEMPLATE).render(
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        machine=next((entry["machine"] for entry in found.values() if "machine" in entry), "unknown"),
        found=found,
        pipeline_picture=picture(lambda file: draw(file, found["pipeline"])) if "pipeline" in found else None,
        perf=[(SWEEPS[name], rows, _perf_picture(rows, SWEEPS[name])) for name, rows in perf.items()],
    )


def main(
    *,
    folder: Annotated[Path, typer.Option(help="Where the benchmarks' --json files and perf_analyzer's CSV files are.")] = Path(
        "build/bench"
    ),
    out: Annotated[Path | None, typer.Option(help="The page [FOLDER/report.html]")] = None,
) -> None:
    """Write one HTML page of everything that was measured."""
    page = render(folder)
    file = out or folder / "report.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")
    Console().print(str(file), highlight=False, soft_wrap=True)
