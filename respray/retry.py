"""Repeat what may succeed next time: the one retry helper, on tenacity.

    Retry(attempts=5).run(download)

Waits are random ("full jitter"): a hundred workers that failed together must not return together.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

T = TypeVar("T")
Wait: TypeAlias = Callable[[int, BaseException], float]
"""Seconds before the next attempt, given the number of the one that failed (from 1) and its error."""
OnRetry: TypeAlias = Callable[[int, BaseException, float], None]
"""Called before each wait with the number of the attempt that failed (from 1), its error and the seconds."""


def full_jitter(base: float, cap: float) -> Wait:
    """Waits between 0 and `min(cap, base * 2 ** (attempt - 1))` seconds.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        base: The longest first wait, in seconds.
        cap: The longest wait, in seconds. An error with `retry_after` (as a server has asked for) is given at least so long, up to the cap.
    """

    def wait(attempt: int, error: BaseException) -> float:
        jittered = random.uniform(0.0, min(cap, base * 2 ** (attempt - 1)))
        return min(cap, max(jittered, float(getattr(error, "retry_after", 0.0))))

    return wait


QUICK_THEN_SECONDS: Wait = full_jitter(base=0.1, cap=5.0)
"""The usual waits, at most 13 s in all over eight attempts."""


def may_pass(error: BaseException) -> bool:
    """Whether an error says of itself, in `retryable`, that the same work may succeed later."""
    return bool(getattr(error, "retryable", False))


def _ignore(attempt: int, error: BaseException, wait: float) -> None:
    """Nothing to do between attempts."""


@dataclass(frozen=True)
class Retry:
    """How often and how patiently.

    With three requests in ten failing, eight attempts leave one failure in 15,000 requests.

    Attributes:
        attempts: How often the work is done at most.
        wait: Seconds between two attempts.
        retryable: Whether an error may pass; others are raised at once.
    """

    attempts: int = 8
    wait: Wait = QUICK_THEN_SECONDS
    retryable: Callable[[BaseException], bool] = may_pass

    def run(self, work: Callable[[], T], on_retry: OnRetry = _ignore, sleep: Callable[[float], None] = time.sleep) -> T:
        """Do the work until it succeeds, fails for good, or the attempts are used up (then the last error is raised)."""
        return Retrying(sleep=sleep, **self._policy(on_retry))(work)

    async def run_async(
        self,
        work: Callable[[], Awaitable[T]],
        on_retry: OnRetry = _ignore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> T:
        """The same for a coroutine."""

        async def attempt() -> T:  # tenacity awaits coroutine functions only, and `work` may be a lambda
            return await work()

        return await AsyncRetrying(sleep=sleep, **self._policy(on_retry))(attempt)

    def _policy(self, on_retry: OnRetry) -> dict[str, Any]:
        """tenacity's arguments, the same for both kinds of work."""
        return {
            "stop": stop_after_attempt(self.attempts),
            "wait": self._wait,
            "retry": retry_if_exception(self.retryable),
            "before_sleep": _before_sleep(on_retry),
            "reraise": True,
        }

    def _wait(self, state: RetryCallState) -> float:
        # tenacity asks after the last attempt as well.
        return self.wait(state.attempt_number, _error(state)) if state.attempt_number < self.attempts else 0.0


def _before_sleep(on_retry: OnRetry) -> Callable[[RetryCallState], None]:
    return lambda state: on_retry(state.attempt_number, _error(state), state.next_action.sleep if state.next_action else 0.0)


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    assert error is not None  # only failed attempts are repeated
    return error
