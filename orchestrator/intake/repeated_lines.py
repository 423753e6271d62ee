"""Lines of a log that say the same again and again: a queue's library repeats what Redis refuses ten times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

SECONDS = 30.0
_MAX_REMEMBERED = 16


class OncePerWhile(logging.Filter):
    """Lets a line pass that has not been said for `SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._said = clock, dict[str, float]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new."""
        text, now = record.getMessage(), self._clock()
        if now - self._said.get(text, -SECONDS) < SECONDS:
            return False
        self._said.pop(text, None)
        self._said[text] = now  # last said, last forgotten
        if len(self._said) > _MAX_REMEMBERED:
            del self._said[next(iter(self._said))]
        return True
