"""Numba's cache of compiled loops, for several processes that fill it at once: appliers of one server, tests side by side.

Numba reads a loop's index, chooses the next free number for what it has compiled, and writes index and code, all without a lock. Two
processes that compile the same loop for different arguments choose the same number, and a third takes the one's code for the other's:
wrong strides, and memory that is not its own (https://github.com/numba/numba/issues/4807). A process that is killed in between leaves an
index that names the code of an earlier version.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from numba.core.caching import IndexDataCacheFile

LOCK_FILE = "loops.lock"
Loop = TypeVar("Loop")


class OneAtATime(IndexDataCacheFile):
    """One loop's index and its code, which one process at a time writes, and none reads meanwhile."""

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled for the arguments of `key`; the code first, so that the index never names any that is not there."""
        with self._locked(fcntl.LOCK_EX):
            names = self._load_index()
            free = (name for name in map(self._data_name, itertools.count(1)) if name not in names.values())
            name = names.get(key) or next(free)
            self._save_data(name, data)
            self._save_index({**names, key: name})

    def load(self, key: Any) -> Any:
        """What was compiled for the arguments of `key`; None where nothing was."""
        with self._locked(fcntl.LOCK_SH):
            return super().load(key)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """While a lock of the folder is held. None is needed where nobody may write."""
        try:
            lock = os.open(os.path.join(self._cache_path, LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            yield
            return
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)


def one_at_a_time(loop: Loop) -> Loop:
    """A function that Numba compiles with `cache=True`, with such a cache. (With NUMBA_DISABLE_JIT it compiles none.)"""
    cache: Any = getattr(loop, "_cache", None)
    if cache is not None:
        cache._cache_file.__class__ = OneAtATime  # Numba has no public way to choose it
    return loop
