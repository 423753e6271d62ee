"""How many bytes the items in flight of a worker may hold together, whatever their jobs ask for.

An item is admitted with all that it will need, before anything of it is read, and waits for no more while it holds that: so no two can wait
for each other. One that is larger than the budget goes alone. Large items have a part of the budget of their own, so that they do not stop
small ones, nor small ones them; within a part, jobs take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

COPIES = 5
"""What an encoded file takes on its way to Triton, in its sizes: as it was read, and four times in gRPC's tensor, message and buffers."""
LARGE = 16
"""An item is large where it takes more than this part of the budget."""
DEFAULT_SHARE = 4
"""The budget without a setting: this part of the container's memory ..."""
MAX_DEFAULT_BYTES = 1 << 30
"""... and at most this, in bytes: more has no use for photos as phones and cameras make them."""
MIN_DEFAULT_BYTES = 64 << 20
# Control group 2, and 1 as older hosts have it: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_budget(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Bytes for a worker whose settings say nothing: a part of what its container, or this machine, has."""
    found = [psutil.virtual_memory().total]
    for path in limits:
        with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
            found.append(int(path.read_text()))
    return max(MIN_DEFAULT_BYTES, min(MAX_DEFAULT_BYTES, min(found) // DEFAULT_SHARE))


class Hold:
    """What one item holds of the budget."""

    def __init__(self, part: _Part, size: int) -> None:
        """Made by `ByteBudget.hold`."""
        self._part, self.size = part, size

    def become(self, size: int) -> None:
        """It has let go of what it held, or has got what it did not wait for: it holds `size` bytes from now on."""
        self._part.used += size - self.size
        self.size = size
        self._part.admit()


class ByteBudget:
    """The bytes of one worker: three eighths for large items, as many for others, and a quarter for what jobs keep for several items."""

    def __init__(self, size: int) -> None:
        """`size` in bytes."""
        self.size = size
        self._small, self._large = _Part(size * 3 // 8), _Part(size * 3 // 8)
        self._kept = 0

    @property
    def used(self) -> int:
        """Bytes that are held now, those kept for several items included."""
        return self._small.used + self._large.used + self._kept

    @contextlib.asynccontextmanager
    async def hold(self, size: int, job: str) -> AsyncIterator[Hold]:
        """Wait until `size` bytes are free for an item of `job`, and hold them."""
        part = self._large if size > self.size // LARGE else self._small
        await part.take(size, job)
        held = Hold(part, size)
        try:
            yield held
        finally:
            # Nothing is awaited: it must come back also where the task is cancelled a second time.
            held.become(0)
            part.items -= 1
            part.admit()

    def keep(self, size: int) -> bool:
        """Keep `size` bytes beyond an item, where there is room. What is kept is given back with `give_back`."""
        if self._kept + size > self.size // 4:
            return False
        self._kept += size
        return True

    def give_back(self, size: int) -> None:
        """Keep `size` bytes no longer."""
        self._kept -= size


class _Part:
    """Items of one kind. The job that was served longest ago is next, and what is next waits until it fits: nothing passes it."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.used, self.items = capacity, 0, 0
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    async def take(self, size: int, job: str) -> None:
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, deque()).append((size, admitted))
        self.admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if not admitted.cancelled():  # it was admitted in the same moment
                self.used -= size
                self.items -= 1
            self.admit()
            raise

    def admit(self) -> None:
        while self._waiting:
            job, queue = next(iter(self._waiting.items()))
            while queue and queue[0][1].cancelled():
                queue.popleft()
            if queue:
                size, admitted = queue[0]
                if self.items and self.used + size > self.capacity:
                    return
                queue.popleft()
                self.used += size
                self.items += 1
                admitted.set_result(None)
            del self._waiting[job]
            if queue:
                self._waiting[job] = queue  # behind the others
