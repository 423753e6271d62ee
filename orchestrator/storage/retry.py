"""Repeat what may succeed next time, with full jitter: a hundred workers that failed together must not return together."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.errors import ResprayError

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retry:
    """How often and how patiently. Waits are random between 0 and min(cap, base x 2^attempt) seconds.

    With three requests in ten failing, eight attempts leave one failure in 15,000 requests.
    """

    attempts: int = 8
    base: float = 0.1
    cap: float = 5.0

    def run(self, what: str, work: Callable[[], T], on_retry: Callable[[], None] = lambda: None) -> T:
        """Do the work until it succeeds, fails for good, or the attempts are used up (then the last error is raised)."""
        for attempt in range(self.attempts):
            try:
                return work()
            except ResprayError as error:
                if not error.retryable or attempt == self.attempts - 1:
                    raise
                wait = random.uniform(0, min(self.cap, self.base * 2**attempt))
                log.info("%s failed (%s); attempt %d of %d in %.2f s", what, error, attempt + 2, self.attempts, wait)
                on_retry()
                time.sleep(wait)
        raise AssertionError("unreachable")
