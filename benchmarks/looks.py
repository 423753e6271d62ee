"""`respray bench looks`: how much less several looks of a photo take as one job than as so many jobs.

One photo of two megapixels goes through the same worker and server in 1, 4 and 16 looks of one job, and as so many single jobs, one job
after the other, in turns. Outputs are JPEG. Every time is the smallest of `--rounds`. Figures of the JSON file: machine, megapixels,
concepts, and for each number of looks together_seconds, apart_seconds, ratio.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from benchmarks.pipeline import embedded
from benchmarks.work import GRAPHS, PHOTOS, BenchmarkError, machine
from orchestrator.service.open_worker import WorkerOptions, open_worker
from orchestrator.settings import Settings
from orchestrator.worker.worker import Worker
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from respray.triton.repository.targets import target

LOOKS = (1, 4, 16)
WIDTH, HEIGHT = 1632, 1224
USER = "bench"
# Pairs of wall and floor, one after the other.
WALLS = ("#7C9082", "#5E7F8C", "#C9A77C", "#22304A", "#D8CFC0")
FLOORS = ("#C8A165", "#5B3A26", "#8E8E8A")


def look(number: int) -> dict[str, Any]:
    """The concepts of a look: a wall and a floor in colours of its own."""
    colours = {"Wall": WALLS[number % len(WALLS)], "Floor": FLOORS[number % len(FLOORS)]}
    return {name: {"action": "recolor", "value": value} for name, value in colours.items()}


def job(name: str, **fields: Any) -> dict[str, Any]:
    """A palette job of the one photo."""
    base = f"{USER}/{name}"
    keys = {"output_key": f"outputs/{base}/{{look}}.jpg", "preview_key": f"previews/{base}/{{look}}.jpg"}
    item = {"idx": 0, "input_key": f"inputs/{base}/0.jpg", **keys}
    return {"job_id": name, "user_id": USER, "preset": "interior", "protect": ["Sofa"], "items": [item], **fields}


async def measure(url: str, store: Path, photo: bytes, rounds: int) -> dict[int, tuple[float, float]]:
    """Seconds together and apart, by the number of looks."""
    times: dict[int, tuple[list[float], list[float]]] = {count: ([], []) for count in LOOKS}
    settings, metrics, redactor = Settings(adapter="local"), Metrics(), Redactor([])
    async with open_worker(settings, WorkerOptions(str(store), url), Events(None, redactor), metrics, redactor) as worker:
        for turn in range(rounds + 1):
            for count, (together, apart) in times.items():
                looks = [{"name": f"look{number}", "concepts": look(number)} for number in range(count)]
                seconds = await _run(worker, store, photo, [job(f"together_{turn}_{count}", looks=looks)])
                singles = [job(f"apart_{turn}_{count}_{number}", concepts=look(number)) for number in range(count)]
                alone = await _run(worker, store, photo, singles)
                if turn:  # the first turn warms up
                    together.append(seconds)
                    apart.append(alone)
    return {count: (min(together), min(apart)) for count, (together, apart) in times.items()}


async def _run(worker: Worker, store: Path, photo: bytes, jobs: list[dict[str, Any]]) -> float:
    """Seconds for some jobs, one after the other."""
    for message in jobs:
        place = store / message["items"][0]["input_key"]
        place.parent.mkdir(parents=True)
        place.write_bytes(photo)
    began = time.monotonic()
    for message in jobs:
        result = await worker.start(message, attempt=1, final=True).finished()
        if not result.ok:
            raise BenchmarkError(f"job {result.job_id} did not complete: {result.error}")
    return time.monotonic() - began


def main(
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each number of looks is measured.")] = 3,
    photo: Annotated[Path, typer.Option(help="A photo; it is stretched to two megapixels.")] = PHOTOS / "room_1.jpg",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure 1, 4 and 16 looks of one 2-megapixel photo as one job against as many single jobs."""
    image = cv2.imread(str(photo))
    if image is None:
        raise BenchmarkError(f"{photo} is no picture that can be read")
    stretched = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    encoded = cv2.imencode(".jpg", stretched, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    with tempfile.TemporaryDirectory(prefix="respray-looks-") as folder, embedded(GRAPHS, target("embedded")) as server:
        figures = asyncio.run(measure(server.grpc_url, Path(folder), encoded, rounds))
    for count, (together, apart) in figures.items():
        typer.echo(f"{count:>2} looks: {together:.2f} s as one job, {apart:.2f} s as {count} jobs, ratio {apart / together:.2f}")
    if json_file is not None:
        rows = {
            count: {"together_seconds": together, "apart_seconds": apart, "ratio": apart / together}
            for count, (together, apart) in figures.items()
        }
        facts = {"machine": machine(), "megapixels": WIDTH * HEIGHT / 1e6, "concepts": 3}
        json_file.write_text(json.dumps(facts | {"looks": rows}, indent=1))


if __name__ == "__main__":
    typer.run(main)
