"""Masks from the encoded image tokens and the selected queries."""

from typing import Any

import torch
from torch import Tensor, nn

from respray.segmentation.export.graphs.attention import PromptAttention


def phase_kernels(convolution: nn.Conv2d) -> Tensor:
    """The four 2x2 kernels that equal doubling the size (nearest) followed by this 3x3 convolution.

    Output pixels of even and odd rows and columns each see only 2x2 different input pixels, so this takes 16 products where the
    pair takes 36. A transposed convolution would do the same in one operator, but ONNX Runtime computes it through a buffer of
    sixteen times the input, a third slower.

    Returns:
        [row parity, column parity, C_out, C_in, 2, 2].
    """
    weight = convolution.weight.detach().double()
    rows = _merge_taps(weight, 2)
    return torch.stack([torch.stack(_merge_taps(row, 3)) for row in rows]).to(convolution.weight.dtype)


def _merge_taps(weight: Tensor, dim: int) -> list[Tensor]:
    """The two taps of even and of odd outputs: of taps (-1, 0, 1), even ones see inputs (-1, 0), odd ones (0, 1)."""
    before, middle, after = weight.unbind(dim)
    return [torch.stack((before, middle + after), dim), torch.stack((before + middle, after), dim)]


class UpsampleAndSkip(nn.Module):
    """One step of the pixel decoder: double the size, convolve, add the skip connection's own convolution, normalise, ReLU."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.GroupNorm) -> None:
        super().__init__()
        # One buffer each: TensorRT wants a convolution's weights as an initialiser, not as a part of one.
        kernels = phase_kernels(convolution).flatten(0, 1)
        self.kernels = nn.ParameterList(nn.Parameter(kernel.clone(), requires_grad=False) for kernel in kernels)
        self.norm = norm

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """[B*N, C, h, w] and the photo's [B, C, 2h, 2w] (convolved, with bias) to [B*N, C, 2h, 2w]."""
        rows = [torch.stack([self._phase(maps, row, column) for column in (0, 1)], dim=-1).flatten(3) for row in (0, 1)]
        up = torch.stack(rows, dim=3).flatten(2, 3)
        joined = (up.unflatten(0, (skip.shape[0], -1)) + skip.unsqueeze(1)).flatten(0, 1)
        return torch.relu(self._normalise(joined))

    def _phase(self, maps: Tensor, row: int, column: int) -> Tensor:
        """The outputs of one row and one column parity, [B*N, C, h, w]."""
        padded = nn.functional.pad(maps, (1 - column, column, 1 - row, row))
        return nn.functional.conv2d(padded, self.kernels[2 * row + column])

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
