"""A tiny in-process pipeline and makers of jobs, for tests whose promise is not about pixels."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from pydantic import SecretStr

from orchestrator.callbacks.client import CallbackClient, Schedule
from orchestrator.errors import OutOfMemory, PhotoRefused, PipelineUnavailable
from orchestrator.net.address_policy import AddressPolicy
from orchestrator.service.assembly import Parts, callback_client, link_client, make_worker
from orchestrator.settings import Settings
from orchestrator.storage.base import Storage
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.worker import Worker
from respray.contract.report import FileReport, PhotoReport
from respray.contract.request import PhotoRequest
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from tests.faults.processes import CALLBACK_SECRET

FAST = Schedule(waits=(0.02, 0.04, 0.08), jitter=0.1)


def photo(seed: int = 0, size: tuple[int, int] = (32, 24)) -> bytes:
    """A small JPEG, different for every seed."""
    image = Image.new("RGB", size, (seed * 37 % 256, seed * 91 % 256, seed * 13 % 256))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


class TinyPipeline:
    """Answers each photo with bytes that depend on photo and request only. `fail(number)` may return an error to raise."""

    def __init__(self, seconds: float = 0.0, fail: Callable[[int, bytes], Exception | None] = lambda number, photo: None) -> None:
        self.seconds, self.fail = seconds, fail
        self.calls, self.running, self.most = 0, 0, 0
        self.is_ready = True

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoReport, list[bytes]]:
        """As `orchestrator.worker.backend.InferenceBackend.infer`."""
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            number = self.calls
            await asyncio.sleep(self.seconds)
            if error := self.fail(number, photo):
                raise error
        finally:
            self.running -= 1
        base = hashlib.sha256(photo + request.model_dump_json().encode() + b"".join(attachments)).hexdigest()
        files, data = [], []
        for output in request.outputs:
            files.append(FileReport(kind="output", name=output.name, media_type=f"image/{output.format}"))
            data.append(f"{base}:{output.name}".encode())
        if request.preview_size:
            files.append(FileReport(kind="preview", name=request.outputs[0].name, media_type="image/jpeg"))
            data.append(f"{base}:preview".encode())
        if request.masks:
            for concept in request.concepts:
                files.append(FileReport(kind="mask", name=concept.name, instance=1, media_type="image/png"))
                data.append(f"{base}:{concept.name}".encode())
        timings = {"decode": 0.001, "segment": self.seconds, "matte": 0.001, "apply": 0.001, "encode": 0.001, "preview": 0.001}
        return PhotoReport(width=32, height=24, concepts=[], outputs=[], files=files, timings=timings), data

    async def model_digest(self) -> str | None:
        """It keeps no segments."""
        return None

    async def ready(self) -> bool:
        """As `InferenceBackend.ready`."""
        return self.is_ready

    async def close(self) -> None:
        """Nothing to close."""


class GatedPipeline(TinyPipeline):
    """Lets no photo through before it is `open`."""

    open, waiting = False, 0

    async def infer(self, *arguments: Any) -> Any:
        """As TinyPipeline.infer."""
        self.waiting += 1
        while not self.open:
            await asyncio.sleep(0.01)
        return await super().infer(*arguments)


def palette_job(job: str = "job_1", count: int = 3, user: str = "u_abc", **fields: Any) -> dict[str, Any]:
    """A palette job over photos 0..count-1."""
    items = [
        {
            "idx": i,
            "input_key": f"inputs/{user}/{job}/{i}.jpg",
            "output_key": f"outputs/{user}/{job}/{i}_result.png",
            "preview_key": f"previews/{user}/{job}/{i}_thumb.jpg",
        }
        for i in range(count)
    ]
    base = {
        "job_id": job,
        "user_id": user,
        "preset": "interior",
        "concepts": {"Floor": {"action": "recolor", "value": "oak_a"}, "Wall": {"action": "recolor", "value": "offwhite_b"}},
        "items": items,
        "idempotency_prefix": job,
    }
    return base | fields


def rule_job(job: str = "job_r", count: int = 2, user: str = "u", **fields: Any) -> dict[str, Any]:
    """A rule job with two rules."""
    base = {
        "userId": user,
        "jobId": job,
        "concepts": ["wall", "floor"],
        "rules": [
            {"ruleId": "r1", "concept": "wall", "type": "recolor", "params": {"color": "#FF5733"}},
            {"ruleId": "r2", "concept": "floor", "type": "tone", "params": {"brightness": 0.2}},
        ],
        "imageCount": count,
    }
    return base | fields


def put_photos(root: Path, job: str, count: int, user: str = "u_abc") -> None:
    """Photos 0..count-1 of a job in a folder store."""
    folder = root / "inputs" / user / job
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"{index}.jpg").write_bytes(photo(index))


def markers(root: Path) -> list[Path]:
    """The markers of owed callbacks in a folder store."""
    return sorted((root / "callbacks-owed").rglob("*.json"))


@contextlib.asynccontextmanager
async def tiny_worker(
    storage: AsyncStorage | Storage | Path,
    pipeline: Any = None,
    *,
    events: list[dict[str, Any]] | None = None,
    allow: str = "",
    secret: str | None = CALLBACK_SECRET,
    concurrency: int = 4,
    attempts: int = 3,
    timeout: float = 2.0,
    name: str = "tester",
    workers_api_url: str | None = None,
    patience: float = 2.0,
    redactor: Redactor | None = None,
    lease: float | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    allow_links: str = "",
    link_timeout: float = 5.0,
) -> AsyncIterator[Worker]:
    """A worker with the tiny pipeline (or another) on a store; with `transport`, callbacks go through it in place of the network."""
    hide, metrics = redactor or Redactor([secret] if secret else []), Metrics()
    settings = Settings(
        adapter="local",
        callback_secret=SecretStr(secret) if secret is not None else None,
        callback_allow_hosts=allow,
        callback_timeout=timeout,
        workers_api_url=workers_api_url,
        batch_concurrency=concurrency,
        input_allow_hosts=allow_links,
        input_timeout=link_timeout,
        job_attempts=attempts,
    )
    callbacks, links = callback_client(settings, metrics, FAST), link_client(settings, metrics)
    if transport is not None and secret is not None:
        callbacks = CallbackClient(secret, timeout, AddressPolicy(), schedule=FAST, transport=transport)
    if isinstance(storage, Path):
        storage = FolderStorage(storage, sync=False)
    async with storage if isinstance(storage, AsyncStorage) else AsyncStorage(storage) as store:
        parts = Parts(
            storage=store,
            pipeline=pipeline or TinyPipeline(),
            links=links,
            callbacks=callbacks,
            events=Events(None, hide, listener=events.append if events is not None else None),
            metrics=metrics,
            redactor=hide,
            name=name,
            patience=patience,
        )
        worker = make_worker(settings, parts)
        if lease is not None:
            worker.deliverer.lease = lease
        try:
            yield worker
        finally:
            await links.close()
            if callbacks is not None:
                await callbacks.close()


__all__ = [
    "FAST",
    "GatedPipeline",
    "OutOfMemory",
    "PhotoRefused",
    "PipelineUnavailable",
    "TinyPipeline",
    "markers",
    "palette_job",
    "photo",
    "put_photos",
    "rule_job",
    "tiny_worker",
]
