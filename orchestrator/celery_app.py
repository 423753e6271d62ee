"""Respray as a Celery application: `celery -A orchestrator.celery_app worker`, and for producers in Python `app.send_task(TASK, [job])`.

Celery's own pools know nothing of photos in flight, callbacks or grace periods, so its `worker` command becomes `respray work` with
ADAPTER=celery; of its options, `--concurrency` counts as JOB_CONCURRENCY and `--queues` (one) as QUEUE_NAME.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from celery.signals import celeryd_init

from orchestrator.errors import SettingsError
from orchestrator.intake.celery import TASK, CeleryIntake
from orchestrator.settings import load_settings

__all__ = ["TASK", "app"]


def _make() -> Any:
    settings = load_settings(adapter="celery")
    if settings.redis_url is None or settings.queue_name is None:
        raise SettingsError("missing settings for ADAPTER=celery: REDIS_URL and QUEUE_NAME; set them in the environment or in .env")
    return CeleryIntake.from_settings(settings).app


@celeryd_init.connect  # type: ignore[untyped-decorator]
def _become_a_worker(options: dict[str, Any] | None = None, **_: Any) -> None:
    """Go on as `respray work`, in this very process, so that signals and exit codes are the same."""
    environment, given = dict(os.environ), options or {}
    if given.get("concurrency"):
        environment["JOB_CONCURRENCY"] = str(given["concurrency"])
    if queues := given.get("queues"):
        environment["QUEUE_NAME"] = queues if isinstance(queues, str) else ",".join(queues)
    command = [sys.executable, "-m", "orchestrator.cli.app", "work", "--adapter", "celery"]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)


app = _make()
