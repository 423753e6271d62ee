"""A worker process with the tiny pipeline and a folder store: `python -m tests.orchestrator.tiny_process FOLDER [PHOTOS]`.

FOLDER is `-` where the settings say what the store is.

PHOTOS are the seconds that a photo takes, or a file: photos end when it is there.

Everything else is as in `respray work`: settings from the environment, intake, signals, probes, events on stdout.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli._setup import command_context
from orchestrator.intake import open_intake
from orchestrator.service import open_worker as app
from orchestrator.service import session
from tests.orchestrator.support import TinyPipeline

PHOTOS = sys.argv[2] if len(sys.argv) > 2 else "0"


class _Pipeline(TinyPipeline):
    """In place of `TritonBackend`."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(0.0 if PHOTOS.startswith("/") else float(PHOTOS))

    async def infer(self, *arguments: Any) -> Any:
        """As TinyPipeline.infer."""
        while PHOTOS.startswith("/") and not Path(PHOTOS).exists():
            await asyncio.sleep(0.05)
        return await super().infer(*arguments)


def main() -> None:
    """Run until a signal."""
    setattr(app, "TritonBackend", _Pipeline)  # noqa: B010 (a class in place of another)
    with command_context() as c:
        options = app.WorkerOptions(store=None if sys.argv[1] == "-" else sys.argv[1], triton_url="none:1")
        if c.settings.adapter == "runpod":
            from orchestrator.intake.runpod import RunpodIntake

            sys.argv = sys.argv[:1] + sys.argv[3:]
            RunpodIntake(c.settings, options, c.events, c.metrics, redactor=c.redactor).run()
            return
        intake = open_intake(c.settings)
        work = session.run_session(c.settings, options, intake.run, c.events, c.metrics, redactor=c.redactor, reach=intake.reach)
        asyncio.run(work)


if __name__ == "__main__":
    main()
