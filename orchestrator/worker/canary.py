"""Whether photos pass: by the photos that passed lately, and where there were none by a tiny one that is sent to look.

Triton's own flags say that models are loaded. They stay up while the processes behind a model are dead and every photo fails.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Protocol

from PIL import Image

from respray.contract.report import PhotoReport, ProbeReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor

FRESH = 15.0
"""Seconds for which a photo that passed proves that the next one will."""
SHARE = 0.05
"""Most of the pipeline's time that canaries take: after a slow one, the next is sent later."""
AGAIN = 2.0
"""Seconds between two canaries while they fail."""
PATIENCE = 120.0
"""Seconds until the answer to a canary: it may wait behind other workers' photos."""
WAIT = 2.0
"""Seconds that a probe waits for a canary that is under way. Kubernetes gives a probe three."""
SIZE = (64, 48)
_WALL = ConceptQuery(name="wall", prompts=["wall"])
REQUEST = PhotoRequest(
    concepts=[_WALL],
    outputs=[Output(name="canary", edits=[Edit(concept="wall", rule=Recolor(color="#808080"))])],
    preview_size=32,
    tell_probe=True,
)
"""Every model is asked: the text and image encoders, the decoder, and the applier for a rule, a preview and files."""


class Pipeline(Protocol):
    """What a canary is sent through."""

    async def infer(self, photo: bytes, request: PhotoRequest, attachments: list[bytes]) -> tuple[PhotoReport, list[bytes]]:
        """Edit one photo."""
        ...


class Canary:
    """What is known of a pipeline. Nothing is sent unless somebody asks, and one canary at a time."""

    def __init__(self, pipeline: Pipeline, on_probe: Callable[[ProbeReport], None] = lambda report: None) -> None:
        """Know nothing yet. `on_probe` is told how the server has answered its probe, each time a canary brings it."""
        self._pipeline, self._on_probe = pipeline, on_probe
        self._problem: str | None = "no photo has passed yet"
        self._until = 0.0  # when (the loop's clock) what is known must be looked at again
        self._sent = 0
        self._under_way: asyncio.Task[None] | None = None

    def photo_passed(self) -> None:
        """A photo of a job came back whole."""
        self._learn(None, FRESH)

    def photo_failed(self) -> None:
        """A photo of a job did not come back. It may be the photo: the next question sends a canary."""
        self._until = 0.0

    async def problem(self) -> str | None:
        """Why a photo sent now would not pass, or None. While a canary is under way for long, what was known before it."""
        if asyncio.get_running_loop().time() >= self._until:
            if self._under_way is None:
                self._under_way = asyncio.create_task(self._send())
            await asyncio.wait({self._under_way}, timeout=WAIT)
        return self._problem

    async def close(self) -> None:
        """Call back a canary that is under way."""
        task = self._under_way
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _send(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        self._sent += 1
        try:
            async with asyncio.timeout(PATIENCE):
                report, files = await self._pipeline.infer(picture(self._sent), REQUEST, [])
            if report.probe is not None:
                self._on_probe(report.probe)
            self._learn(None if files else "a small photo came back without files", max(FRESH, (clock() - began) / SHARE))
        except TimeoutError:
            self._learn(f"a small photo did not come back within {PATIENCE:g} s", AGAIN)
        except Exception as error:  # whatever it is: a photo does not pass, and who asks for it is a probe
            self._learn(f"a small photo does not pass: {error}", AGAIN)
        finally:
            self._under_way = None

    def _learn(self, problem: str | None, seconds: float) -> None:
        self._problem, self._until = problem, asyncio.get_running_loop().time() + seconds


def picture(number: int) -> bytes:
    """A small PNG, another one each time: no cache between here and the models knows it."""
    stream = io.BytesIO()
    Image.new("RGB", SIZE, (number % 256, number // 256 % 256, 128)).save(stream, "PNG")
    return stream.getvalue()
