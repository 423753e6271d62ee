"""Runs the real `respray` command and reads its event stream."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import commands

# What a developer's shell may hold and a test must not see.
OURS = ("ADAPTER", "TRITON_URL", "STORAGE_", "R2_", "MINIO_", "MODEL_", "GPU_", "CALLBACK_", "WORKERS_API_URL", "API_BASE_URL", "BATCH_")


@dataclass(frozen=True)
class Run:
    """How a command ended: exit code, its events in order, its logs."""

    code: int
    events: list[dict[str, Any]]
    logs: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    def item(self, idx: int) -> dict[str, Any]:
        """The event of one item."""
        (event,) = (event for event in self.of("item") if event["idx"] == idx)
        return event


def respray(*arguments: str | Path, cwd: Path, timeout: float = 240.0, **settings: str) -> Run:
    """Run `respray` with `settings` as its only environment settings; every line of its stdout must be a JSON event."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = commands.respray(*map(str, arguments), cwd=cwd, environment=clean | settings, timeout=timeout)
    return Run(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)
