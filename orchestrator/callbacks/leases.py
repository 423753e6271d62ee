"""For how long others' leases hold, and when owed callbacks are due, also where the clock of whoever wrote them down was wrong.

The times in records are of the clocks of several machines. A clock that was a day ahead must not keep a callback from being told for a day:
a lease that this process has seen unchanged for as long as any lease lasts has run out, whatever it says.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.processes import is_dead
from orchestrator.records.item_record import CallbackRecord

EXPIRES_AFTER = 3 * 86400.0
"""Seconds after which an owed callback is given up: receivers that were away for days have other ways to find out."""
_MAX_SEEN = 10_000

Lease = tuple[str, str, float]


class Leases:
    """What one worker knows of others' leases."""

    def __init__(self, longest: float, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of none.

        Args:
            longest: Seconds that any lease lasts.
            now: Unix time, as records have it; it may jump.
            clock: Seconds that only go forward.
        """
        self._longest, self._now, self._clock = longest, now, clock
        self._seen: dict[Lease, float] = {}

    def left(self, callback: CallbackRecord) -> float:
        """Seconds that the lease on a callback holds; 0 or less: anybody may tell it, also for a dead process of this machine."""
        lease = (callback.event_id, callback.holder, callback.leased_until)
        left = callback.leased_until - self._now()
        if left <= 0 or is_dead(callback.holder):
            self._seen.pop(lease, None)
            return min(left, 0.0)
        while len(self._seen) >= _MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        first = self._seen.setdefault(lease, self._clock())
        return min(left, first + self._longest - self._clock())

    def is_early(self, callback: CallbackRecord) -> bool:
        """Whether the receiver wants to be asked later.

        What has been owed since a time to come was written by a clock that is ahead, at least so much.
        """
        now = self._now()
        return callback.not_before - max(0.0, callback.owed_since - now) > now

    def has_expired(self, callback: CallbackRecord) -> bool:
        """Whether a callback has been owed for so long that it is told once more and then given up."""
        return bool(callback.owed_since) and self._now() - callback.owed_since > EXPIRES_AFTER
