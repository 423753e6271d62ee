"""`torch.compile` with max-autotune: what PyTorch's compiler makes of the encoder and of the decoder of three concepts."""

from __future__ import annotations

import functools
import time

import torch

from benchmarks.baseline import median_seconds
from benchmarks.gpu_server.export import build
from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.gpu_server.torch_modules import Modules, exact_products, machine_of, on_device, prompts, similarity


def run(plan: Plan, findings: Findings) -> None:
    """Compile, time, and compare with the modules as they are. On a CPU the mode without tuning: tuning takes minutes there."""
    machine = machine_of(plan)
    mode = "max-autotune" if plan.cuda else "default"
    findings.note({"mode": mode})
    with exact_products():
        model = build(plan, machine.device.type).cpu()
        size = model.config.vision_config.backbone_config.image_size
        image = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(machine.device)
        few = min(3, max(plan.concepts))
        graphs = on_device(machine, model, "torch")
        modules = Modules(graphs, image, *prompts(model, few, machine.device))
        maps = tuple(part.clone() for part in modules.encode())
        parts = {
            "image pass": (graphs.image_encoder, (image,)),
            f"{few} concepts": (graphs.concept_decoder, (*maps, modules.text, modules.mask)),
        }
        for name, (module, given) in parts.items():
            plain = [part.clone() for part in module(*given)]
            began = time.monotonic()
            compiled = torch.compile(module, mode=mode, dynamic=False)
            found = [part.clone() for part in compiled(*given)]
            machine.wait()
            seconds = time.monotonic() - began
            work = functools.partial(machine.finished, functools.partial(compiled, *given))
            findings.note({
                name: {
                    "compile_seconds": round(seconds, 1),
                    "milliseconds": 1000 * median_seconds({name: work}, plan.repeat)[name],
                    "cosine": [similarity(mine, theirs) for mine, theirs in zip(found, plain, strict=True)],
                }
            })  # fmt: skip
