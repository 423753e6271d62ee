"""The stage of the fault table: real servers, jobs in the bucket and the queue, and the count of what came out."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageDraw

from respray.triton.embedded.processes import family
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from tests.faults.processes import BUCKET, PROJECT, Redis, S3Server, WorkerProcess, free_port, produce, wait_for
from tests.faults.receiver import Receiver

USER = "faults"
SIZE = (96, 72)
CLOSE_ENOUGH = 3.0
"""Mean absolute difference, in 8-bit steps, below which two results are of the same photo: batches of another size round differently."""


def find_graphs() -> Path:
    """The exported graphs of the demo model."""
    for folder in (PROJECT / "respray/weights/demo/graphs", PROJECT / "build/random-demo"):
        if (folder / "spec.json").is_file():
            return folder
    raise FileNotFoundError("no exported graphs: run scripts/export_onnx.py --checkpoint demo")


def make_photo(seed: int) -> bytes:
    """A small room-like picture that no other seed gives."""
    shade = random.Random(seed)

    def colour() -> tuple[int, ...]:
        return tuple(shade.randrange(40, 240) for _ in range(3))

    image = Image.new("RGB", SIZE, colour())
    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 72), (20, 45), (76, 45), (96, 72)], fill=colour())
    draw.rectangle([30, 10, 60, 30], fill=colour())
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


@dataclass
class Outcome:
    """A row of the table."""

    name: str
    expected: int
    delivered: int = 0
    wrong: int = 0
    duplicates: int = 0
    missing: int = 0
    repeats: int = 0
    seconds: float = 0.0
    notes: str = ""
    failures: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether everything came out as it must."""
        return self.delivered == self.expected and not (self.wrong or self.duplicates or self.missing or self.failures)


