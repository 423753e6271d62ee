"""All of it: export, ONNX Runtime, the embedded server and PyTorch on one GPU, with a report after every step.

    python -m benchmarks.gpu_server                      # full size, random weights, FP16, on the GPU
    python -m benchmarks.gpu_server --device cpu         # every step with the demo model: what `make test` does

Exit code 0 where every step is done or was left out for want of time, 1 where one failed; the report is whole either way.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.gpu_server.plan import Plan
from benchmarks.gpu_server.steps import EXPORT, REPOSITORY, STEPS, Running, Step
from benchmarks.gpu_server.summary import summary
from benchmarks.work import GRAPHS

console = Console(stderr=True, highlight=False)
CPU_PATIENCE = 10
"""Times longer: a step on a busy CPU is slow and not broken."""


def main(
    device: Annotated[str, typer.Option(help="cuda, tensorrt-rtx or cpu; auto: CUDA where nvidia-smi sees a GPU.")] = "auto",
    checkpoint: Annotated[str | None, typer.Option(help="random (full size) or demo. [random on a GPU, demo on a CPU]")] = None,
    graphs: Annotated[Path | None, typer.Option(help="Folder of an export, in place of one made here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for graphs, logs and the report.")] = REPOSITORY / "build" / "gpu-server",
    json_file: Annotated[Path | None, typer.Option("--json", help="The report. [OUT/report.json]")] = None,
    budget_s: Annotated[
        float | None, typer.Option(min=1, help="Seconds for all of it; what no longer fits is left out. [560 on a GPU, 3600 on a CPU]")
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Some of the steps, comma-separated: " + ", ".join(step.name for step in STEPS))] = None,
) -> None:
    """Measure, write the report after every step, print what matters."""
    kind = ("cuda" if _sees_gpu() else "cpu") if device == "auto" else device
    if kind not in ("cuda", "tensorrt-rtx", "cpu"):
        sys.exit(f"error: --device {device!r} is none of auto, cuda, tensorrt-rtx, cpu")
    chosen = checkpoint or ("demo" if kind == "cpu" else "random")
    if chosen not in ("random", "demo"):
        sys.exit(f"error: --checkpoint {checkpoint!r} is neither random nor demo")
    names = [step.name for step in STEPS]
    wanted = names if steps is None else [part.strip() for part in steps.split(",")]
    if unknown := sorted(set(wanted) - set(names)):
        sys.exit(f"error: --steps knows no {', '.join(unknown)}; there is: {', '.join(names)}")
    out.mkdir(parents=True, exist_ok=True)
    made = graphs is None and (chosen == "random" or kind != "cpu")
    folder = graphs or (out / "graphs" if made else GRAPHS)
    plan = Plan(kind if kind == "cpu" else f"{kind}:0", chosen, folder, out.resolve())
    plan = plan if plan.cuda else plan.small()
    report = Report(json_file or out / "report.json", plan, budget_s or (560.0 if plan.cuda else 3600.0))
    run_all([step for step in STEPS if step.name in wanted], plan, report, made)
    print(summary(report.content))
    console.print(f"the report: {report.path}")
    sys.exit(any(entry["status"] in ("failed", "ended") for entry in report.content["steps"].values()))


class Report:
    """The JSON file, and the clock."""

    def __init__(self, path: Path, plan: Plan, budget: float) -> None:
        self.path, self.began, self.budget = path, time.monotonic(), budget
        self.content: dict[str, Any] = {
            "device": plan.device, "checkpoint": plan.checkpoint, "budget_s": budget, "seconds": 0.0, "steps": {},
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.budget - (time.monotonic() - self.began)

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """One step's outcome."""
        self.content["steps"][name] = entry
        self.content["seconds"] = round(time.monotonic() - self.began, 1)
        self.path.write_text(json.dumps(self.content, indent=2) + "\n", encoding="utf-8")
        console.print(f"{name}: {entry['status']}, {entry['seconds']:g} s" + (f": {entry['error']}" if "error" in entry else ""))


def run_all(steps: list[Step], plan: Plan, report: Report, made: bool) -> None:
    """Every step in its turn. The export takes CPU cores only, so what needs no graphs is measured beside it."""
    exporting = Running(EXPORT, plan) if made and any(step.graphs for step in steps) else None
    first = [step for step in steps if not step.graphs and step.name != "torch_compiled"] if exporting else []
    try:
        for step in first:
            _run(step, plan, report)
        if exporting is not None:
            report.add(EXPORT.name, exporting.finish(min(EXPORT.most - (time.monotonic() - exporting.began), report.left)))
            if report.content["steps"][EXPORT.name]["status"] != "done":
                # What the demo's graphs say of the machine is better than nothing: whether CUDA runs them, right, and where its nodes went.
                plan = replace(plan, graphs=GRAPHS, checkpoint="demo")
                report.content["fallback"] = "the demo's graphs, because the export is not done"
        for step in steps:
            if step not in first:
                _run(step, plan, report)
    finally:
        if exporting is not None and exporting.process.poll() is None:
            exporting.finish(0)


def _run(step: Step, plan: Plan, report: Report) -> None:
    if report.left < step.least:
        report.add(step.name, {"status": "skipped", "seconds": 0.0, "error": f"{max(0.0, report.left):.0f} s of the budget were left"})
        return
    report.add(step.name, Running(step, plan).finish(min(step.most * (1 if plan.cuda else CPU_PATIENCE), report.left)))


def _sees_gpu() -> bool:
    from respray.launch import gpus
    from respray.triton.errors import HostError

    try:
        return bool(gpus.visible())
    except HostError:
        return False


if __name__ == "__main__":
    typer.run(main)
