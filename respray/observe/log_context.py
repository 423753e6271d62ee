"""Every log line says which job and which photo it belongs to: `... job_id=job_123 idx=0` at its end, as logfmt readers take it.

Job and photo travel in a context variable, which asyncio hands on to tasks and threads, so that no call has to pass them along. The code
sets it with `log_place` where the work on a job or a photo begins; `respray.observe.logs` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_place: ContextVar[str] = ContextVar("respray_log_place", default="")


@contextmanager
def log_place(job_id: str, idx: int | None = None) -> Iterator[None]:
    """Log lines inside the block end with the job's id and the photo's index."""
    token = _place.set(f"job_id={_word(job_id)}" + (f" idx={idx}" if idx is not None else ""))
    try:
        yield
    finally:
        _place.reset(token)


def current_place() -> str:
    """The place that log lines get here and now; empty outside a job."""
    return _place.get()


def _word(value: str) -> str:
    """An id as one logfmt word."""
    return value if value.isprintable() and not set(value) & set(' "=') else repr(value)
