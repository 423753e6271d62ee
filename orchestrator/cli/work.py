"""`respray work`: take jobs from the intake that ADAPTER names, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from orchestrator.cli._setup import PaletteOption, StoreOption, TritonOption, command_context, start_local_server
from orchestrator.intake import open_intake
from orchestrator.intake.arguments import refuse_unread
from orchestrator.service.open_worker import WorkerOptions
from orchestrator.service.session import run_session
from orchestrator.settings import is_bucket, require
from respray.launch.chosen_model import check_model


def register(app: typer.Typer) -> None:
    """Add the command."""

    # Runpod's SDK reads options of its own from the command line; all others are refused below, once the intake is known.
    @app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def work(
        context: typer.Context,
        adapter: Annotated[str | None, typer.Option(help="runpod, queue_pull, bullmq, celery, http or local (ADAPTER).")] = None,
        path: Annotated[
            str | None, typer.Option(help="For local: a file, a folder to watch, or - for lines on stdin (LOCAL_PATH).")
        ] = None,
        store: StoreOption = None,
        triton_url: TritonOption = None,
        palette: PaletteOption = None,
    ) -> None:
        """Take jobs until SIGTERM. Events go to stdout, logs to stderr; /healthz, /readyz and /metrics on HEALTH_PORT."""
        with command_context(adapter=adapter, local_path=path) as c:
            options = WorkerOptions(store, triton_url, palette, start_server=start_local_server)
            refuse_unread(context.args, c.settings.adapter)
            require(c.settings, storage=is_bucket(store), adapter=True)
            check_model(c.settings)
            if c.settings.adapter == "runpod":
                from orchestrator.intake.runpod import RunpodIntake

                sys.argv = [sys.argv[0], *context.args]
                RunpodIntake(c.settings, options, c.events, c.metrics, redactor=c.redactor).run()
            elif c.settings.adapter == "http":
                from orchestrator.cli.api import run

                run(c, options)
            else:
                intake = open_intake(c.settings)
                session = run_session(c.settings, options, intake.run, c.events, c.metrics, redactor=c.redactor, reach=intake.reach)
                asyncio.run(session)
