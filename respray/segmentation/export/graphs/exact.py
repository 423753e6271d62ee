"""Parts of FP16 graphs that keep their weights in FP32, because FP16 cannot hold them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import PromptAttention

MAX_ROUNDING = 1e-3
"""Of a weight tensor's norm. Rounding to FP16 alone costs a fifth of it; more is lost below 6e-5, where FP16 has fewer digits, or all above
65,504."""
UNITS = (PromptAttention, nn.Linear, nn.Conv2d, nn.LayerNorm)
"""What is kept as a whole: these are called, and nobody else reads their weights."""


class Exact(nn.Module):
    """A module in FP32 between FP16 values."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Tensor) -> Tensor:
        """As the module, in the type of its first input."""
        result: Tensor = self.inner(*(value.float() for value in given))
        return result.to(given[0].dtype)


def fits_half(module: nn.Module) -> bool:
    """Whether FP16 holds all of a module's weights."""
    for weight in module.parameters():
        full = weight.detach().float()
        # Not finite where a weight is beyond FP16's range.
        lost = (full.half().float() - full).norm()
        if not torch.isfinite(lost) or lost > MAX_ROUNDING * full.norm():
            return False
    return True


def keep_exact(root: nn.Module, spared: set[nn.Module]) -> set[nn.Module]:
    """Put `Exact` around each unit below `root` whose weights FP16 cannot hold, apart from `spared`; the modules that stay FP32."""
    kept: set[nn.Module] = set()
    for name, child in list(root.named_children()):
        if child in spared:
            continue
        if isinstance(child, UNITS):
            if not fits_half(child):
                wrapped = Exact(child)
                root._modules[name] = wrapped
                kept |= set(wrapped.modules())
            continue
        kept |= keep_exact(child, spared)
    return kept
