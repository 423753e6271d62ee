"""Loops over pixels, compiled to machine code (Numba): for what NumPy can only say with many passes over large arrays in between.

Every loop says which arguments it is called with, so that what there is to compile is known before there is a photo: `compile_all` does it,
at an image's build and in a worker's warm-up. Without that a tile as wide as its photo, which lies otherwise in memory than all others,
would be compiled for in the middle of work, for seconds. Compiled functions let go of the interpreter's lock, so that threads share the
work. What is compiled is kept in Numba's cache; a process that may write none compiles at first use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from threading import Lock
from typing import Any, TypeVar, cast

import numba
from numba.core.dispatcher import Dispatcher
from numba.core.types import Array, Type
from numba.core.types import Dispatcher as DispatcherType
from numba.core.typing.templates import Signature
from numba.extending import typeof_impl

from respray.editing.core.compiled_cache import one_at_a_time
from respray.processors import usable_cores

Loop = TypeVar("Loop", bound=Callable[..., Any])
CORES = usable_cores()
# Fewer items than this are not worth another thread.
MIN_SHARE = 512
# What Numba says of a call that fits no signature.
NO_MATCH = "No matching definition"


class LateCompilation(UserWarning):
    """A loop was called with arguments that it does not declare, and had to be compiled for them while a photo waited."""


def compiled(loop: Loop) -> Loop:
    """Compile a function that other compiled loops call, for whatever they call it with. Division by zero gives inf or nan, as in NumPy.

    Constants of a module are compiled in. Numba's cache watches the function's own file only: keep what it calls and uses there. Empty
    `__pycache__` after changing the options here, or what other files call: `respray.editing.core.field.between_cells` and
    `respray.editing.surface.reflection.split_pixel`.
    """
    try:
        return cast(Loop, one_at_a_time(numba.njit(loop, nogil=True, cache=True, error_model="numpy")))
    except RuntimeError:  # no folder for the cache can be written
        return cast(Loop, numba.njit(loop, nogil=True, error_model="numpy"))


def compiled_for(*signatures: Signature) -> Callable[[Loop], Loop]:
    """Compile a function that is called from Python, as `compiled`, for these arguments and no others.

    Args:
        signatures: Numba's, as `void(float32[:, ::1], int64)`. `float32[:, :]` is any array; `float32[:, ::1]` one that lies in memory
            without gaps, which vector instructions want; arrays that are only read may be `read_only`.

    Example:
        >>> import numpy as np
        >>> from numba import uint8, void
        >>> @compiled_for(void(uint8[:]))
        ... def clear(values):
        ...     values[:] = 0
        >>> codes = np.array([[1, 2], [3, 4]], np.uint8)
        >>> clear(codes[:, 0])
        >>> codes.tolist()
        [[0, 2], [0, 4]]
    """

    def declare(loop: Loop) -> Loop:
        declared = DeclaredLoop(loop, signatures)
        if not isinstance(declared.dispatcher, Dispatcher):  # with NUMBA_DISABLE_JIT
            return loop
        _DECLARED.append(declared)
        return cast(Loop, declared)

    return declare


def read_only(array: Array) -> Array:
    """The type of such an array that may be protected against being written, as photos from Triton are; any other fits, too."""
    return array.copy(readonly=True)


class DeclaredLoop:
    """A loop of `compiled_for`. It is compiled, or loaded from the cache, when it is called first, or by `compile_all`.

    Attributes:
        dispatcher: Numba's function, with what is compiled in `signatures`.
    """

    def __init__(self, loop: Callable[..., Any], signatures: tuple[Signature, ...]) -> None:
        """See `compiled_for`."""
        self.dispatcher: Any = compiled(loop)
        self._loop, self._declared = loop, signatures
        self._lock, self._ready = Lock(), False
        self._undeclared: Any = None

    def compile(self) -> None:
        """For all signatures."""
        with self._lock:
            if not self._ready:
                for signature in self._declared:
                    self.dispatcher.compile(signature)
                self.dispatcher.disable_compile()
                self._ready = True

    def __call__(self, *arguments: Any) -> Any:
        """The loop's answer. A photo whose arguments nobody thought of waits, but is edited."""
        if not self._ready:
            self.compile()
        try:
            return self.dispatcher(*arguments)
        except TypeError as error:
            if NO_MATCH not in str(error):
                raise
            types = ", ".join(str(numba.typeof(argument)) for argument in arguments)
            message = f"{self._loop.__module__}.{self._loop.__name__} is not declared for ({types}) and is compiled for it now"
            warnings.warn(message, LateCompilation, stacklevel=2)
        with self._lock:
            self._undeclared = self._undeclared or compiled(self._loop)
        return self._undeclared(*arguments)


# All that the modules loaded so far have; each adds its own once, when it is loaded.
_DECLARED: list[DeclaredLoop] = []


@typeof_impl.register(DeclaredLoop)
def _type_of_declared(loop: DeclaredLoop, context: object) -> Type:
    """To other loops, which may call it, it is Numba's function."""
    return DispatcherType(loop.dispatcher)


def compile_all() -> None:
    """Compile all loops of the modules that are loaded, or load them from the cache: afterwards no photo waits for that."""
    for loop in _DECLARED:
        loop.compile()


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
