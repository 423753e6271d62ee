"""The text encoder: token ids to the prompt features that the concept decoder takes."""

from typing import Any

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import PADDING_BIAS, padding_bias


class TextEncoder(nn.Module):
    """transformers' own text tower (CLIP's, or the smaller one of `sam3_lite_text`) and the projection to the detector's width."""

    causal: Tensor

    def __init__(self, model: Any, length: int) -> None:
        super().__init__()
        self.tower, self.projection = model.text_encoder, model.text_projection
        # CLIP's tower is causal, the small one is not. Handing over the finished 4-D mask keeps transformers' general mask
        # code, with its gathers and ranges, out of the graph.
        ahead = torch.ones(length, length).triu(1) * PADDING_BIAS
        causal = model.config.text_config.model_type.startswith("clip")
        self.register_buffer("causal", (ahead if causal else torch.zeros_like(ahead)).view(1, 1, length, length), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int32 [B, T] ids and mask (1 = token, 0 = padding) to float32 `text_features` [B, T, D]."""
        bias = padding_bias(attention_mask, self.causal.dtype).unsqueeze(1).unsqueeze(1) + self.causal
        hidden = self.tower(input_ids=input_ids, attention_mask=bias, return_dict=True).last_hidden_state
        return self.projection(hidden).float()
