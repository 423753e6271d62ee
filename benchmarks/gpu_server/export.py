"""The export that is measured: at full size random weights from a seed, FP16, fused attention, with PyTorch's answers as its probe."""

import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.work import CHECKPOINT


def run(plan: Plan, findings: Findings) -> None:
    """Write `plan.graphs`, with the seconds of each of its stages."""
    import torch

    from respray.segmentation.export.checkpoints import Checkpoint
    from respray.segmentation.export.export_graphs import export_model
    from respray.segmentation.export.output_folder import replaced_folder

    began = time.monotonic()
    seconds: dict[str, float] = {}
    current = "model"

    def step(text: str) -> None:
        nonlocal began, current
        seconds[current] = round(time.monotonic() - began, 1)
        began, current = time.monotonic(), text
        findings.note({"stages": seconds, "in": text})

    model = build(plan, "cuda" if plan.cuda and torch.cuda.is_available() else "cpu").cpu()
    size = sum(parameter.numel() for parameter in model.parameters())
    # The words' ids are the demo's: the tokenizer of the real model belongs to its download.
    with replaced_folder(Path(plan.graphs), size * 3) as folder:
        export_model(
            model,
            Checkpoint(CHECKPOINT, plan.checkpoint, plan.checkpoint == "demo"),
            folder,
            precision="fp16" if plan.cuda else "fp32",
            attention="ort",
            queries=32,
            cls_token="transformers",
            half_storage=False,
            boxes=False,
            check=False,
            step=step,
        )
    step("")
    sizes = {path.name: path.stat().st_size for path in sorted(plan.graphs.iterdir())}
    findings.note({"parameters": size, "bytes": sizes, "in": None})


def build(plan: Plan, device: str) -> Any:
    """The model that a plan means, in FP32 on a device of PyTorch's."""
    if plan.checkpoint == "random":
        from respray.segmentation.export.random_model import random_sam3

        return random_sam3(device=device)
    from respray.segmentation.export.checkpoints import find_checkpoint, load_model

    return load_model(find_checkpoint("demo", demo=CHECKPOINT)).to(device)
