"""The concept decoder: the image encoder's maps and N concepts to masks, boxes and scores.

Differences in form, not in result, from `Sam3Model.forward`: the maps are not repeated per concept, the K best queries are chosen
before their masks are made, text attention absorbs its projections, and only the last layer's answers are computed.
"""

from typing import Any

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import (
    AttentionKernel,
    PromptAttention,
    SelfAttentionWithPositions,
    padding_bias,
    sine_positions,
)
from respray.segmentation.export.graphs.pixel_decoder import PixelDecoder
from respray.segmentation.export.graphs.query_decoder import QueryDecoder


class ClsToken(nn.Module):
    """The geometry encoder without boxes: one token that has looked at the image.

    Meta's code always appends it to the text; transformers only does when there are boxes.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """The photo's [B, L, D] tokens (lowest map, unmodified) and [1, L, D] positions to [B, 1, D]."""
        encoder = self.encoder
        start = encoder.prompt_layer_norm(encoder.final_proj(encoder.cls_embed.weight)).unsqueeze(0)
        hidden = start.expand(tokens.shape[0], -1, -1)
        keys = tokens + positions
        for layer in encoder.layers:
            # Attention of one token to itself is its value.
            hidden = hidden + layer.self_attn.o_proj(layer.self_attn.v_proj(layer.layer_norm1(hidden)))
            hidden = hidden + layer.cross_attn(query=layer.layer_norm2(hidden), key=keys, value=tokens)[0]
            hidden = hidden + layer.mlp(layer.layer_norm3(hidden))
        return encoder.output_layer_norm(hidden)


class EncoderLayer(nn.Module):
    """A DETR encoder layer; the first one's self-attention is done per photo, so it has none here."""

    def __init__(self, layer: Any, heads: int, kernel: AttentionKernel, first: bool) -> None:
        super().__init__()
        self.self_attention = None if first else SelfAttentionWithPositions(layer, heads, kernel)
        self.norm2, self.norm3, self.mlp = layer.layer_norm2, layer.layer_norm3, layer.mlp
        self.prompt_attention = PromptAttention(layer.cross_attn, heads)

    def forward(self, tokens: Tensor, positions: Tensor, prompt: Tensor, token_bias: Tensor) -> Tensor:
        """[M, L, D] to [M, L, D]."""
        if self.self_attention is not None:
            tokens = self.self_attention(tokens, positions)
        tokens = tokens + self.prompt_attention(self.norm2(tokens), prompt, token_bias)
        return tokens + self.mlp(self.norm3(tokens))


class ConceptDecoder(nn.Module):
    """See the module.

    `queries` is K, at most the model's number of queries; `cls_token` follows Meta's code. `text_length`: prompts of that many tokens may
    have those of boxes behind them; None: they are text alone.
    """

    positions: Tensor

    def __init__(self, model: Any, kernel: AttentionKernel, queries: int, cls_token: bool, text_length: int | None = None) -> None:
        super().__init__()
        backbone = model.vision_encoder.backbone.config
        grid = backbone.image_size // backbone.patch_size
        encoder = model.detr_encoder
        heads = encoder.config.num_attention_heads
        self.queries, self.text_length = queries, text_length
        positions = sine_positions(model.vision_encoder.neck.position_encoding, encoder.config.hidden_size, grid)
        self.register_buffer("positions", positions, persistent=False)
        # The CLS token looks at the unmodified map, so with it the image encoder leaves the prompt-free half to this graph.
        self.cls_token = ClsToken(model.geometry_encoder) if cls_token else None
        self.prompt_free = SelfAttentionWithPositions(encoder.layers[0], heads, kernel) if cls_token else None
        self.layers = nn.ModuleList([EncoderLayer(layer, heads, kernel, index == 0) for index, layer in enumerate(encoder.layers)])
        self.query_decoder = QueryDecoder(model.detr_decoder, grid)
        self.scoring = model.dot_product_scoring
        self.pixel_decoder = PixelDecoder(model.mask_decoder, grid)

    def forward(
        self, features_high: Tensor, features_mid: Tensor, features_low: Tensor, text_features: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """All concepts of all photos of a batch.

        Args:
            features_high, features_mid, features_low: from `ImageEncoder`, [B, ...].
            text_features: float32 [B, N, T, D]; text_mask: int32 [B, N, T], 1 = token. Those of boxes, where there are any, stand behind.

        Returns:
            masks uint8 [B, N, K, 4g, 4g], scores float32 [B, N, K] in descending order, boxes float32 [B, N, K, 4]
            (x0, y0, x1, y1 in 0..1), presence float32 [B, N], region uint8 [B, N, 4g, 4g].
        """
        batch, concepts = text_mask.shape[0], text_mask.shape[1]
        dtype = features_low.dtype
        prompt = text_features.to(dtype)
        photo = features_low.flatten(2).transpose(1, 2)
        positions = self.positions.to(dtype)
        mask = text_mask
        if self.cls_token is not None and self.prompt_free is not None:
            token = self.cls_token(photo, positions).unsqueeze(1).expand(-1, concepts, -1, -1)
            prompt = torch.cat((prompt, token), dim=2)
            mask = torch.cat((mask, self._without_boxes(mask)), dim=2)
            photo = self.prompt_free(photo, positions)
        prompt, mask = prompt.flatten(0, 1), mask.flatten(0, 1)
        token_bias = padding_bias(mask, dtype)
        tokens = photo.unsqueeze(1).expand(-1, concepts, -1, -1).flatten(0, 1)
        for layer in self.layers:
            tokens = layer(tokens, positions, prompt, token_bias)
        hidden, boxes, presence = self.query_decoder(tokens, positions, prompt, token_bias)
        presence = torch.sigmoid(presence)
        scores = torch.sigmoid(self._logits(hidden, prompt, mask)) * presence
        scores, best = torch.topk(scores, self.queries, dim=1)
        boxes = boxes.gather(1, best.unsqueeze(-1).expand(-1, -1, 4))
        hidden = hidden.gather(1, best.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        masks, region = self.pixel_decoder(tokens, features_mid, features_high, hidden, (prompt, token_bias))
        shape = (batch, concepts)
        return (
            masks.unflatten(0, shape).to(torch.uint8),
            scores.unflatten(0, shape),
            boxes.unflatten(0, shape),
            presence.squeeze(-1).unflatten(0, shape),
            region.unflatten(0, shape).to(torch.uint8),
        )

    def _without_boxes(self, mask: Tensor) -> Tensor:
        """1 for each concept that has no boxes, whose tokens bring the geometry encoder's own along: [B, N, T] to [B, N, 1]."""
        if self.text_length is None:
            return torch.ones_like(mask[:, :, :1])
        behind = mask.float().sum(dim=2, keepdim=True) - mask[:, :, : self.text_length].float().sum(dim=2, keepdim=True)
        return (behind == 0).to(mask.dtype)

    def _logits(self, hidden: Tensor, prompt: Tensor, mask: Tensor) -> Tensor:
        """How well each query fits the prompt: [M, Q] float32."""
        scoring = self.scoring
        text = scoring.text_mlp_out_norm(scoring.text_mlp(prompt) + prompt)
        valid = mask.to(text.dtype).unsqueeze(-1)
        pooled = (text * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1.0)
        products = torch.matmul(scoring.query_proj(hidden), scoring.text_proj(pooled).unsqueeze(-1)).squeeze(-1)
        return (products.float() * scoring.scale).clamp(-scoring.clamp_max_val, scoring.clamp_max_val)
