"""Where the time of an image pass and of three concepts goes: by kernel on a GPU, by operator on a CPU."""

import collections
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.gpu_server.runtime import Loaded
from respray.segmentation.runner import GraphRunner

MAX_ROWS = 15
RUNS = 5


def run(plan: Plan, findings: Findings) -> None:
    """Profile both graphs."""
    if not plan.cuda:
        for name in ("sam3_image_encoder",):
            findings.note({name: operators(plan, name)})
        return
    loaded = Loaded(plan)
    few = min(3, max(plan.concepts))
    maps = loaded.encode(1)
    text, mask = loaded.prompts(1, few)
    names = {name: maps[name] for name in loaded.decoder.inputs if name in maps}
    findings.note({"image pass": kernels(lambda: loaded.encode(1))})
    findings.note({f"{few} concepts": kernels(lambda: loaded.decoder.bound({**names, "text_features": text, "text_mask": mask}, ()))})


def kernels(work: Callable[[], object]) -> dict[str, Any]:
    """Kernels of a run by time. CUPTI, which PyTorch's profiler reads, sees those of every library in this process."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.init()
    work()
    began = time.perf_counter()
    for _ in range(RUNS):
        work()
    wall = (time.perf_counter() - began) / RUNS
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        for _ in range(RUNS):
            work()
    rows = sorted(trace.key_averages(), key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows) / RUNS
    top = [
        {"kernel": row.key[:120], "calls": round(row.count / RUNS, 1), "milliseconds": round(row.self_device_time_total / RUNS / 1000, 3)}
        for row in rows[:MAX_ROWS]
    ]
    return {"wall_milliseconds": round(1000 * wall, 3), "kernel_milliseconds": round(total / 1000, 3), "kernels": top}


def operators(plan: Plan, name: str) -> dict[str, Any]:
    """Operators of one run on the CPU by time, from ONNX Runtime's own profiler."""
    import numpy as np

    from respray.segmentation.spec import load_spec

    spec = load_spec(plan.graphs)
    runner = GraphRunner(plan.graphs / f"{name}.onnx", device=plan.place, profile=str(plan.folder / "profile"))
    runner({"image": np.zeros((1, spec.image_size, spec.image_size, 3), np.uint8)})
    trace = Path(runner.session.end_profiling())
    spent: collections.Counter[str] = collections.Counter()
    for event in json.loads(trace.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and "op_name" in event.get("args", {}):
            spent[event["args"]["op_name"]] += event["dur"]
    trace.unlink()
    return {"kernels": [{"kernel": op, "milliseconds": round(microseconds / 1000, 3)} for op, microseconds in spent.most_common(MAX_ROWS)]}
