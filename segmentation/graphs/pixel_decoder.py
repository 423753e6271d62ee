"""Masks from the encoded image tokens and the selected queries."""

from typing import Any

import torch
from torch import Tensor, nn

from segmentation.graphs.attention import PromptAttention


def upsampling_kernel(convolution: nn.Conv2d) -> Tensor:
    """The transposed 4x4 kernel, stride 2, padding 1, that equals doubling the size (nearest) followed by this 3x3 convolution.

    Each output pixel of the pair sees only 2x2 different input pixels, so this takes 16 products where the pair takes 36.

    Returns:
        [C_in, C_out, 4, 4].
    """
    flipped = convolution.weight.detach().flip(2, 3).transpose(0, 1)
    kernel = torch.zeros(*flipped.shape[:2], 4, 4, dtype=torch.float64)
    for row in (0, 1):
        for column in (0, 1):
            kernel[:, :, row : row + 3, column : column + 3] += flipped
    return kernel.to(flipped.dtype)


class UpsampleAndSkip(nn.Module):
    """One step of the pixel decoder: double the size, convolve, add the skip connection's own convolution, normalise, ReLU."""

    kernel: Tensor

    def __init__(self, convolution: nn.Conv2d, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.register_buffer("kernel", upsampling_kernel(convolution), persistent=False)
        self.norm = norm

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """[B*N, C, h, w] and the photo's [B, C, 2h, 2w] (convolved, with bias) to [B*N, C, 2h, 2w]."""
        up = nn.functional.conv_transpose2d(maps, self.kernel, stride=2, padding=1)
        batch = skip.shape[0]
        joined = (up.unflatten(0, (batch, -1)) + skip.unsqueeze(1)).flatten(0, 1)
        return torch.relu(self._normalise(joined))

    def _normalise(self, maps: Tensor) -> Tensor:
        if maps.dtype == torch.float32:
            return self.norm(maps)
        # A group holds 2.6 million values at full size: FP16 can neither sum nor square them.
        groups = maps.float().unflatten(1, (self.norm.num_groups, -1)).flatten(2)
        mean = groups.mean(dim=2, keepdim=True)
        variance = (groups - mean).square().mean(dim=2, keepdim=True)
        scale = torch.rsqrt(variance + self.norm.eps).expand(-1, -1, maps.shape[1] // self.norm.num_groups).flatten(1)
        mean = mean.expand(-1, -1, maps.shape[1] // self.norm.num_groups).flatten(1)
        gain = scale * self.norm.weight.float()
        shift = self.norm.bias.float() - mean * gain
        gain, shift = gain.to(maps.dtype), shift.to(maps.dtype)
        return maps * gain.unsqueeze(-1).unsqueeze(-1) + shift.unsqueeze(-1).unsqueeze(-1)


class PixelDecoder(nn.Module):
    """Mask probabilities of the selected queries and of the region."""

    def __init__(self, decoder: Any, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.norm = decoder.prompt_cross_attn_norm
        self.prompt_attention = PromptAttention(decoder.prompt_cross_attn, decoder.config.num_attention_heads)
        pixel_decoder = decoder.pixel_decoder
        self.steps = nn.ModuleList([UpsampleAndSkip(pixel_decoder.conv_layers[i], pixel_decoder.norms[i]) for i in (0, 1)])
        self.embedder = decoder.mask_embedder
        self.instance = decoder.instance_projection
        self.semantic = decoder.semantic_projection

    def forward(self, tokens: Tensor, mid: Tensor, high: Tensor, queries: Tensor, prompt: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Masks of the queries and the region.

        Args:
            tokens: [M, g*g, C] from the DETR encoder, M = B * N.
            mid, high: the photo's skip maps, [B, C, 2g, 2g] and [B, C, 4g, 4g].
            queries: [M, K, C], already selected.
            prompt: features [M, T, C] and additive bias [M, T].

        Returns:
            [M, K, 4g, 4g] and [M, 4g, 4g] in 0.5..255.5: a cast to uint8 rounds them to probability x 255.
        """
        tokens = tokens + self.prompt_attention(self.norm(tokens), *prompt)
        maps = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        maps = self.steps[1](self.steps[0](maps, mid), high)
        # The 1x1 projection moves from all pixels to the few queries, and the region's weights become one more query.
        embedded = self.embedder(queries)
        weight = self.instance.weight.flatten(1)
        rows = torch.cat((torch.matmul(embedded, weight), self.semantic.weight.flatten(1).expand(embedded.shape[0], 1, -1)), dim=1)
        bias = torch.matmul(embedded, self.instance.bias.unsqueeze(-1))
        bias = torch.cat((bias, self.semantic.bias.view(1, 1, 1).expand(embedded.shape[0], 1, 1)), dim=1)
        logits = torch.matmul(rows, maps.flatten(2)) + bias
        values = (torch.sigmoid(logits) * 255.0 + 0.5).unflatten(-1, (4 * self.grid, 4 * self.grid))
        return values[:, :-1], values[:, -1]
