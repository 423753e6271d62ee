"""Whether a model's values fit FP16. Needs torch.

Comparing FP16 graphs on a CPU cannot show it: ONNX Runtime's CPU provider computes FP16 nodes in FP32 and drops the casts between them, so
a value passes that is infinite on a GPU. How large values get is therefore read off the same graphs in FP32.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from respray.contract.request import MAX_BOXES
from respray.segmentation.errors import ParityError
from respray.segmentation.export.graphs import Graphs

_log = logging.getLogger(__name__)
HALF_MAX = 65504.0
# Another photo may well bring twice the value.
TOO_LARGE = HALF_MAX / 2
LARGE = 10_000.0
# Their results are not always a module's output: attention's scores, the absorbed projections, the pixel decoder's convolutions.
PRODUCTS = (torch.matmul, torch.nn.functional.conv2d)


class _Products(TorchFunctionMode):
    """Calls `note` with the result of each of `PRODUCTS`."""

    def __init__(self, note: Callable[[object], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in PRODUCTS:
            self.note(result)
        return result


@torch.no_grad()
def peaks(graphs: Graphs, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> dict[str, float]:
    """Largest absolute value of each module's output and of the products inside it, by the module's name in the graphs.

    What masks add to attention's scores is not counted: it is meant to be large and negative.

    Args:
        graphs: FP32, with the `explicit` attention kernel (torch cannot run the other).
        image: uint8 [1, S, S, 3]. input_ids, attention_mask: int32 [N, T].
    """
    found: dict[str, float] = {}
    inside: list[str] = []

    def note(value: object) -> None:
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, Tensor) and part.is_floating_point():
                low, high = torch.aminmax(part)
                found[inside[-1]] = max(found.get(inside[-1], 0.0), -float(low), float(high))

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: inside.append(name)

    def leave(_module: object, _inputs: object, output: object) -> None:
        note(output)
        inside.pop()

    hooks = []
    for graph in ("image_encoder", "text_encoder", "concept_decoder", "geometry_encoder"):
        for name, module in getattr(graphs, graph).named_modules(prefix=graph) if getattr(graphs, graph) is not None else ():
            hooks += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        with _Products(note):
            text = graphs.text_encoder(input_ids, attention_mask)
            prompts = (text[None], attention_mask[None])
            features = graphs.image_encoder(image)
            if graphs.geometry_encoder is not None:
                # Every concept with as many boxes as there may be, over all of the photo.
                corners, labels = torch.rand(1, len(text), MAX_BOXES, 2, 2).sort(dim=-2).values.flatten(-2), torch.arange(MAX_BOXES) % 2
                shown = (corners, labels.to(torch.int32).expand(1, len(text), -1))
                prompts = graphs.geometry_encoder(features[-1], *shown, *prompts)
            graphs.concept_decoder(*features[:3], *prompts)
    finally:
        # The graphs share their modules with the model that they were built from.
        for hook in hooks:
            hook.remove()
    return found


def check_half_range(graphs: Graphs, image: Tensor, input_ids: Tensor, attention_mask: Tensor) -> None:
    """Warn of values above `LARGE`. Arguments as for `peaks`.

    Raises:
        ParityError: a value above `TOO_LARGE`, half of what FP16 holds.
    """
    found = peaks(graphs, image, input_ids, attention_mask)
    large = sorted((name for name, peak in found.items() if peak > LARGE), key=lambda name: -found[name])
    if not large:
        return
    where = ", ".join(f"{name} ({found[name]:,.0f})" for name in large[:3]) + (f" and {len(large) - 3} more" if len(large) > 3 else "")
    if found[large[0]] > TOO_LARGE:
        raise ParityError(f"values are too large for FP16, which ends at {HALF_MAX:,.0f}: {where}; export with --precision fp32")
    _log.warning(
        "large values for FP16, which ends at %s: %s; if a GPU finds nothing with these graphs, export with --precision fp32",
        f"{HALF_MAX:,.0f}",
        where,
    )
