"""How the demo model's weights are moved: the optimisers, their rates, and full-precision copies of rounded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

WARM_UP = 100
# Steps and rate with which heads that start at random are fitted to a model that has learnt before.
HEAD_STEPS, HEAD_RATE = 60, 4e-3
# A matrix with a smaller side is a head, not a hidden layer.
MIN_MUON_SIDE = 32


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal for matrices (Jordan 2024, "Muon: an optimizer for hidden layers").

    What ``torch.optim.Muon`` does, in float32: that one multiplies in bfloat16, which CPUs without AMX emulate (measured: three
    times as long).
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float = 0.95, weight_decay: float = 0.05, iterations: int = 5
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "iterations": iterations})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[object, list[tuple[torch.nn.Parameter, torch.Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                mean.mul_(group["momentum"]).add_(p.grad)
                # Matrices of one shape together: a GPU has a few dozen products to start then, and not thousands. A CPU would only copy.
                alike.setdefault(p.shape if p.is_cuda else id(p), []).append((p, p.grad.add(mean, alpha=group["momentum"])))
            for members in alike.values():
                rows, columns = members[0][0].shape
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                directions = orthogonal(torch.stack([gradient for _, gradient in members]), group["iterations"])
                for (p, _), direction in zip(members, directions, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-rate)


def orthogonal(matrices: torch.Tensor, iterations: int) -> torch.Tensor:
    """The nearest (semi-)orthogonal matrices (N,a,b), roughly: Newton-Schulz iterations with Jordan's coefficients."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * (square @ square)) @ x
    near: torch.Tensor = x.mT if tall else x
    return near


class Optimisers:
    """Muon for hidden matrices, AdamW for everything else; ``rates`` scales both for parts of the model."""

    def __init__(self, parts: Iterable[tuple[float, list[tuple[str, torch.nn.Parameter]]]], lr: float, muon: float) -> None:
        hidden, rest = [], []
        for rate, members in parts:
            matrices = [p for n, p in members if is_hidden(n, p)]
            others = [p for n, p in members if not is_hidden(n, p)]
            hidden.append({"params": matrices, "rate": rate})
            rest += [
                {"params": [p for p in others if p.ndim > 1], "weight_decay": 0.05, "rate": rate},
                {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0, "rate": rate},
            ]
        self.peaks = (muon, lr)
        self.each = (Muon(hidden, muon), torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), fused=True))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimiser in self.each:
            optimiser.zero_grad(set_to_none=True)

    def step(self, scale: float) -> None:
        """Move everything, at ``scale`` of the peak rates."""
        for optimiser, peak in zip(self.each, self.peaks, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * scale * group["rate"]
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """Of both, in order."""
        return [optimiser.state_dict() for optimiser in self.each]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """What ``state_dict`` returned."""
        for optimiser, state in zip(self.each, states, strict=True):
            optimiser.load_state_dict(state)


def is_hidden(name: str, p: torch.Tensor) -> bool:
    """Whether a parameter is a layer's matrix, and no table of tokens, queries or positions."""
    return p.ndim == 2 and min(p.shape) >= MIN_MUON_SIDE and "embed" not in name.rsplit(".", 2)[-2] and name.endswith("weight")


def schedule(progress: float, step: int) -> float:
    """Share of the peak rate: a linear warm-up, then all of it up to half of the training, then a straight line down to 1 %."""
    return min(1.0, (step + 1) / WARM_UP) * min(1.0, 2.0 * (1.0 - min(progress, 1.0)) + 0.01)


def warm_up_heads(heads: Iterable[torch.nn.Parameter], loss_of: Callable[[], torch.Tensor]) -> None:
    """Fit training heads alone, before a model that has learnt before goes on learning: random ones would undo what it knows.

    ``loss_of`` gives the loss of another batch, with gradients for ``heads`` only.
    """
    optimiser = torch.optim.AdamW(heads, lr=HEAD_RATE)
    for step in range(HEAD_STEPS):
        loss = loss_of()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step == HEAD_STEPS - 1:
            print(f"heads warmed up, loss {float(loss.detach()):.3f}", flush=True)


class Masters:
    """float32 copies of the parameters of ``half`` for the optimiser; everything else is optimised in place.

    ``half`` becomes ``dtype``: bfloat16 where the hardware multiplies it faster, else float32.
    """

    def __init__(self, model: torch.nn.Module, half: torch.nn.Module, dtype: torch.dtype) -> None:
        half.to(dtype)
        self.pairs = [(p, torch.nn.Parameter(p.detach().float())) for p in half.parameters()]
        lookup = {id(p): m for p, m in self.pairs}
        self.named = [(n, lookup.get(id(p), p)) for n, p in model.named_parameters()]

    def take_gradients(self) -> None:
        """Hand the model's gradients to the masters."""
        for p, m in self.pairs:
            m.grad = None if p.grad is None else p.grad.float()
            p.grad = None

    @torch.no_grad()
    def give_weights(self) -> None:
        """Round the masters into the model."""
        for p, m in self.pairs:
            p.copy_(m)

    def state(self) -> dict[str, torch.Tensor]:
        """float32 weights of the whole model by name."""
        return {n: p.detach() for n, p in self.named}


class Average:
    """Exponential moving average of weights by name: what is exported."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self.weights = {n: p.clone().float() for n, p in weights.items()}

    @torch.no_grad()
    def update(self, weights: dict[str, torch.Tensor], step: int) -> None:
        """Take in the weights after a step; early ones are forgotten sooner."""
        keep = min(0.996, 1 - 10 / (step + 20))
        for name, value in weights.items():
            self.weights[name].lerp_(value.float(), 1 - keep)


def fast_type(device: torch.device) -> torch.dtype:
    """The type that matrix products are fastest in: bfloat16 on a GPU or a CPU that multiplies it (AMX, AVX-512 BF16), else float32."""
    if device.type == "cuda":
        return torch.bfloat16
    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if cpu.exists() else set()
    return torch.bfloat16 if flags & {"amx_bf16", "avx512_bf16"} else torch.float32


def fast_attention(device: torch.device, fast: torch.dtype) -> str:
    """The attention to train with: torch's own, but on a CPU, where that is slow in bfloat16, see ``training.model.matmul_attention``."""
    return "matmul" if device.type == "cpu" and fast == torch.bfloat16 else "sdpa"
