"""`respray bench flow`: how much longer a whole job takes than its time in Triton, with slow uploads and callbacks.

The same photos go through the same server twice: straight through the gRPC client, and as one palette job through a worker whose every
upload takes `--upload` seconds and every callback `--callback` (the specification's figures). Both keep as many photos in Triton at a time.
Figures of the JSON file: machine, photos, concurrency, triton_seconds, job_seconds (callbacks delivered), ratio.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.pipeline import embedded
from benchmarks.work import GRAPHS, PHOTOS, machine, palette_items
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.service.assembly import Parts, callback_client, link_client, make_worker
from orchestrator.settings import Settings
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import TritonBackend
from respray.demo.callback_receiver import CallbackReceiver
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from respray.triton.client import PipelineClient
from respray.triton.repository.targets import target


class SlowFolder(FolderStorage):
    """A folder whose every upload of a result takes as long as one to a bucket far away."""

    delay = 0.0

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        if key.startswith(("outputs/", "previews/", "masks/")) and not key.endswith(".json"):
            time.sleep(self.delay)
        return super().write(key, data, media_type, expect)


def job_of(count: int, host: str) -> dict[str, Any]:
    """A palette job of `count` photos."""
    concepts = {"Floor": {"action": "recolor", "value": "oak_a"}, "Wall": {"action": "recolor", "value": "#7C9082"}}
    return {
        "job_id": "flow",
        "user_id": "bench",
        "preset": "interior",
        "concepts": concepts,
        "protect": [],
        "items": palette_items(count, "flow"),
        "callback_url": f"http://{host}/callback",
        "idempotency_prefix": "flow",
        "batch_concurrency": 64,
    }


async def in_triton(url: str, message: dict[str, Any], store: Path, concurrency: int) -> float:
    """Seconds for all photos of the job through the client alone."""
    job = parse_job(message, load_catalog(), None)
    waiting = iter(job.items)
    async with PipelineClient(url) as client:

        async def runner() -> None:
            for item in waiting:
                await client.edit((store / item.photo.label).read_bytes(), item.request)

        began = time.monotonic()
        await asyncio.gather(*(runner() for _ in range(concurrency)))
        return time.monotonic() - began


async def as_job(url: str, message: dict[str, Any], store: SlowFolder, receiver: CallbackReceiver, concurrency: int) -> float:
    """Seconds until the job's last callback is delivered."""
    settings = Settings.model_validate({**receiver.settings(), "batch_concurrency": concurrency})
    metrics, redactor = Metrics(), Redactor([receiver.secret])
    callbacks, pipeline = callback_client(settings, metrics), TritonBackend(url, settings.pipeline_timeout)
    links = link_client(settings, metrics)
    assert callbacks is not None  # the receiver's settings have a secret
    async with AsyncStorage(store) as storage:
        try:
            events = Events(None, redactor)
            parts = Parts(
                storage=storage, pipeline=pipeline, links=links, callbacks=callbacks, events=events, metrics=metrics, redactor=redactor
            )
            began = time.monotonic()
            result = await make_worker(settings, parts).start(message, attempt=1, final=True).finished()
            seconds = time.monotonic() - began
        finally:
            await links.close()
            await callbacks.close()
            await pipeline.close()
    if not result.ok or result.callbacks != {"delivered": result.total, "undelivered": []}:
        raise typer.BadParameter(f"the job did not complete: {result.error or result.callbacks}")
    return seconds


def main(
    count: Annotated[int, typer.Option("--photos", min=1, max=1000, help="Photos of the job.")] = 50,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Photos in Triton at a time.")] = 4,
    upload: Annotated[float, typer.Option(min=0.0, help="Seconds that every upload takes.")] = 0.2,
    callback: Annotated[float, typer.Option(min=0.0, help="Seconds that every callback takes.")] = 0.1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure a whole job against its time in Triton, with slow uploads and callbacks."""
    sources = sorted(PHOTOS.glob("*.jpg"))
    with tempfile.TemporaryDirectory(prefix="respray-flow-") as folder, CallbackReceiver(delay=callback) as receiver:
        store = SlowFolder(Path(folder), sync=False)
        store.delay = upload
        message = job_of(count, receiver.host)
        for number, item in enumerate(message["items"]):
            place = Path(folder) / item["input_key"]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[number % len(sources)], place)
        with embedded(GRAPHS, target("embedded", pipeline_instances=concurrency)) as server:
            url = server.grpc_url
            warm = job_of(min(count, 2 * concurrency), receiver.host)
            asyncio.run(in_triton(url, warm, Path(folder), concurrency))
            triton = asyncio.run(in_triton(url, message, Path(folder), concurrency))
            whole = asyncio.run(as_job(url, message, store, receiver, concurrency))
    typer.echo(
        f"{count} photos, {concurrency} at a time: Triton alone {triton:.2f} s, the whole job {whole:.2f} s, ratio {whole / triton:.3f}"
    )
    if json_file is not None:
        figures = {"photos": count, "concurrency": concurrency, "triton_seconds": triton, "job_seconds": whole, "ratio": whole / triton}
        json_file.write_text(json.dumps({"machine": machine(), **figures}, indent=1))


if __name__ == "__main__":
    typer.run(main)
