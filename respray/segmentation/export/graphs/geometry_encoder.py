"""The geometry encoder: boxes around examples of what is meant, and of what is not, to tokens that stand behind a prompt's text.

`Sam3GeometryEncoder` of transformers, with its RoIAlign written as two matrix products: bilinear samples of a box are separable, and their
mean over a bin is linear, so no operator with a data-dependent number of samples is needed.
"""

from typing import Any

import torch
from torch import Tensor, nn

from respray.contract.request import MAX_BOXES
from respray.segmentation.export.graphs.attention import attend, padding_bias, sine_positions


class RoiWeights(nn.Module):
    """How much each row (or column) of a map counts in each bin of a box: RoIAlign along one axis.

    As torchvision's `roi_align` with its defaults (pytorch.org/vision/stable/generated/torchvision.ops.roi_align.html): boxes of at least
    one cell, ceil(length / bins) samples a bin, coordinates not shifted by half a cell.
    """

    cells: Tensor
    bins: Tensor
    samples: Tensor

    def __init__(self, grid: int, bins: int) -> None:
        super().__init__()
        self.grid, self.count = grid, bins
        self.register_buffer("cells", torch.arange(grid, dtype=torch.float32), persistent=False)
        self.register_buffer("bins", torch.arange(bins, dtype=torch.float32).view(bins, 1), persistent=False)
        self.register_buffer("samples", torch.arange(-(-grid // bins), dtype=torch.float32), persistent=False)

    def forward(self, start: Tensor, end: Tensor) -> Tensor:
        """Float32 [...] edges, fractions 0..1 of the map, to [..., bins, grid]."""
        start = (start * self.grid).unsqueeze(-1).unsqueeze(-1)
        length = ((end * self.grid).unsqueeze(-1).unsqueeze(-1) - start).clamp(min=1.0)
        taken = torch.ceil(length / self.count)
        places = start + (self.bins + (self.samples + 0.5) / taken) * (length / self.count)
        # Samples beyond the map count as zeros; those in its outermost half cells as its edge.
        counted = (self.samples < taken) & (places >= -1.0) & (places <= self.grid)
        hat = 1.0 - (places.clamp(0.0, self.grid - 1.0).unsqueeze(-1) - self.cells).abs()
        return (hat.clamp(min=0.0) * (counted.float() / taken).unsqueeze(-1)).sum(dim=-2)


class GeometryLayer(nn.Module):
    """Boxes look at each other and at the photo. Queries of all concepts look at the photo's tokens together, which are not repeated."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn, self.cross_attn, self.mlp = layer.self_attn, layer.cross_attn, layer.mlp
        self.norm1, self.norm2, self.norm3 = layer.layer_norm1, layer.layer_norm2, layer.layer_norm3

    def forward(self, hidden: Tensor, bias: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[B, N, M + 1, D] tokens with additive bias [B * N, 1, 1, M + 1]; the photo's [B, L, D] with and without positions."""
        shape = hidden.shape[:2]
        normed = self.norm1(hidden).flatten(0, 1)
        own = self.self_attn
        mixed = attend(own.q_proj(normed), own.k_proj(normed), own.v_proj(normed), self.heads, bias=bias)
        hidden = hidden + own.o_proj(mixed).unflatten(0, shape)
        across = self.cross_attn
        queries = across.q_proj(self.norm2(hidden)).flatten(1, 2)
        seen = across.o_proj(attend(queries, across.k_proj(keys), across.v_proj(values), self.heads))
        hidden = hidden + seen.unflatten(1, (shape[1], -1))
        return hidden + self.mlp(self.norm3(hidden))


class GeometryEncoder(nn.Module):
    """Prompts with boxes, see the module. A concept without one keeps its text alone."""

    positions: Tensor
    dim_t: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        encoder = model.geometry_encoder
        backbone = model.vision_encoder.backbone.config
        self.grid = backbone.image_size // backbone.patch_size
        self.width, self.boxes = encoder.hidden_size, MAX_BOXES
        positions = sine_positions(model.vision_encoder.neck.position_encoding, self.width, self.grid)
        self.register_buffer("positions", positions, persistent=False)
        self.weights = RoiWeights(self.grid, encoder.roi_size)
        self.map_norm = encoder.vision_layer_norm
        pooled = encoder.boxes_pool_project
        self.pooled = nn.Linear(pooled.in_channels * encoder.roi_size**2, self.width)
        self.pooled.weight = nn.Parameter(pooled.weight.permute(0, 2, 3, 1).flatten(1).detach().clone(), requires_grad=False)
        self.pooled.bias = nn.Parameter(pooled.bias.detach().clone(), requires_grad=False)
        self.direct, self.placed = encoder.boxes_direct_project.float(), encoder.boxes_pos_enc_project.float()
        encoding = encoder.position_encoding
        half = torch.div(torch.arange(encoding.num_position_features), 2, rounding_mode="floor")
        self.position_scale = float(encoding.scale)
        self.register_buffer("dim_t", (encoding.temperature ** (2 * half / encoding.num_position_features))[::2].float(), persistent=False)
        self.labels, self.cls = encoder.label_embed, encoder.cls_embed
        self.projection, self.prompt_norm = encoder.final_proj, encoder.prompt_layer_norm
        heads = encoder.config.num_attention_heads
        self.layers = nn.ModuleList([GeometryLayer(layer, heads) for layer in encoder.layers])
        self.output_norm = encoder.output_layer_norm

    def forward(
        self, features_plain: Tensor, box_prompts: Tensor, box_labels: Tensor, text_features: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Put the tokens of boxes behind those of the text.

        Args:
            features_plain: the neck's lowest map as it is, [B, C, g, g].
            box_prompts: float32 [B, N, M, 4] (x0, y0, x1, y1 in 0..1).
            box_labels: int32 [B, N, M]: 1 an example of what is meant, 0 of what is not, below 0 padding.
            text_features: float32 [B, N, T, D]; text_mask: int32 [B, N, T], 1 = token.

        Returns:
            prompt_features float32 [B, N, T + M + 1, D] and prompt_mask int32 [B, N, T + M + 1]. The last token is the encoder's own, which
            counts where there is a box.
        """
        there = (box_labels >= 0).to(torch.int32)
        valid = torch.cat((there, there.amax(dim=2, keepdim=True)), dim=2)
        dtype = features_plain.dtype
        photo = features_plain.flatten(2).transpose(1, 2)
        hidden = self._embedded(photo, box_prompts, box_labels)
        own = self.cls.weight.to(dtype).unsqueeze(0).unsqueeze(0).expand(hidden.shape[0], hidden.shape[1], -1, -1)
        hidden = self.prompt_norm(self.projection(torch.cat((hidden, own), dim=2)))
        # The encoder's own token may always be looked at, so that no row is empty.
        seen = torch.cat((there, torch.ones_like(there[:, :, :1])), dim=2)
        bias = padding_bias(seen, dtype).flatten(0, 1).unsqueeze(1).unsqueeze(1)
        keys = photo + self.positions.to(dtype)
        for layer in self.layers:
            hidden = layer(hidden, bias, keys, photo)
        tokens = self.output_norm(hidden).float()
        return torch.cat((text_features, tokens), dim=2), torch.cat((text_mask, valid), dim=2)

    def _embedded(self, photo: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """[B, g*g, C] and boxes [B, N, M, 4] to [B, N, M, D]: where each is, what is seen in it, and which kind of example it is."""
        centre, size = 0.5 * (boxes[..., :2] + boxes[..., 2:]), boxes[..., 2:] - boxes[..., :2]
        angles = (centre * self.position_scale).unsqueeze(-1) / self.dim_t
        waves = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
        # y before x, and height before width, as the original has them here.
        place = torch.cat((waves[..., 1, :], waves[..., 0, :], size[..., 1:], size[..., :1]), dim=-1)
        where = self.direct(torch.cat((centre, size), dim=-1)) + self.placed(place)
        # The corners as the original makes them from centre and size: the number of samples is decided by a rounding.
        low, high = centre - 0.5 * size, centre + 0.5 * size
        rows, columns = self.weights(low[..., 1], high[..., 1]), self.weights(low[..., 0], high[..., 0])
        normed = self.map_norm(photo).unflatten(1, (self.grid, self.grid)).flatten(2)
        strips = torch.matmul(rows.flatten(1, 3).to(photo.dtype), normed)  # [B, N*M*bins, g*C]
        strips = strips.unflatten(2, (self.grid, -1)).unflatten(1, (-1, self.boxes, self.weights.count))
        patches = torch.matmul(columns.unsqueeze(3).to(photo.dtype), strips)  # [B, N, M, bins, bins, C]
        meant = (labels == 1).unsqueeze(-1)
        kind = torch.where(meant, self.labels.weight[1], self.labels.weight[0])
        return where.to(photo.dtype) + self.pooled(patches.flatten(3)) + kind
