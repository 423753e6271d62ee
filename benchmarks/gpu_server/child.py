"""One step in a process of its own: `python -m benchmarks.gpu_server.child STEP PLAN.json FIGURES.json`."""

import faulthandler
import importlib
import resource
import sys
from pathlib import Path

from benchmarks.gpu_server.plan import Findings, Plan

if __name__ == "__main__":
    faulthandler.enable()
    name, plan, figures = sys.argv[1:]
    findings = Findings(Path(figures))
    importlib.import_module(f"benchmarks.gpu_server.{name}").run(Plan.read(Path(plan)), findings)
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    findings.note({"cpu_seconds": round(sum(each.ru_utime + each.ru_stime for each in used), 1)})
