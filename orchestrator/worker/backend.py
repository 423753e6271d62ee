"""The pipeline as the worker sees it, and the throttle in front of it: how many photos at a time, what to do when Triton goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.errors import OutOfMemory, PhotoRefused, PipelineFailed, PipelineUnavailable, ResprayError
from orchestrator.worker.canary import Canary
from respray.contract.report import PhotoReport, ProbeReport
from respray.contract.request import PhotoRequest
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.tracing import span
from respray.triton.client import PipelineClient
from respray.triton.errors import PhotoError, ServerUnavailable, ServingError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
"""How often one photo is tried: a photo that takes the server down each time must not do so forever."""
PATIENCE = 120.0
"""Seconds that a photo waits for Triton to come back, and a worker that starts for Triton to be there."""
OUTAGE_PATIENCE = 86_400.0
"""The same for the photos of a worker that takes jobs from a queue and renews its hold on them: an outage is not the jobs' fault, and a job
that went back to its queue would come again, and use up its attempts, while nothing can be done for it."""
LEASE_SHARE = 2 / 3
"""The same where a lease cannot be renewed (queue_pull): this part of it, after which the job is handed back while it is still ours."""
MAX_ALONE_ATTEMPTS = 2
"""How often a photo may run out of memory while nothing else of this worker is in the pipeline: another worker's photos may be."""
ALONE_PAUSE = 1.0
"""Seconds between these attempts."""

# How CUDA, ONNX Runtime and TensorRT say it, in lower case.
_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "failed to allocate memory", "bfcarena")
# How Triton's Python backend says that /dev/shm is full.
_OUT_OF_SHARED_MEMORY = "shared memory pool size"


class InferenceBackend(Protocol):
    """One photo in, its files out. Errors: PhotoRefused, PipelineFailed, OutOfMemory, PipelineUnavailable."""

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoReport, list[bytes]]:
        """Edit one encoded photo. Returns the report and the files that it lists."""
        ...

    async def ready(self) -> bool:
        """Whether a photo sent now would be worked on."""
        ...

    async def model_digest(self) -> str | None:
        """The digest of the model under which segments are kept; None: it has none, or does not say now."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True)
class Slot:
    """One place in the limit: how often the limit had been halved when it was taken, and whether it was then the only one there is."""

    halvings: int
    alone: bool


class AdaptiveLimit:
    """A semaphore whose size halves when memory runs out, and grows back one by one after a run of successes."""

    GROW_AFTER = 50

    def __init__(self, size: int) -> None:
        self.max_size = self.size = size
        self._used = 0
        self._successes = 0
        self._halvings = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Hold one of the slots."""
        while self._used >= self.size:
            self._changed.clear()
            await self._changed.wait()
        self._used += 1
        try:
            yield Slot(self._halvings, alone=self.size == 1)
        finally:
            # Nothing is awaited here: a slot must come back also where the task is cancelled a second time.
            self._used -= 1
            self._changed.set()

    def halve(self, slot: Slot) -> bool:
        """Fewer at the same time from now on; whether that changed anything.

        The photos of one batch all fail with it: only the first of them halves, the others had begun before.
        """
        if slot.halvings < self._halvings or self.size == 1:
            return False
        self.size, self._successes, self._halvings = self.size // 2, 0, self._halvings + 1
        return True

    def succeeded(self) -> int:
        """Count a success towards growing back; returns the size."""
        self._successes += 1
        if self.size < self.max_size and self._successes >= self.GROW_AFTER:
            self.size, self._successes = self.size + 1, 0
            self._changed.set()
        return self.size


