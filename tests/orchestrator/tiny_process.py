"""A worker process with the tiny pipeline and a folder store: `python -m tests.orchestrator.tiny_process FOLDER [SECONDS_PER_PHOTO]`.

Everything else is as in `respray work`: settings from the environment, intake, signals, probes, events on stdout.
"""

from __future__ import annotations

import asyncio
import sys

from orchestrator.cli._setup import command_context
from orchestrator.intake import open_intake
from orchestrator.service import open_worker as app
from orchestrator.service import session
from tests.orchestrator.support import TinyPipeline

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0


class _Pipeline(TinyPipeline):
    """In place of `TritonPipeline`."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(SECONDS)


def main() -> None:
    """Run until a signal."""
    app.TritonPipeline = _Pipeline  # type: ignore[misc,assignment]
    with command_context() as c:
        options = app.WorkerOptions(store=sys.argv[1], triton_url="none:1")
        if c.settings.adapter == "runpod":
            from orchestrator.intake.runpod import RunpodIntake

            sys.argv = sys.argv[:1] + sys.argv[3:]
            RunpodIntake(c.settings, options, c.events, c.metrics, redactor=c.redactor).run()
            return
        asyncio.run(session.run_session(c.settings, options, open_intake(c.settings).run, c.events, c.metrics, redactor=c.redactor))


if __name__ == "__main__":
    main()
