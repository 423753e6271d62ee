"""What one worker remembers of receivers: which are down, and which want no more callbacks."""

from __future__ import annotations

import time

from orchestrator.callbacks.client import CallbackOutcome
from orchestrator.callbacks.slots import host_of

GONE_FOR = 3600.0
"""Seconds for which an address that answered 410 is sent nothing: one that said so by mistake must not need a restart of all workers."""
DOWN_FOR = 30.0
"""Seconds for which a receiver that has used up all retries gets one attempt per callback, and what it was owed before waits."""
MAX_REMEMBERED = 10_000
"""Receivers of each kind; of more, those that were met last."""


class Receivers:
    """Receivers by URL or host. Nothing that was met longest ago keeps out what is met now."""

    def __init__(self) -> None:
        # Until when, on a clock that does not jump.
        self._down: dict[str, float] = {}
        self._gone: dict[str, float] = {}

    def is_down(self, url: str) -> bool:
        """Whether this address, or its host, has just been asked in vain."""
        return max(self._down.get(url, 0.0), self._down.get(host_of(url), 0.0)) > time.monotonic()

    def is_gone(self, url: str) -> bool:
        """Whether this address has answered 410 Gone lately."""
        return self._gone.get(url, 0.0) > time.monotonic()

    def learn(self, url: str, outcome: CallbackOutcome) -> None:
        """Take note of what came of a callback to this address."""
        if outcome.state == "gone":
            _remember(self._gone, url, GONE_FOR)
        if outcome.state == "owed":
            # No answer at all says something of the host, an answer of this address only.
            _remember(self._down, host_of(url) if outcome.status is None else url, DOWN_FOR)
        else:
            self._down.pop(url, None)
            self._down.pop(host_of(url), None)


def _remember(ends: dict[str, float], name: str, seconds: float) -> None:
    ends.pop(name, None)
    while len(ends) >= MAX_REMEMBERED:
        del ends[next(iter(ends))]
    ends[name] = time.monotonic() + seconds
