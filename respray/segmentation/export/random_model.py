"""The full SAM3 architecture with random weights from a seed: real cost without a download. Needs torch and transformers."""

from typing import Any

import torch
from transformers import Sam3Config, Sam3Model


def random_sam3(seed: int = 0, config: Sam3Config | None = None, device: str = "cpu") -> Any:
    """A `Sam3Model` (848 million parameters, 3.4 GB in float32, unless `config` says otherwise), eager attention, evaluation mode.

    Its weights are drawn on `device`, each kind of which has its own; a GPU takes a second for them, a CPU a minute.
    """
    torch.manual_seed(seed)
    with torch.device(device):
        model = Sam3Model._from_config(config or Sam3Config(), attn_implementation="eager")
    return model.eval().requires_grad_(False)
