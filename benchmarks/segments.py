"""Kept segments: what those of a photo take in the store, what is saved by them, and how long a preview takes."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli._setup import start_local_server
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.photos.service import PhotoService
from orchestrator.photos.types import Preview, PreviewQuery, SegmentsQuery
from orchestrator.settings import load_settings
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import ThrottledBackend, TritonBackend
from orchestrator.worker.kept_segments import KeptSegments
from respray.observe.events import Events
from respray.observe.metrics import Metrics

CONCEPTS = ["Floor", "Wall", "Ceiling", "Window"]
COLORS = ("#7C9082", "#806040", "#334455", "#B0A090", "#5E7F8C")


def main(rounds: Annotated[int, typer.Option(min=1, help="Previews of each photo.")] = 10) -> None:
    """Size of kept segments, seconds saved, and milliseconds of a preview at 1200 pixels."""
    asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> None:
    settings = load_settings(adapter="local")  # as `respray run`: the demo model, unless MODEL_NAME names another
    photos = sorted(Path(str(resources.files("respray"))).glob("demo/photos/*.jpg"))
    async with start_local_server(settings) as url:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncStorage(FolderStorage(Path(folder))) as storage:
                pipeline = TritonBackend(url, 120.0)
                kept = KeptSegments(storage, 1)
                service = PhotoService(storage, ThrottledBackend(pipeline, 2, Metrics(), Events(None)), load_catalog(), kept)
                firsts, agains, previews, stages = list[float](), list[float](), list[float](), dict[str, list[float]]()
                for number, path in enumerate(photos):
                    stored = await service.store("bench", path.read_bytes())
                    query = SegmentsQuery(concepts=CONCEPTS, preset="interior")
                    for seconds in (firsts, agains):
                        began = time.perf_counter()
                        await service.segments("bench", stored.photo, query)
                        seconds.append(time.perf_counter() - began)
                    for turn in range(rounds):
                        began = time.perf_counter()
                        shown = await _preview(service, stored.photo, COLORS[(number + turn) % len(COLORS)])
                        previews.append(time.perf_counter() - began)
                        for stage, taken in shown.report.timings.items():
                            stages.setdefault(stage, []).append(taken)
                await kept.close()
                await pipeline.close()
                sizes = [file.stat().st_size for file in Path(folder).rglob("found.bin")]
    print(f"kept of a photo ({len(CONCEPTS)} concepts and the preset's protects): median {statistics.median(sizes) / 1e3:.1f} kB")
    print(f"segments, first time and again: median {statistics.median(firsts):.3f} and {statistics.median(agains):.3f} s")
    ordered = sorted(previews)
    worst = ordered[int(0.95 * (len(ordered) - 1))]
    print(f"preview: median {statistics.median(ordered) * 1e3:.0f} ms, 95 % within {worst * 1e3:.0f} ms, of which")
    for stage, taken_all in stages.items():
        print(f"  {stage:8} {statistics.median(taken_all) * 1e3:.0f} ms")


async def _preview(service: PhotoService, photo: str, color: str) -> Preview:
    wanted = {"preset": "interior", "concepts": {"Wall": {"action": "recolor", "value": color}}}
    return await service.preview("bench", photo, PreviewQuery.model_validate(wanted))
