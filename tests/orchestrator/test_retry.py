"""The one retry helper: how often, how long, and what is not repeated."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.errors import NotFound, StorageError
from respray.retry import Retry, full_jitter


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


class Busy(StorageError):
    """A server that says when to come again."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


def constant(attempt: int, error: BaseException) -> float:
    """As many seconds as attempts were made."""
    return float(attempt)


def test_what_may_pass_is_repeated_with_waits_between() -> None:
    work, waits, told = Flaky(3, StorageError("away")), list[float](), list[tuple[int, str, float]]()
    answer = Retry(5, constant).run(work, lambda attempt, error, wait: told.append((attempt, str(error), wait)), waits.append)
    assert answer == "done" and waits == [1.0, 2.0, 3.0]
    assert told == [(1, "away", 1.0), (2, "away", 2.0), (3, "away", 3.0)]


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    work, waits = Flaky(9, StorageError("away")), list[float]()
    with pytest.raises(StorageError, match="away"):
        Retry(3, constant).run(work, sleep=waits.append)
    assert work.calls == 3 and waits == [1.0, 2.0]


@pytest.mark.parametrize("error", [NotFound("gone"), ValueError("a fault of ours")])
def test_what_is_final_is_raised_at_once(error: Exception) -> None:
    work = Flaky(9, error)
    with pytest.raises(type(error)):
        Retry(3, constant).run(work)
    assert work.calls == 1


def test_coroutines_are_repeated_on_their_loop() -> None:
    work, waits = Flaky(2, StorageError("away")), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def call(answer: str) -> str:
        return f"{work()}: {answer}"

    # A lambda, as callers have it: not itself a coroutine function.
    assert asyncio.run(Retry(4, constant).run_async(lambda: call("yes"), sleep=sleep)) == "done: yes" and waits == [1.0, 2.0]


def test_waits_grow_up_to_their_cap_and_keep_to_what_a_server_asks_for() -> None:
    wait, plain = full_jitter(base=1.0, cap=60.0), StorageError("away")
    for attempt, longest in ((1, 1.0), (3, 4.0), (7, 60.0), (50, 60.0)):
        assert all(0.0 <= wait(attempt, plain) <= longest for _ in range(100))
    assert wait(1, Busy(7.0)) == 7.0 and wait(1, Busy(3600.0)) == 60.0