class Stage:
    """Starts the servers once; every row brings its own queue, jobs and workers."""

    def __init__(self, folder: Path, triton_url: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.s3 = S3Server(folder / "s3")
        self.redis = Redis(folder / "redis")
        self.receiver = Receiver()
        self.client = self.s3.client()
        self.workers: list[WorkerProcess] = []
        self.triton: EmbeddedServer | None = None
        self.triton_url = triton_url or self.start_triton(free_port())
        self._reference: dict[int, np.ndarray[Any, Any]] = {}
        self._count = 0

    def start_triton(self, port: int) -> str:
        """A server of our own, on the port that workers know."""
        repository = build(find_graphs(), target("embedded", pipeline_instances=4, applier_instances=1), self.folder / "repository")
        self.triton = EmbeddedServer(
            repository, ServerOptions(grpc_port=port, log_file=self.folder / f"triton-{time.time():.0f}.log")
        ).start()
        return self.triton.grpc_url

    def kill_triton(self) -> None:
        """SIGKILL for the whole server, its Python processes included."""
        assert self.triton is not None and self.triton._process is not None
        os.killpg(self.triton._process.pid, signal.SIGKILL)
        self.triton._process.wait()
        self.triton.stop()

    def signal_models(self, model: str, number: signal.Signals) -> int:
        """A signal for the processes behind one Python model; how many there are."""
        assert self.triton is not None
        found = [one for one in family(self.triton.pid) if f"/{model}/1/model.py" in " ".join(psutil.Process(one).cmdline())]
        for process in found:
            os.kill(process, number)
        return len(found)

    def close(self) -> None:
        """Stop everything that was started here."""
        self.end_workers()
        self.receiver.down()
        if self.triton is not None:
            self.triton.stop()
        self.redis.stop()
        self.s3.stop()

    def job(self, name: str, count: int, first_seed: int = 0) -> dict[str, Any]:
        """A palette job with its photos in the bucket."""
        items = []
        for index in range(count):
            keys = {
                "input_key": f"inputs/{USER}/{name}/{index}.jpg",
                "output_key": f"outputs/{USER}/{name}/{index}_result.png",
                "preview_key": f"previews/{USER}/{name}/{index}_thumb.jpg",
            }
            self.client.put_object(Bucket=BUCKET, Key=keys["input_key"], Body=make_photo(first_seed + index))
            items.append({"idx": index, **keys})
        return {
            "job_id": name,
            "user_id": USER,
            # Without a preset nothing is protected, and the whole photo changes: a wrong photo or a missing edit cannot hide.
            "concepts": {"wall": {"action": "tone", "value": {"brightness": 0.5}}, "floor": {"action": "recolor", "value": "#3366cc"}},
            "items": items,
            "callback_url": f"{self.receiver.url}/jobs/{name}/callback",
            "idempotency_prefix": name,
        }

    def push(self, queue: str, jobs: list[dict[str, Any]]) -> None:
        """Into the queue, from Node."""
        produce(self.redis, queue, jobs)

    def worker(self, queue: str, **settings: str) -> WorkerProcess:
        """Start a worker on a queue."""
        self._count += 1
        environment = {
            "ADAPTER": "bullmq",
            "REDIS_URL": self.redis.url,
            "QUEUE_NAME": queue,
            "STORAGE_S3_ENDPOINT": self.s3.url,
            "TRITON_URL": self.triton_url,
            "CALLBACK_ALLOW_HOSTS": self.receiver.host,
            "CALLBACK_TIMEOUT_SEC": "1",
            "CALLBACK_SWEEP_SEC": "3",
            "JOB_LOCK_SEC": "2",
            "JOB_ATTEMPTS": "100",
            "JOB_CONCURRENCY": "1",
            "LOG_LEVEL": "INFO",
        }
        worker = WorkerProcess(self.folder / "workers", f"{queue}-{self._count}", environment | settings)
        self.workers.append(worker)
        return worker

    def end_workers(self) -> None:
        """Stop the workers of a row and check that their stdout held events only."""
        for worker in self.workers:
            worker.stop()
            worker.events()
        self.workers.clear()

    def records(self, jobs: list[dict[str, Any]]) -> int:
        """How many item records there are."""
        return sum(len(self._list(f"outputs/{USER}/{job['job_id']}/manifest/")) for job in jobs)

    def callbacks(self, jobs: list[dict[str, Any]]) -> int:
        """How many different items were told of, successfully."""
        paths = {f"/jobs/{job['job_id']}/callback" for job in jobs}
        return len({(c.path, c.body["idx"]) for c in list(self.receiver.calls) if c.status < 300 and c.path in paths})

    def wait_done(self, jobs: list[dict[str, Any]], seconds: float, callbacks: bool = True) -> None:
        """Until every item is recorded and, if wanted, told of."""
        total = sum(len(job["items"]) for job in jobs)

        def done() -> bool:
            dead = [worker for worker in self.workers if not worker.alive]
            assert len(dead) < len(self.workers), f"all workers ended: {dead[-1].log.read_text()[-500:]}"
            if callbacks and self.callbacks(jobs) < total:
                time.sleep(0.2)
                return False
            return self.records(jobs) >= total

        wait_for(f"{total} items", done, seconds)

    def judge(self, name: str, jobs: list[dict[str, Any]], seeds: Callable[[dict[str, Any], int], int], began: float) -> Outcome:
        """Look at everything that a caller could see."""
        outcome = Outcome(name, sum(len(job["items"]) for job in jobs), seconds=time.monotonic() - began)
        for job in jobs:
            for item in job["items"]:
                self._judge_item(outcome, job, item, seeds(job, item["idx"]))
        paths = {f"/jobs/{job['job_id']}/callback" for job in jobs}
        told: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for call in self.receiver.calls:
            if call.path in paths and call.status < 300:
                told[call.path, call.body["idx"]][call.headers["webhook-id"]] += 1
                if call.problem:
                    outcome.failures.append(call.problem)
                if call.body["status"] != "completed":
                    outcome.failures.append(f"told as failed: {call.body['error']}")
        outcome.missing = outcome.expected - len(told)
        outcome.duplicates = sum(len(ids) - 1 for ids in told.values())
        outcome.repeats = sum(sum(ids.values()) - len(ids) for ids in told.values())
        owed = [key for key in self._list("callbacks-owed/") if any(f"/{job['job_id']}." in key for job in jobs)]
        outcome.notes = f"{len(owed)} markers left" if owed else ""
        return outcome

    def _judge_item(self, outcome: Outcome, job: dict[str, Any], item: dict[str, Any], seed: int) -> None:
        try:
            record = json.loads(self._get(f"outputs/{USER}/{job['job_id']}/manifest/{item['idx']}.json"))
            data, preview = self._get(item["output_key"]), self._get(item["preview_key"])
        except self.client.exceptions.NoSuchKey:
            return
        if record["status"] != "completed":
            outcome.failures.append(record["error"])
            return
        outcome.delivered += 1
        right = self.reference(seed)
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)
        Image.open(io.BytesIO(preview)).load()
        if image.shape != right.shape or float(np.abs(image - right).mean()) > CLOSE_ENOUGH:
            outcome.wrong += 1

    def reference(self, seed: int) -> np.ndarray[Any, Any]:
        """The right result of a photo, from an undisturbed run straight through the pipeline."""
        if seed not in self._reference:
            self._reference |= self._run_references([seed])
        return self._reference[seed]

    def prepare_references(self, seeds: range) -> None:
        """Compute the right results of many photos at once, before anything is broken."""
        self._reference |= self._run_references([s for s in seeds if s not in self._reference])

    def _run_references(self, seeds: list[int]) -> dict[int, np.ndarray[Any, Any]]:
        import asyncio

        from orchestrator.jobs.name_catalog import load_catalog
        from orchestrator.jobs.parser import parse_job
        from respray.triton.client import PipelineClient

        message = {**self._plain_message(), "items": [self._plain_item()]}
        request = parse_job(message, load_catalog()).items[0].request

        async def work() -> dict[int, np.ndarray[Any, Any]]:
            slots = asyncio.Semaphore(4)
            async with PipelineClient(self.triton_url) as client:

                async def one(seed: int) -> tuple[int, np.ndarray[Any, Any]]:
                    async with slots:
                        result = await client.edit(make_photo(seed), request)
                    return seed, np.asarray(Image.open(io.BytesIO(result.files[0])).convert("RGB"), dtype=np.float32)

                return dict(await asyncio.gather(*(one(seed) for seed in seeds)))

        return asyncio.run(work())

    def _plain_message(self) -> dict[str, Any]:
        message = self.job("reference", 0)
        return {**message, "job_id": "reference"}

    def _plain_item(self) -> dict[str, Any]:
        base = f"{USER}/reference"
        return {
            "idx": 0,
            "input_key": f"inputs/{base}/0.jpg",
            "output_key": f"outputs/{base}/0.png",
            "preview_key": f"previews/{base}/0.jpg",
        }

    def _get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def _list(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]
