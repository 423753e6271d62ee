"""FP8 in PyTorch: the encoder's linear layers as `torch._scaled_mm` products, what they gain and what they cost in accuracy.

Weights are FP8 (E4M3) with one scale per layer, activations with one that the same photo was measured for: the cheapest form, and kind to
accuracy. The products alone, without the conversions around them, say what a runtime that fuses those could reach.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.baseline import median_seconds
from benchmarks.gpu_server.export import build
from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.gpu_server.torch_modules import Machine, exact_products, machine_of, on_device, recorded, similarity

FP8 = torch.float8_e4m3fn
FP8_MAX = float(torch.finfo(FP8).max)


class Fp8Linear(nn.Module):
    """A linear layer whose product is FP8."""

    def __init__(self, layer: nn.Linear, largest: float) -> None:
        """`largest`: of its input's values."""
        super().__init__()
        weight = layer.weight.detach()
        self.weight_scale = nn.Parameter((weight.abs().amax().float() / FP8_MAX).clamp(min=1e-12), requires_grad=False)
        self.input_scale = nn.Parameter(torch.tensor(max(largest, 1e-6) / FP8_MAX, device=weight.device), requires_grad=False)
        # Column-major, as the product wants its second factor.
        self.weight = nn.Parameter((weight.float() / self.weight_scale).to(FP8), requires_grad=False)
        self.bias = layer.bias

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        flat = tokens.reshape(-1, tokens.shape[-1])
        scaled = (flat / self.input_scale.to(flat.dtype)).clamp(-FP8_MAX, FP8_MAX).to(FP8)
        product: Tensor = torch._scaled_mm(
            scaled, self.weight.t(), scale_a=self.input_scale, scale_b=self.weight_scale, out_dtype=tokens.dtype
        )
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(*tokens.shape[:-1], -1)


def run(plan: Plan, findings: Findings) -> None:
    """Image pass with FP8 against the other precision, as it is and as a CUDA graph, and the products by themselves."""
    machine = machine_of(plan)
    with exact_products():
        encoder = on_device(machine, build(plan, machine.device.type).cpu(), "torch").image_encoder
        size = encoder.grid * encoder.patches.kernel_size[0]
        image = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(machine.device)
        layers = {name: layer for name, layer in encoder.layers.named_modules() if isinstance(layer, nn.Linear)}
        shapes, largest = watch(encoder, layers, image)
        findings.note({"linear_layers": len(layers), "products": products(machine, layers, shapes, plan.repeat)})
        truth = encoder(image)
        ways: dict[str, Callable[[], object]] = {str(machine.dtype).removeprefix("torch."): functools.partial(encoder, image)}
        note(machine, findings, ways, plan.repeat)
        for name, layer in layers.items():
            parent, _, leaf = name.rpartition(".")
            setattr(encoder.layers.get_submodule(parent), leaf, Fp8Linear(layer, largest[name]))
        found = encoder(image)
        findings.note({"cosine": [similarity(mine, theirs) for mine, theirs in zip(found, truth, strict=True)]})
        note(machine, findings, {"fp8": functools.partial(encoder, image)}, plan.repeat)


def note(machine: Machine, findings: Findings, ways: dict[str, Callable[[], object]], repeat: int) -> None:
    """Milliseconds of each way, plain and recorded."""
    times = findings.get("milliseconds", {})
    for name, work in ways.items():
        times[name] = 1000 * median_seconds({name: functools.partial(machine.finished, work)}, repeat)[name]
        if machine.cuda:
            times[f"{name}, graph"] = 1000 * median_seconds({name: functools.partial(machine.finished, recorded(work))}, repeat)[name]
    findings.note({"milliseconds": times})


def watch(encoder: nn.Module, layers: dict[str, nn.Linear], image: Tensor) -> tuple[dict[str, int], dict[str, float]]:
    """Rows of each layer's input, and its largest value."""
    rows: dict[str, int] = {}
    largest: dict[str, float] = {}

    def seen(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[Any, ...]) -> None:
            rows[name] = given[0].numel() // given[0].shape[-1]
            largest[name] = max(largest.get(name, 0.0), float(given[0].abs().amax()))

        return hook

    hooks = [layer.register_forward_pre_hook(seen(name)) for name, layer in layers.items()]
    encoder(image)
    for hook in hooks:
        hook.remove()
    return rows, largest


def products(machine: Machine, layers: dict[str, nn.Linear], rows: dict[str, int], repeat: int) -> dict[str, Any]:
    """Milliseconds of all layers' products alone, in the machine's precision and in FP8, and the rates."""
    kinds: dict[tuple[int, int, int], int] = {}
    for name, layer in layers.items():
        kind = (rows[name], layer.in_features, layer.out_features)
        kinds[kind] = kinds.get(kind, 0) + 1
    totals = {"plain": 0.0, "fp8": 0.0}
    operations = 0.0
    one = torch.ones((), device=machine.device)
    for (height, inner, width), count in kinds.items():
        a, b = torch.randn(height, inner, device=machine.device), torch.randn(width, inner, device=machine.device)
        halves, bytes_ = (a.to(machine.dtype), b.to(machine.dtype)), (a.to(FP8), b.to(FP8))
        ways: dict[str, Callable[[], object]] = {
            "plain": functools.partial(torch.matmul, halves[0], halves[1].t()),
            "fp8": functools.partial(torch._scaled_mm, bytes_[0], bytes_[1].t(), scale_a=one, scale_b=one, out_dtype=machine.dtype),
        }
        timed = {name: functools.partial(machine.finished, work) for name, work in ways.items()}
        for name, seconds in median_seconds(timed, repeat).items():
            totals[name] += 1000 * seconds * count
        operations += 2.0 * height * inner * width * count
    rates = {name: round(operations / milliseconds / 1e9, 2) for name, milliseconds in totals.items()}
    return {"shapes": [[*kind, count] for kind, count in kinds.items()], "milliseconds": totals, "tflops": rates}
