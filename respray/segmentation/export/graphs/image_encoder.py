"""The image encoder: everything that depends on the photo alone, so that it is computed once per photo.

Besides the ViT and its neck that is the prompt-free first half of the first DETR encoder layer, and the pixel decoder's two
convolutions of the skip connections (a convolution is linear: conv(up(x) + skip) = conv(up(x)) + conv(skip)).
"""

from typing import Any

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import AttentionKernel, SelfAttentionWithPositions, attend, merged_linear, sine_positions


def _deinterleave(layer: nn.Linear, heads: int) -> nn.Linear:
    """Reorder each head's outputs from pairs (0,1)(2,3).. to halves (0,2,..)(1,3,..).

    SAM3 rotates neighbouring channels; on halves the rotation needs no interleaving. Scores are dot products, so they do not
    change as long as query and key are reordered alike.
    """
    width = layer.out_features
    order = torch.arange(width).view(heads, -1, 2).transpose(1, 2).reshape(-1)
    reordered = nn.Linear(layer.in_features, width)
    reordered.weight = nn.Parameter(layer.weight[order].detach(), requires_grad=False)
    reordered.bias = nn.Parameter(layer.bias[order].detach(), requires_grad=False)
    return reordered


class Rotation(nn.Module):
    """Axial rotary embedding with baked tables, for channels ordered in halves."""

    cos: Tensor
    sin: Tensor
    start: Tensor

    def __init__(self, layer: Any, heads: int, order: Tensor | None, kernel: AttentionKernel) -> None:
        super().__init__()
        self.kernel = kernel
        # transformers repeats each angle for the two channels of a pair: keep one of them.
        cos, sin = (table[0, :, ::2] for table in layer.rotary_emb(torch.zeros(1), layer.position_ids))
        if order is not None:
            cos, sin = cos[order], sin[order]
        self.heads = heads
        self.register_buffer("cos", cos.contiguous(), persistent=False)
        self.register_buffer("sin", sin.contiguous(), persistent=False)
        self.register_buffer("start", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Rotate [M, L, heads * d]; in float32 like the original, result in the input's dtype."""
        if self.kernel == "ort":
            tables = (self.cos.to(tokens.dtype), self.sin.to(tokens.dtype))
            attrs: dict[str, Any] = {"num_heads": self.heads, "interleaved": 0, "rotary_embedding_dim": 0}
            inputs = (tokens, self.start, *tables)
            return torch.onnx.ops.symbolic(
                "com.microsoft::RotaryEmbedding", inputs, attrs, dtype=tokens.dtype, shape=tokens.shape, version=1
            )
        cos, sin = self.cos.unsqueeze(1), self.sin.unsqueeze(1)
        first, second = tokens.unflatten(-1, (self.heads, -1)).float().chunk(2, dim=-1)
        rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
        return rotated.flatten(-2).to(tokens.dtype)


class ViTLayer(nn.Module):
    """One transformer layer; `windows` > 1 splits each photo's tokens into that many windows, which must lie one after another."""

    def __init__(self, layer: Any, heads: int, windows: int, rotation: Rotation, kernel: AttentionKernel) -> None:
        super().__init__()
        attention = layer.attention
        self.heads, self.windows, self.kernel = heads, windows, kernel
        self.norm1, self.norm2, self.mlp = layer.layer_norm1, layer.layer_norm2, layer.mlp
        self.query_key = merged_linear([_deinterleave(attention.q_proj, heads), _deinterleave(attention.k_proj, heads)])
        self.value, self.output, self.rotation = attention.v_proj, attention.o_proj, rotation

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        normed = self.norm1(tokens)
        if self.windows > 1:
            normed = normed.unflatten(1, (self.windows, -1)).flatten(0, 1)
        query, key = self.query_key(normed).chunk(2, dim=-1)
        mixed = self.output(attend(self.rotation(query), self.rotation(key), self.value(normed), self.heads, kernel=self.kernel))
        if self.windows > 1:
            mixed = mixed.unflatten(0, (-1, self.windows)).flatten(1, 2)
        tokens = tokens + mixed
        return tokens + self.mlp(self.norm2(tokens))


class PaddedWindows(nn.Module):
    """A windowed layer for grids that windows do not tile: transformers pads with zeros, which take part in the attention."""

    def __init__(self, layer: ViTLayer, grid: int, window: int) -> None:
        super().__init__()
        self.layer, self.grid, self.window = layer, grid, window
        self.across = -(-grid // window)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] in row order to [B, L, D]."""
        layer, window, across = self.layer, self.window, self.across
        normed = layer.norm1(tokens).unflatten(1, (self.grid, self.grid))
        margin = across * window - self.grid
        normed = nn.functional.pad(normed, (0, 0, 0, margin, 0, margin))
        normed = normed.unflatten(1, (across, window)).unflatten(3, (across, window)).transpose(2, 3)
        normed = normed.flatten(3, 4).flatten(0, 2)
        query, key = layer.query_key(normed).chunk(2, dim=-1)
        mixed = layer.output(attend(layer.rotation(query), layer.rotation(key), layer.value(normed), layer.heads, kernel=layer.kernel))
        mixed = mixed.unflatten(1, (window, window)).unflatten(0, (-1, across, across)).transpose(2, 3)
        mixed = mixed.flatten(3, 4).flatten(1, 2)[:, : self.grid, : self.grid].flatten(1, 2)
        tokens = tokens + mixed
        return tokens + layer.mlp(layer.norm2(tokens))


def window_order(grid: int, window: int) -> Tensor:
    """Row-major positions of a grid's tokens in the order of its windows: [grid * grid] int64."""
    across = grid // window
    index = torch.arange(grid * grid).view(across, window, across, window)
    return index.transpose(1, 2).reshape(-1)


class PromptFree(nn.Module):
    """From the neck's maps on, what the detector computes without looking at the prompt."""

    positions: Tensor

    def __init__(self, model: Any, kernel: AttentionKernel, first_layer: bool) -> None:
        super().__init__()
        encoder = model.detr_encoder
        backbone = model.vision_encoder.backbone.config
        self.skips = nn.ModuleList([model.mask_decoder.pixel_decoder.conv_layers[index] for index in (1, 0)])
        self.first_layer = None
        if first_layer:
            self.first_layer = SelfAttentionWithPositions(encoder.layers[0], encoder.config.num_attention_heads, kernel)
        grid = backbone.image_size // backbone.patch_size
        positions = sine_positions(model.vision_encoder.neck.position_encoding, encoder.config.hidden_size, grid)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, high: Tensor, mid: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The neck's [B, C, 4g, 4g], [B, C, 2g, 2g] and [B, C, g, g] to maps of the same shapes."""
        if self.first_layer is not None:
            tokens = self.first_layer(low.flatten(2).transpose(1, 2), self.positions.to(low.dtype))
            low = tokens.transpose(1, 2).unflatten(2, low.shape[2:])
        return self.skips[0](high), self.skips[1](mid), low


class ImageEncoder(nn.Module):
    """Photo squares to the three feature maps that the concept decoder takes."""

    embed_positions: Tensor
    order: Tensor
    inverse: Tensor

    def __init__(self, model: Any, kernel: AttentionKernel, prompt_free_layer: bool, plain: bool = False) -> None:
        super().__init__()
        backbone, neck = model.vision_encoder.backbone, model.vision_encoder.neck
        config = backbone.config
        heads, window = config.num_attention_heads, config.window_size
        self.grid = grid = config.image_size // config.patch_size
        self.tiled = grid % window == 0 and grid > window
        order = window_order(grid, window) if self.tiled else torch.arange(grid * grid)
        self.register_buffer("order", order.to(torch.int32), persistent=False)
        self.register_buffer("inverse", torch.argsort(order).to(torch.int32), persistent=False)
        embeddings = backbone.embeddings
        self.patches = embeddings.patch_embeddings.projection
        tiled = embeddings._tile_position_embeddings(embeddings.position_embeddings, grid, grid).detach()
        self.register_buffer("embed_positions", tiled.contiguous(), persistent=False)
        self.norm = backbone.layer_norm
        rotations: dict[int, Rotation] = {}
        layers: list[nn.Module] = []
        for layer in backbone.layers:
            size = layer.window_size
            if size not in rotations:
                rotations[size] = Rotation(layer, heads, order if size == 0 and self.tiled else None, kernel)
            windows = (grid // window) ** 2 if size and self.tiled else 1
            mine = ViTLayer(layer, heads, windows, rotations[size], kernel)
            layers.append(PaddedWindows(mine, grid, window) if size and not self.tiled else mine)
        self.layers = nn.ModuleList(layers)
        self.channels: int = neck.config.fpn_hidden_size
        # The last level (half the grid) is not used by the detector.
        self.neck = nn.ModuleList(list(neck.fpn_layers)[:3])
        self.prompt_free = PromptFree(model, kernel, prompt_free_layer)
        self.plain = plain

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 [B, S, S, 3] sRGB to `features_high` [B,C,4g,4g], `features_mid` [B,C,2g,2g], `features_low` [B,C,g,g].

        With `plain`, also the lowest map before the prompt-free layer, `features_plain` [B,C,g,g], which boxes are looked up in.
        """
        # TensorRT takes uint8 only at a graph's edge, so the cast comes before anything else.
        pixels = image.to(self.patches.weight.dtype).permute(0, 3, 1, 2) * (1.0 / 127.5) - 1.0
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.embed_positions
        if self.tiled:
            tokens = tokens.index_select(1, self.order)
        tokens = self.norm(tokens)
        for layer in self.layers:
            tokens = layer(tokens)
        if self.tiled:
            tokens = tokens.index_select(1, self.inverse)
        maps = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        high, mid, low = (level(maps) for level in self.neck)
        features = self.prompt_free(high, mid, low)
        return (*features, low) if self.plain else features
