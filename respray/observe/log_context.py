"""Every log line says which job and which photo it belongs to: `... job_id=job_123 idx=0` at its end, as logfmt readers take it.

Job and photo travel in a context variable, which asyncio hands on to tasks and threads, so that no call has to pass them along. The item
flow is wrapped from outside, as for traces (`respray.observe.tracing`): it knows nothing of logging.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_place: ContextVar[str] = ContextVar("respray_log_place", default="")


class PlacedRecord(logging.LogRecord):
    """A record that remembers the job and photo that were being worked on when it was made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.place = _place.get()

    def getMessage(self) -> str:
        """The message with its place."""
        message = super().getMessage()
        return f"{message} {self.place}" if self.place else message


def install() -> Callable[[], None]:
    """Wrap the item flow and make log records of our kind. Returns what undoes it."""
    from orchestrator.worker.item_runner import ItemFlow

    kind: Any = ItemFlow
    begin, run, factory = kind.begin, kind.run, logging.getLogRecordFactory()

    @functools.wraps(begin)
    async def begin_in_place(flow: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        # Not reset: the job's task goes on after this, and ends with its context.
        _place.set(f"job_id={_word(job.job_id)}")
        return await begin(flow, job, *args, **kwargs)

    @functools.wraps(run)
    async def run_in_place(flow: Any, state: Any, item: Any, *args: Any, **kwargs: Any) -> Any:
        token = _place.set(f"job_id={_word(state.job.job_id)} idx={item.idx}")
        try:
            return await run(flow, state, item, *args, **kwargs)
        finally:
            _place.reset(token)

    kind.begin, kind.run = begin_in_place, run_in_place
    logging.setLogRecordFactory(PlacedRecord)

    def undo() -> None:
        kind.begin, kind.run = begin, run
        logging.setLogRecordFactory(factory)

    return undo


def _word(value: str) -> str:
    """An id as one logfmt word."""
    return value if value.isprintable() and not set(value) & set(' "=') else repr(value)
