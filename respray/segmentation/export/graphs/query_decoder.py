"""The DETR decoder: 200 object queries look at the prompt and at the image tokens, layer by layer refining their boxes.

Whatever the first layer computes from constants (its self-attention, its query positions) is computed at export. Boxes, their
position encodings and their relative-position bias stay float32 in every precision: FP16 resolves 1/2048 of the image.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import attend, merged_linear


def box_corners(boxes: Tensor) -> Tensor:
    """[..., 4] (cx, cy, w, h) to (x0, y0, x1, y1), both 0..1."""
    centre, size = boxes.chunk(2, dim=-1)
    return torch.cat((centre - 0.5 * size, centre + 0.5 * size), dim=-1)


def inverse_sigmoid(values: Tensor, eps: float = 1e-3) -> Tensor:
    """log(x / (1 - x)) with both sides kept at `eps` or more, like the original."""
    return torch.log(values.clamp(min=eps) / (1 - values).clamp(min=eps))


class BoxBias(nn.Module):
    """Relative-position bias of each query's box to each row and each column of the grid (float32)."""

    coordinates: Tensor

    def __init__(self, embed_x: Any, embed_y: Any, grid: int) -> None:
        super().__init__()
        self.embed_x, self.embed_y = embed_x.float(), embed_y.float()
        self.register_buffer("coordinates", (torch.arange(grid, dtype=torch.float32) / grid).view(grid, 1), persistent=False)

    def forward(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """[M, Q, 4] (cx, cy, w, h) to the row term [M, heads, 1 + Q, g, 1] and the column term [M, heads, 1 + Q, 1, g].

        Row 0 of Q is the presence token's, which has no box and no bias.
        """
        corners = box_corners(boxes).unsqueeze(2)
        rows = self._embed(corners[..., 1::2], self.embed_y)
        columns = self._embed(corners[..., 0::2], self.embed_x)
        return rows.unsqueeze(-1), columns.unsqueeze(-2)

    def _embed(self, edges: Tensor, embed: nn.Module) -> Tensor:
        deltas = (self.coordinates - edges) * 8
        encoded = torch.sign(deltas) * torch.log2(deltas.abs() + 1.0) / math.log2(8)
        return nn.functional.pad(embed(encoded).permute(0, 3, 1, 2), (0, 0, 1, 0))


class QueryLayer(nn.Module):
    """One DETR decoder layer after its self-attention, and the self-attention on its own."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_query_key = merged_linear([layer.self_attn.q_proj, layer.self_attn.k_proj])
        self.self_attn, self.self_norm = layer.self_attn, layer.self_attn_layer_norm
        self.text_query, self.text_output = layer.text_cross_attn.q_proj, layer.text_cross_attn.o_proj
        self.text_norm = layer.text_cross_attn_layer_norm
        self.vision_query, self.vision_output = layer.vision_cross_attn.q_proj, layer.vision_cross_attn.o_proj
        self.vision_norm = layer.vision_cross_attn_layer_norm
        self.mlp, self.mlp_norm = layer.mlp, layer.mlp_layer_norm

    def attend_to_each_other(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """[M, 1 + Q, D] to [M, 1 + Q, D]."""
        query, key = self.self_query_key(hidden + positions).chunk(2, dim=-1)
        return self.self_norm(hidden + self.self_attn.o_proj(attend(query, key, self.self_attn.v_proj(hidden), self.heads)))

    def forward(self, hidden: Tensor, positions: Tensor, text: tuple[Tensor, ...], vision: tuple[Tensor, ...]) -> Tensor:
        """Text and vision cross-attention and the MLP: [M, 1 + Q, D] to the same; `text` and `vision` are (key, value, bias)."""
        mixed = self._look(self.text_query(hidden + positions), *text)
        hidden = self.text_norm(hidden + self.text_output(mixed))
        mixed = self._look(self.vision_query(hidden + positions), *vision)
        hidden = self.vision_norm(hidden + self.vision_output(mixed))
        return self.mlp_norm(hidden + self.mlp(hidden))

    def _look(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        return attend(query, key, value, self.heads, bias=bias)


class QueryDecoder(nn.Module):
    """All layers; keys and values of the image and of the text are projected for every layer at once."""

    first_hidden: Tensor
    first_positions: Tensor
    first_boxes: Tensor
    dim_t: Tensor

    def __init__(self, decoder: Any, grid: int) -> None:
        super().__init__()
        heads = decoder.config.num_attention_heads
        self.heads, self.grid = heads, grid
        self.vision_keys = merged_linear([layer.vision_cross_attn.k_proj for layer in decoder.layers])
        self.vision_values = merged_linear([layer.vision_cross_attn.v_proj for layer in decoder.layers])
        self.text_keys = merged_linear([layer.text_cross_attn.k_proj for layer in decoder.layers])
        self.text_values = merged_linear([layer.text_cross_attn.v_proj for layer in decoder.layers])
        self.layers = nn.ModuleList([QueryLayer(layer, heads) for layer in decoder.layers])
        self.output_norm, self.box_head = decoder.output_layer_norm, decoder.box_head.float()
        self.ref_point_head = decoder.ref_point_head
        self.presence_norm, self.presence_head = decoder.presence_layer_norm, decoder.presence_head
        self.presence_limit = float(decoder.clamp_presence_logit_max_val)
        self.box_bias = BoxBias(decoder.box_rpb_embed_x, decoder.box_rpb_embed_y, grid)
        encoding = decoder.position_encoding
        half = torch.div(torch.arange(encoding.num_position_features), 2, rounding_mode="floor")
        self.position_scale = float(encoding.scale)
        self.register_buffer("dim_t", (encoding.temperature ** (2 * half / encoding.num_position_features))[::2].float(), persistent=False)
        with torch.no_grad():
            boxes: Tensor = decoder.reference_points.weight.unsqueeze(0).float().sigmoid()
            positions = self.query_positions(boxes)
            hidden = torch.cat((decoder.presence_token.weight, decoder.query_embed.weight)).unsqueeze(0)
            hidden = self._layers()[0].attend_to_each_other(hidden, positions)
        for name, value in (("first_boxes", boxes), ("first_positions", positions), ("first_hidden", hidden)):
            self.register_buffer(name, value, persistent=False)

    def _layers(self) -> list[QueryLayer]:
        return [layer for layer in self.layers if isinstance(layer, QueryLayer)]

    def query_positions(self, boxes: Tensor) -> Tensor:
        """[M, Q, 4] (cx, cy, w, h) to [M, 1 + Q, D], zeros for the presence token."""
        angles = (boxes * self.position_scale).unsqueeze(-1) / self.dim_t
        waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        cx, cy, width, height = waves.unbind(-2)
        encoded = torch.cat((cy, cx, width, height), dim=-1).to(self.ref_point_head.layer1.weight.dtype)
        return nn.functional.pad(self.ref_point_head(encoded), (0, 0, 1, 0))

    def forward(self, tokens: Tensor, image_positions: Tensor, prompt: Tensor, token_bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, boxes and presence after the last layer.

        Args:
            tokens: [M, g*g, D] from the DETR encoder; image_positions: [1, g*g, D].
            prompt, token_bias: [M, T, D] and additive [M, T].

        Returns:
            queries [M, Q, D] (normed), boxes float32 [M, Q, 4] (x0, y0, x1, y1), presence logit float32 [M, 1].
        """
        count = len(self.layers)
        vision_keys = self.vision_keys(tokens + image_positions).chunk(count, dim=-1)
        vision_values = self.vision_values(tokens).chunk(count, dim=-1)
        text_keys = self.text_keys(prompt).chunk(count, dim=-1)
        text_values = self.text_values(prompt).chunk(count, dim=-1)
        text_bias = token_bias.unsqueeze(1).unsqueeze(1)
        hidden, positions, boxes = self.first_hidden, self.first_positions, self.first_boxes
        for index, layer in enumerate(self._layers()):
            if index > 0:
                positions = self.query_positions(boxes)
                hidden = layer.attend_to_each_other(hidden, positions)
            rows, columns = self.box_bias(boxes)
            bias = (rows.to(tokens.dtype) + columns.to(tokens.dtype)).flatten(3)
            text = (text_keys[index], text_values[index], text_bias)
            hidden = layer(hidden, positions, text, (vision_keys[index], vision_values[index], bias))
            normed = self.output_norm(hidden[:, 1:])
            boxes = (self.box_head(normed.float()) + inverse_sigmoid(boxes)).sigmoid()
        presence = self.presence_head(self.presence_norm(hidden[:, 0])).float()
        return normed, box_corners(boxes), presence.clamp(-self.presence_limit, self.presence_limit)
