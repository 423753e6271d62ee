"""What an intake is: it fetches messages, starts them on the worker, and acknowledges them when they are stored."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from orchestrator.worker.worker import Worker


class Intake(ABC):
    """One source of jobs."""

    async def reach(self, stop: asyncio.Event) -> None:  # noqa: B027 (a source may have nothing to ask)
        """Ask the source whether it is there, before the worker says that it is ready; `run` follows and asks no more.

        Raises:
            IntakeError: It is not there, or cannot be used.
        """

    @abstractmethod
    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        """Take jobs until `stop` is set (or the source has ended), and return when no further one will be started.

        Jobs under way when it returns are the session's to finish or to hand back.

        Args:
            worker: Does the jobs.
            stop: The order to stop.

        Raises:
            IntakeError: For a source that cannot be used any more.
        """


class Throttle:
    """Passes on at most one call per interval, and always the last of a series that ends with `done == total`."""

    def __init__(self, interval: float, call: Callable[[int, int], None]) -> None:
        self._interval, self._call, self._next = interval, call, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Report progress, or drop it because the last report was a moment ago."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + self._interval
            self._call(done, total)


def backoff(attempt: int, base: float = 15.0, cap: float = 900.0) -> float:
    """Seconds before a job is delivered again.

    Args:
        attempt: The attempt that failed, from 1.
        base: Seconds after the first one; they double with each.
        cap: Most seconds.
    """
    return min(cap, base * 2.0 ** min(attempt - 1, 20))
