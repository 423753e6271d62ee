"""The steps, in order of what is worth most when time runs out, and how each is run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_server.plan import Plan

REPOSITORY = Path(__file__).resolve().parents[2]
LAST_LINES = 15


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        name: of its module here, `benchmarks.gpu_server.NAME`. most: seconds after which it is ended. least: skipped with less left.
        graphs: it needs the export.
    """

    name: str
    most: float
    least: float = 15.0
    graphs: bool = True


EXPORT = Step("export", most=300, graphs=False)
STEPS = (
    Step("machine", most=60, graphs=False),
    Step("torch_modules", most=90, graphs=False),
    Step("torch_fp8", most=60, graphs=False),
    Step("runtime", most=120),
    Step("served", most=150, least=40),
    Step("kernels", most=60),
    Step("recorded", most=60),
    Step("limited", most=60),
    Step("torch_compiled", most=240, least=60, graphs=False),
)


class Running:
    """A step that has been started."""

    def __init__(self, step: Step, plan: Plan) -> None:
        self.step, self.began = step, time.monotonic()
        self.figures, self.log = plan.folder / f"{step.name}.json", plan.folder / f"{step.name}.log"
        self.figures.unlink(missing_ok=True)
        stored = plan.folder / "plan.json"
        plan.write(stored)
        command = [sys.executable, "-m", "benchmarks.gpu_server.child", step.name, str(stored), str(self.figures)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log, start_new_session=True)

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait so long at most, and say what came of it: `status` is done, failed or ended; `figures` is what it has written."""
        status = "done"
        try:
            self.process.wait(timeout=max(0.0, seconds))
            status = "done" if self.process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = "ended"
        finally:
            # The server of a step that failed, too: all of its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        entry: dict[str, Any] = {"status": status, "seconds": round(time.monotonic() - self.began, 1)}
        if status == "ended":
            entry["error"] = f"not done after {entry['seconds']:g} s"
        elif status == "failed":
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            code = self.process.returncode
            entry["error"] = lines[-1] if code > 0 and lines else f"the process was killed by signal {-code}"
            entry["log"] = lines[-LAST_LINES:]
        with contextlib.suppress(OSError, ValueError):
            entry["figures"] = json.loads(self.figures.read_text(encoding="utf-8"))
        return entry
