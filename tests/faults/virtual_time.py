"""Time that passes only while nothing else is to do: what takes minutes is tested in a moment, and no slow machine changes the outcome."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on a loop with a clock of its own.

    Sockets are not waited for: whoever speaks to a real server needs real time. Work in threads takes no time.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(work)


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """Its `time` begins at 0 and jumps to the next timer when no task can go on and no thread is at work."""

    def __init__(self) -> None:
        self.now, self.threads = 0.0, 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds since the loop was made, as its timers count them."""
        return self.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As the base class, and the clock stands still until the thread is done."""
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._returned)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads without a limit, which would pass at once."""
        await super().shutdown_default_executor()

    def _returned(self, future: asyncio.Future[Any]) -> None:
        self.threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._loop.threads:
            return super().select(None)  # a thread wakes the loop when it is done
        self._loop.now += timeout
        return []
