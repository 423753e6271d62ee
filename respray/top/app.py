"""`respray top`: a live view of one worker in the terminal, on Textual."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import httpx
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Footer, Header, Sparkline, Static

from respray.top.observation import ModelView, Snapshot, WorkerView, triton_view, worker_view
from respray.top.sources import TRITON, WORKER, EventsFile, MetricsSource

_HISTORY = 120
_BAR = 12


class Top(App[None]):
    """Jobs, stages, throughput, and Triton's models with their queues."""

    TITLE = "respray top"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit"), ("p", "pause", "Pause")]
    CSS = """
    #numbers { height: 5; padding: 0 1; }
    #rate { height: 3; padding: 0 1; }
    #tables { height: 1fr; }
    .pane { width: 1fr; border: round $primary; border-title-color: $text; }
    #problem { color: $error; height: auto; padding: 0 1; }
    """

    def __init__(self, worker: str, triton: str | None = None, events: Path | None = None, every: float = 1.0) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(timeout=5.0)
        self._worker = MetricsSource(worker, WORKER, self._client)
        self._triton = MetricsSource(triton, TRITON, self._client) if triton else None
        self._events = EventsFile(events)
        self._before: dict[str, Snapshot] = {}
        self._rates: list[float] = [0.0]
        self._every, self._paused = every, False

    def compose(self) -> ComposeResult:
        """Numbers on top, the rate below, three tables."""
        yield Header(show_clock=True)
        yield Static(id="problem")
        yield Static(id="numbers")
        yield Sparkline([0.0], id="rate")
        with Horizontal(id="tables"):
            with Vertical(classes="pane", id="jobs-pane"):
                yield DataTable(id="jobs", cursor_type="none")
            with Vertical(classes="pane", id="stages-pane"):
                yield DataTable(id="stages", cursor_type="none")
            with Vertical(classes="pane", id="models-pane"):
                yield DataTable(id="models", cursor_type="none")
        yield Footer()

    async def on_mount(self) -> None:
        """Columns, and the clock."""
        for name, columns in {
            "jobs": ("job", "photos", "stage", "status"),
            "stages": ("stage", "seconds", "a minute"),
            "models": ("model", "a second", "batch", "queue ms", "compute ms", "waiting"),
        }.items():
            self._table(name).add_columns(*columns)
            self.query_one(f"#{name}-pane").border_title = "Triton" if name == "models" else name
        await self.refresh_now()
        self.set_interval(self._every, self.refresh_now)

    async def on_unmount(self) -> None:
        """Close what was opened."""
        await self._client.aclose()
        self._events.close()

    def action_pause(self) -> None:
        """Hold the picture still."""
        self._paused = not self._paused
        self.sub_title = "paused" if self._paused else ""

    async def refresh_now(self) -> None:
        """Fetch, compare with the last snapshot, show."""
        if self._paused:
            return
        worker = await self._worker.fetch()
        if worker is not None:
            self._show_worker(worker_view(self._swap("worker", worker), worker))
        problems = [self._worker.problem]
        if self._triton is not None:
            triton = await self._triton.fetch()
            if triton is not None:
                self._show_models(triton_view(self._swap("triton", triton), triton))
            problems.append(self._triton.problem)
        self._events.read()
        problems.append(self._events.problem)
        self._show_jobs()
        self.query_one("#problem", Static).update(Text("\n".join(filter(None, problems))))

    def _swap(self, name: str, now: Snapshot) -> Snapshot:
        """The snapshot before this one (this one itself at first), and remember this one."""
        before = self._before.get(name, now)
        self._before[name] = now
        return before

    def _table(self, name: str) -> DataTable[Any]:
        return self.query_one(f"#{name}", DataTable)

    def _show_worker(self, view: WorkerView) -> None:
        self._rates = [*self._rates, view.completed][-_HISTORY:]
        self.query_one("#rate", Sparkline).data = self._rates
        trouble = "bold red" if view.failed or view.owed else ""
        text = Text.assemble(
            ("photos a minute ", "dim"), f"{view.completed:.1f}", ("   failed ", "dim"), (f"{view.failed:.1f}", trouble),
            ("   altogether ", "dim"), f"{view.total_completed} completed, {view.total_failed} failed\n",
            ("in flight ", "dim"), f"{view.jobs} jobs, {view.photos} photos", ("   at a time ", "dim"), f"{view.limit}",
            ("   waiting in the queue ", "dim"), f"{view.waiting}\n",
            ("repeated a minute ", "dim"), f"{view.retries:.1f}", ("   callbacks owed ", "dim"), (f"{view.owed}", trouble),
        )  # fmt: skip
        self.query_one("#numbers", Static).update(text)
        table = self._table("stages")
        table.clear()
        for stage in view.stages:
            table.add_row(stage.name, f"{stage.seconds:.3f}", f"{stage.per_minute:.0f}")

    def _show_models(self, models: tuple[ModelView, ...]) -> None:
        table = self._table("models")
        table.clear()
        for model in models:
            waits = Text(f"{model.queue_ms:.1f}", style="bold yellow" if model.queue_ms > model.compute_ms > 0 else "")
            table.add_row(model.name, f"{model.per_second:.1f}", f"{model.batch:.1f}", waits, f"{model.compute_ms:.1f}", str(model.pending))

    def _show_jobs(self) -> None:
        table = self._table("jobs")
        table.clear()
        for job in reversed(self._events.jobs.lines.values()):
            filled = round(_BAR * job.done / job.total) if job.total else 0
            bar = "█" * filled + "░" * (_BAR - filled)
            style = {"completed": "green", "failed": "red"}.get(job.status, "")
            table.add_row(job.job_id, f"{bar} {job.done}/{job.total}", job.stage, Text(job.status, style=style))
