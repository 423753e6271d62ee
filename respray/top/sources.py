"""Where `respray top` looks: addresses of metrics, and a worker's events in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

import httpx

from respray.top.observation import Jobs, Snapshot, parse

WORKER, TRITON = "respray_", "nv_"
_WHERE = "a worker's are on its HEALTH_PORT, Triton's on its metrics port"


class MetricsSource:
    """One address of Prometheus metrics. `fetch` never raises: `problem` says why the last one failed.

    Args:
        address: Where they are.
        prefix: How the names of some begin, `WORKER` or `TRITON`: those of another server would be told as zeros.
        client: What asks.
    """

    def __init__(self, address: str, prefix: str, client: httpx.AsyncClient) -> None:
        self.address = address if address.endswith("/metrics") else address.rstrip("/") + "/metrics"
        self.problem = ""
        self._prefix, self._client = prefix, client

    async def fetch(self) -> Snapshot | None:
        """The metrics now, or None."""
        try:
            answer = await self._client.get(self.address)
            if not answer.is_success:
                raise ValueError(f"no metrics there ({answer.status_code}); {_WHERE}")
            snapshot = parse(answer.text, time.monotonic())
            if not any(name.startswith(self._prefix) for name, _ in snapshot.samples):
                raise ValueError(f"no metric there begins with {self._prefix}; {_WHERE}")
        except (httpx.HTTPError, ValueError) as error:
            self.problem = f"{self.address}: {error or type(error).__name__}"
            return None
        self.problem = ""
        return snapshot


class EventsFile:
    """A worker's events, as far as they are written. `problem` says why there are none."""

    def __init__(self, path: Path | None) -> None:
        self.jobs, self.problem = Jobs(), ""
        self._path = path
        self._file: TextIO | None = None

    def read(self) -> None:
        """Take in what was written since the last time."""
        if self._path is None:
            return
        try:
            self._file = file = self._file or self._path.open(encoding="utf-8", errors="replace")
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
            return
        self.problem = ""
        for line in _whole_lines(file):
            self.jobs.feed(line)

    def close(self) -> None:
        """Close what was opened."""
        if self._file is not None:
            self._file.close()


def _whole_lines(file: TextIO) -> list[str]:
    """Complete lines from where the file was last read; a line that is still being written is left for the next time."""
    lines: list[str] = []
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return lines
        lines.append(line)
