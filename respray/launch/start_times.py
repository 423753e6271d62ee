"""Where each second of a start goes, for whoever pays for it: one line per step on stderr, and the whole at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StartTimes:
    """Times steps as they happen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins now. `clock` in seconds."""
        self._clock = clock
        self._began = clock()
        self._steps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside; also where it fails, which is what one wants to know then."""
        began = self._clock()
        try:
            yield
        finally:
            self._steps.append((name, self._clock() - began))
            print(f"respray: start: {name} {self._steps[-1][1]:.1f} s", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """`ready after 4.2 s: weights 0.5, repository 0.1, ...`"""
        return f"ready after {self._clock() - self._began:.1f} s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in self._steps)
