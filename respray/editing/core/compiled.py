"""Loops over pixels, compiled to machine code (Numba): for what NumPy can only say with many passes over large arrays in between.

Compiled functions let go of the interpreter's lock, so that threads share the work. What is compiled is kept in Numba's cache; a process
that may write none compiles at first use.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, cast

import numba

from respray.editing.core.compiled_cache import one_at_a_time
from respray.processors import usable_cores

Loop = TypeVar("Loop", bound=Callable[..., Any])
CORES = usable_cores()
# Fewer items than this are not worth another thread.
MIN_SHARE = 512


def compiled(loop: Loop) -> Loop:
    """Compile a function for the argument types that it is called with. Division by zero gives inf or nan, as in NumPy.

    Constants of a module are compiled in. Numba's cache watches the function's own file only: keep what it calls and uses there. Empty
    `__pycache__` after changing the options here, or what other files call: `respray.editing.core.field.between_cells` and
    `respray.editing.surface.reflection.split_pixel`.
    """
    try:
        return cast(Loop, one_at_a_time(numba.njit(loop, nogil=True, cache=True, error_model="numpy")))
    except RuntimeError:  # no folder for the cache can be written
        return cast(Loop, numba.njit(loop, nogil=True, error_model="numpy"))


def shared(pool: Executor, count: int, work: Callable[[int, int], None]) -> None:
    """Share work out to all cores. Exceptions pass through.

    Args:
        pool: threads that do it.
        count: how many items there are.
        work: is called as `work(first, last)` for ranges that cover 0..count.
    """
    shares = min(CORES, max(1, count // MIN_SHARE))
    if shares == 1:
        work(0, count)
        return
    bounds = [count * share // shares for share in range(shares + 1)]
    list(pool.map(work, bounds[:-1], bounds[1:]))
