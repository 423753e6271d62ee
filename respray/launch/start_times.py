"""Where each second of a start goes, for whoever pays for it: one line per step on stderr, and the whole at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StartTimes:
    """Times steps as they happen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, say: Callable[[str], None] | None = None) -> None:
        """Begins now. `clock` in seconds; `say` takes each line, in place of stderr."""
        self._clock, self._say = clock, say or _to_stderr
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
            self._say(f"start: {name} {self._steps[-1][1]:.1f} s")

    def summary(self) -> str:
        """`ready after 4.2 s: weights 0.5, repository 0.1, ...`"""
        return f"ready after {self._clock() - self._began:.1f} s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in self._steps)

    def tell(self) -> None:
        """Say the whole."""
        self._say(f"start: {self.summary()}")


def _to_stderr(line: str) -> None:
    print(f"respray: {line}", file=sys.stderr, flush=True)
