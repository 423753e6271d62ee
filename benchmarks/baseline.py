"""What the benchmarks of stage 1 share: ways that are timed in turns, and transformers, the baseline."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def median_seconds(ways: Mapping[str, Callable[[], object]], repeat: int, warm_up: bool = True) -> dict[str, float]:
    """Median wall time of each way. The ways take turns, so that a slower minute of the machine hits all of them."""
    for work in ways.values() if warm_up else ():
        work()
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeat):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            times[way].append(time.perf_counter() - start)
    return {way: statistics.median(values) for way, values in times.items()}


class TransformersBaseline:
    """transformers' model on one photo's `pixels` [1,3,S,S]; its SDPA attention, the faster of its implementations.

    `tokens` gives ids and mask, int64 [1,T] each, of every concept asked for.
    """

    def __init__(self, model: Any, pixels: Any, tokens: Callable[[Any], Iterable[tuple[Any, Any]]]) -> None:
        import torch

        self.torch, self.model, self.pixels, self.tokens = torch, model, pixels, tokens
        model.set_attn_implementation("sdpa")

    def reencode(self, concepts: Any) -> None:
        """One complete forward pass per concept: what most public servers do."""
        with self.torch.inference_mode():
            for ids, mask in self.tokens(concepts):
                self.model(pixel_values=self.pixels, input_ids=ids, attention_mask=mask)

    def reuse(self, concepts: Any) -> None:
        """The image once, then text and detector per concept (a batch would only repeat the features in memory)."""
        with self.torch.inference_mode():
            vision = self.model.get_vision_features(self.pixels)
            for ids, mask in self.tokens(concepts):
                self.model(vision_embeds=vision, input_ids=ids, attention_mask=mask)