class ThrottledBackend:
    """Sends photos through a pipeline, repeating what is safe to repeat: a photo's work changes nothing on the server."""

    def __init__(self, backend: InferenceBackend, concurrency: int, metrics: Metrics, events: Events, patience: float = PATIENCE) -> None:
        self._backend = backend
        self.limit = AdaptiveLimit(concurrency)
        self.canary = Canary(backend, self._learn)
        self._probe_known = False
        self._metrics, self._events, self._patience = metrics, events, patience
        metrics.pipeline_limit.set(concurrency)

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoReport, list[bytes]]:
        """Edit one photo. Raises PhotoRefused, and the other errors when repeating did not help.

        Running out of memory counts only where the photo was alone: before that, each repetition meets fewer others.
        """
        with span("pipeline", {"respray.bytes": len(photo)}):
            return await self._infer(photo, request, attachments)

    async def ready(self) -> bool:
        """Whether the server says that it is ready."""
        return await self._backend.ready()

    async def problem(self) -> str | None:
        """Why a photo sent now would not pass, or None: what the last photos met, or a tiny one that is sent to look."""
        if not await self._backend.ready():
            self.canary.photo_failed()
            return "Triton is not ready"
        return await self.canary.problem()

    async def model_digest(self) -> str | None:
        """See `InferenceBackend.model_digest`."""
        return await self._backend.model_digest()

    async def wait_until_ready(self, reason: str = "", patience: float | None = None) -> None:
        """Return as soon as the pipeline is ready.

        Args:
            reason: Why it is waited for, for the error.
            patience: Seconds; None: as long as a photo waits.

        Raises:
            PipelineUnavailable: The patience is used up.
        """
        patience = self._patience if patience is None else patience
        deadline = asyncio.get_running_loop().time() + patience
        pause = 0.1
        while not await self._backend.ready():
            if asyncio.get_running_loop().time() > deadline:
                raise PipelineUnavailable(f"Triton was not ready within {patience:g} s", f" ({reason})" if reason else "")
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 1.5)

    def _learn(self, report: ProbeReport) -> None:
        self._probe_known = True
        self._metrics.probed(report)

    async def _infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoReport, list[bytes]]:
        attempt, alone = 1, 0
        while True:
            try:
                async with self.limit.slot() as slot:
                    # The first photo brings along how the server has answered its probe, if no canary has before.
                    asked = request if self._probe_known else request.model_copy(update={"tell_probe": True})
                    report, files = await self._backend.infer(photo, asked, attachments)
                self._metrics.pipeline_limit.set(self.limit.succeeded())
                self.canary.photo_passed()
                if report.probe is not None:
                    self._learn(report.probe)
                return report.model_copy(update={"probe": None}), files
            except OutOfMemory as error:
                self._metrics.retries.labels("out_of_memory").inc()
                if self.limit.halve(slot):
                    self._metrics.pipeline_limit.set(self.limit.size)
                    self._events.worker("loading", f"{error}; going on with {self.limit.size} photo(s) at the same time")
                if slot.alone:
                    alone += 1
                    if alone == MAX_ALONE_ATTEMPTS:
                        raise PipelineFailed("the photo does not fit into memory, also alone", f": {error}") from None
                    await asyncio.sleep(ALONE_PAUSE)
            except PipelineFailed as error:
                self.canary.photo_failed()
                if attempt > 1:
                    raise
                log.warning("the pipeline failed and is tried once more: %s", error)
                attempt += 1
            except PipelineUnavailable as error:
                self.canary.photo_failed()
                self._probe_known = False  # the server that comes back may be another one
                self._metrics.retries.labels("pipeline").inc()
                if attempt == MAX_ATTEMPTS:
                    raise
                log.warning("Triton did not answer (%s); waiting for it to be ready", error)
                attempt += 1
                await self.wait_until_ready(str(error))


def translate(error: ServingError) -> ResprayError:
    """An error of the serving side as one of ours, by its kind and by the server's own words."""
    said = str(error).lower()
    if isinstance(error, PhotoError):
        return PhotoRefused(str(error))
    if _OUT_OF_SHARED_MEMORY in said:
        remedy = "give it more (Docker: --shm-size) or lower BATCH_CONCURRENCY"
        return OutOfMemory(f"/dev/shm of the Triton server is full; {remedy}", f" ({error})")
    if any(sign in said for sign in _OUT_OF_MEMORY):
        return OutOfMemory("the accelerator is out of memory", f" ({error})")
    if isinstance(error, ServerUnavailable):
        return PipelineUnavailable("Triton does not answer", f": {error}")
    return PipelineFailed("the pipeline failed with this photo; the worker's log says more", f": {error}")


class TritonBackend:
    """`PipelineClient` with our errors. Make it on the event loop that uses it: gRPC's channel belongs to one loop."""

    def __init__(self, url: str, timeout: float) -> None:
        self._client = PipelineClient(url, deadline=timeout)

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes]) -> tuple[PhotoReport, list[bytes]]:
        """See `InferenceBackend.infer`."""
        try:
            result = await self._client.edit(photo, request, attachments)
        except ServingError as error:
            raise translate(error) from None
        return result.report, result.files

    async def ready(self) -> bool:
        """See `InferenceBackend.ready`."""
        return await self._client.ready()

    async def model_digest(self) -> str | None:
        """See `InferenceBackend.model_digest`."""
        return await self._client.model_digest()

    async def close(self) -> None:
        """See `InferenceBackend.close`."""
        await self._client.close()
