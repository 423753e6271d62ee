"""Attention in the two forms that the graphs may take, and the small operators the encoder and the decoder share.

`explicit` writes attention as MatMul, Softmax, MatMul. TensorRT recognises and fuses that by itself and keeps FP16 accuracy.
`ort` writes ONNX Runtime's own `com.microsoft` operators, which never store the [heads, L, L] matrix of weights: at full size
that matrix is 860 MB per layer and concept in FP32. Only ONNX Runtime can run that form.
`torch` is PyTorch's own fused operator, for the modules as they are (`benchmarks/gpu_server`); it is not exported.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

AttentionKernel = Literal["explicit", "ort", "torch"]

# Added to the scores of padding tokens. exp(-1e4) is exactly 0 in FP32, and unlike the dtype's minimum it survives FP16.
PADDING_BIAS = -1.0e4


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, *, kernel: AttentionKernel = "explicit", bias: Tensor | None = None
) -> Tensor:
    """Multi-head attention over [M, L, D] tensors.

    Args:
        query: [M, Lq, D], not scaled.
        key, value: [M, Lk, D].
        heads: D is split into this many.
        kernel: see the module; `ort` takes no `bias`: then it is `explicit`.
        bias: added to the scores before the softmax, broadcastable to [M, heads, Lq, Lk].

    Returns:
        [M, Lq, D].
    """
    head_dim = query.shape[-1] // heads
    scale = head_dim**-0.5
    if kernel == "ort" and bias is None:
        attrs: dict[str, Any] = {"num_heads": heads, "scale": scale}
        return torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention", (query, key, value), attrs, dtype=query.dtype, shape=query.shape, version=1
        )
    if kernel == "torch":
        q, k, v = (tokens.unflatten(-1, (heads, head_dim)).transpose(1, 2) for tokens in (query, key, value))
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
    # Scaling the query costs L x D products; transformers scales the scores, which is L x L of them.
    split_query = (query * scale).unflatten(-1, (heads, head_dim)).transpose(1, 2)
    split_key = key.unflatten(-1, (heads, head_dim)).permute(0, 2, 3, 1)
    split_value = value.unflatten(-1, (heads, head_dim)).transpose(1, 2)
    scores = torch.matmul(split_query, split_key)
    if bias is not None:
        scores = scores + bias
    return torch.matmul(torch.softmax(scores, dim=-1), split_value).transpose(1, 2).flatten(2)


def merged_linear(layers: list[nn.Linear]) -> nn.Linear:
    """One linear layer that computes all of `layers` on the same input, their outputs side by side."""
    merged = nn.Linear(layers[0].in_features, sum(layer.out_features for layer in layers))
    merged.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]).detach(), requires_grad=False)
    merged.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]).detach(), requires_grad=False)
    return merged


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `mask` (integers or floats, 1 = token, 0 = padding) holds a token and `PADDING_BIAS` elsewhere; same shape."""
    return (1.0 - mask.to(dtype)) * PADDING_BIAS


class PromptAttention(nn.Module):
    """Cross-attention from many image tokens to few prompt tokens, with the projections absorbed into the prompt.

    (x Wq + bq) (t Wk + bk)^T = x (Wq K^T) + bq K^T, and softmax(.) (t Wv + bv) Wo = softmax(.) (V Wo). With `heads` x T prompt
    tokens about as wide as x, the absorbed form needs half the products and no splitting of the image tokens into heads. The
    absorbed matrices are per concept and small: [D, heads * T].
    """

    def __init__(self, attention: Any, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (getattr(attention, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj"))

    def forward(self, tokens: Tensor, prompt: Tensor, token_bias: Tensor) -> Tensor:
        """[M, L, D] tokens, [M, T, D] prompt and [M, T] additive bias to [M, L, D]."""
        width, heads = prompt.shape[-1], self.heads
        length, head_dim = prompt.shape[1], self.q_proj.out_features // heads
        key = (self.k_proj(prompt) * head_dim**-0.5).unflatten(-1, (heads, head_dim)).transpose(1, 2)
        value = self.v_proj(prompt).unflatten(-1, (heads, head_dim)).transpose(1, 2)
        absorbed_key = torch.matmul(key, self.q_proj.weight.view(heads, head_dim, width)).flatten(1, 2)
        offset = torch.matmul(key, self.q_proj.bias.view(heads, head_dim, 1)).squeeze(-1) + token_bias.unsqueeze(1)
        output = self.o_proj.weight.t().reshape(heads, head_dim, width)
        absorbed_value = torch.matmul(value, output).flatten(1, 2)
        scores = torch.matmul(tokens, absorbed_key.transpose(1, 2)) + offset.flatten(1).unsqueeze(1)
        weights = torch.softmax(scores.unflatten(-1, (heads, length)), dim=-1).flatten(2)
        return torch.matmul(weights, absorbed_value) + self.o_proj.bias


class SelfAttentionWithPositions(nn.Module):
    """A DETR encoder layer's first half: pre-norm self-attention of image tokens with positions added to query and key.

    In the first layer nothing of it depends on the prompt, so the image encoder runs it once per photo.
    """

    def __init__(self, layer: Any, heads: int, kernel: AttentionKernel) -> None:
        super().__init__()
        attention = layer.self_attn
        self.heads, self.kernel = heads, kernel
        self.norm = layer.layer_norm1
        self.query_key = merged_linear([attention.q_proj, attention.k_proj])
        self.value = attention.v_proj
        self.output = attention.o_proj

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """[M, L, D] tokens and [1, L, D] positions to [M, L, D]."""
        normed = self.norm(tokens)
        query, key = self.query_key(normed + positions).chunk(2, dim=-1)
        return tokens + self.output(attend(query, key, self.value(normed), self.heads, kernel=self.kernel))


def sine_positions(embedding: Any, channels: int, side: int) -> Tensor:
    """The position encoding of a `side` x `side` map as a constant [1, side * side, channels], float32."""
    with torch.no_grad():
        map_ = embedding(torch.Size((1, channels, side, side)), torch.device("cpu"), torch.float32)
    return map_.flatten(2).transpose(1, 2).contiguous()
