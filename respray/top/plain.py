"""`respray top` without a screen: one look as text, for pipes, files and terminals that cannot be drawn on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from respray.top.observation import Jobs, ModelView, Snapshot, WorkerView, triton_view, worker_view
from respray.top.sources import TRITON, WORKER, EventsFile, MetricsSource

Rows = list[tuple[str, ...]]


async def look(worker: str, triton: str | None, events: Path | None, seconds: float) -> tuple[str, list[str]]:
    """Look twice, and tell of the time between.

    Args:
        worker: Address of a worker's metrics.
        triton: Of Triton's, or None.
        events: A worker's events, or None.
        seconds: Between the two looks: rates are of that time.

    Returns:
        The text, and what is wrong with a source.
    """
    async with httpx.AsyncClient(timeout=5.0) as client:
        sources = [MetricsSource(address, prefix, client) for address, prefix in ((worker, WORKER), (triton, TRITON)) if address]
        first = [await source.fetch() for source in sources]
        await asyncio.sleep(seconds if any(first) else 0)
        second = [await source.fetch() for source in sources]
    file = EventsFile(events)
    file.read()
    file.close()
    problems = [problem for problem in (*(source.problem for source in sources), file.problem) if problem]
    pairs = [(earlier, later) if earlier and later else None for earlier, later in zip(first, second, strict=True)]
    return as_text(pairs[0], pairs[1] if triton else None, file.jobs), problems


def as_text(worker: tuple[Snapshot, Snapshot] | None, triton: tuple[Snapshot, Snapshot] | None, jobs: Jobs) -> str:
    """What was found, a table a source; columns are aligned and rows stay on one line.

    Args:
        worker: Two snapshots of the worker's metrics, or None.
        triton: Of Triton's.
        jobs: The worker's jobs.
    """
    tables: list[Rows] = []
    if worker is not None:
        view = worker_view(*worker)
        tables += [
            _numbers(view),
            [("stage", "seconds", "a minute"), *((s.name, f"{s.seconds:.3f}", f"{s.per_minute:.0f}") for s in view.stages)],
        ]
    if triton is not None:
        tables.append([("model", "a second", "batch", "queue ms", "compute ms", "waiting"), *map(_model, triton_view(*triton))])
    if jobs.lines:
        lines = ((job.job_id, f"{job.done}/{job.total}", job.stage or "-", job.status) for job in reversed(jobs.lines.values()))
        tables.append([("job", "photos", "stage", "status"), *lines])
    return "\n\n".join(map(_aligned, tables))


def _numbers(view: WorkerView) -> Rows:
    return [
        ("photos a minute", f"{view.completed:.1f}"),
        ("failed a minute", f"{view.failed:.1f}"),
        ("completed", str(view.total_completed)),
        ("failed", str(view.total_failed)),
        ("jobs in flight", str(view.jobs)),
        ("photos in flight", str(view.photos)),
        ("photos at a time", str(view.limit)),
        ("waiting in the queue", str(view.waiting)),
        ("repeated a minute", f"{view.retries:.1f}"),
        ("callbacks owed", str(view.owed)),
    ]


def _model(model: ModelView) -> tuple[str, ...]:
    numbers = (model.per_second, model.batch, model.queue_ms, model.compute_ms)
    return (model.name, *(f"{number:.1f}" for number in numbers), str(model.pending))


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
