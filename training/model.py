"""The demo model: configuration, a forward pass that shares the photo between prompts, initial and stored weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, Sam3Config, Sam3Model
from transformers.masking_utils import create_bidirectional_mask, eager_mask

from training.arrays import Bytes
from training.vocabulary import build_tokenizer, save_tokenizer

IMAGE, PATCH, WIDTH, QUERIES = 480, 16, 96, 32
MASK = IMAGE // PATCH * 4
# Where the heads of the vision encoder look at first, one offset (x, y) in patches each, and how firmly (logit that falls off per patch).
NEIGHBOURS = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1))
FIRMNESS = 4.0
# Layers that see the whole photo look farther; content counts less than place at first.
GLOBAL_REACH, GLOBAL_SHARE, CONTENT = 3, 0.5, 0.3


def demo_config() -> Sam3Config:
    """Sam3Config of the demo model: about 5.5 M parameters, 480 x 480 input, 120 x 120 masks."""
    grid = IMAGE // PATCH
    return Sam3Config(
        vision_config={
            "model_type": "sam3_vision_model",
            "fpn_hidden_size": WIDTH,
            "backbone_feature_sizes": [[grid * 4] * 2, [grid * 2] * 2, [grid] * 2],
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 192,
                "intermediate_size": 576,
                "num_hidden_layers": 8,
                "num_attention_heads": len(NEIGHBOURS),
                "image_size": IMAGE,
                "pretrain_image_size": IMAGE,
                "patch_size": PATCH,
                "window_size": grid // 2,
                "global_attn_indexes": [2, 5],
            },
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": 1024,
            "hidden_size": 128,
            "intermediate_size": 256,
            "projection_dim": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 32,
            "hidden_act": "gelu",
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        geometry_encoder_config={
            "hidden_size": WIDTH,
            "num_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": WIDTH,
            "roi_size": 1,
            "dropout": 0.0,
        },
        detr_encoder_config={"hidden_size": WIDTH, "num_layers": 2, "num_attention_heads": 4, "intermediate_size": 384, "dropout": 0.0},
        detr_decoder_config={
            "hidden_size": WIDTH,
            "num_layers": 2,
            "num_queries": QUERIES,
            "num_attention_heads": 4,
            "intermediate_size": 384,
            "dropout": 0.0,
        },
        mask_decoder_config={"hidden_size": WIDTH, "num_upsampling_stages": 2, "num_attention_heads": 4},
    )


def matmul_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention as two plain matrix products. torch's fused CPU kernel takes a third of a training step in its backward
    pass and does not use AMX; these products do, and the softmax stays in the autocast type instead of float32."""
    with torch.autocast(query.device.type, enabled=False):
        scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(-1, -2))
        if attention_mask is not None:
            scores = scores + attention_mask.to(scores.dtype)
        out = torch.matmul(scores.softmax(-1), value.to(scores.dtype))
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register("matmul", matmul_attention)
AttentionMaskInterface.register("matmul", eager_mask)


def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``apply_rotary_pos_emb_2d`` in the type of q and k: (a, b) -> (a cos - b sin, b cos + a sin) per pair of channels.

    The library's version works in float32 and through five temporaries, a quarter of the vision encoder's time here.
    """
    pairs = sin.view(*sin.shape[:-1], -1, 2)
    cos, signed = cos.to(q.dtype), torch.stack((-pairs[..., 0], pairs[..., 1]), -1).flatten(-2).to(q.dtype)

    def turn(x: torch.Tensor) -> torch.Tensor:
        return x * cos + x.view(*x.shape[:-1], -1, 2).flip(-1).flatten(-2) * signed

    return turn(q), turn(k)


def normalise(photos: Bytes | torch.Tensor) -> torch.Tensor:
    """uint8 (B,S,S,3) to float (B,3,S,S) in [-1, 1], as facebook/sam3's processor does; where the photos are."""
    return torch.as_tensor(photos).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1.0


def forward(model: Sam3Model, pixels: torch.Tensor, ids: torch.Tensor, attention: torch.Tensor, index: torch.Tensor) -> dict[str, Any]:
    """Sam3Model.forward with one vision pass per photo for all its prompts, and masks left as embeddings.

    Line by line what ``Sam3Model.forward`` does; tests compare the two.
    """
    vision = model.vision_encoder(pixels.to(next(model.vision_encoder.parameters()).dtype))
    levels = [f[index] for f in vision.fpn_hidden_states[:-1]]
    pos = vision.fpn_position_encoding[-2].expand(len(pixels), -1, -1, -1)[index]
    text = model.get_text_features(input_ids=ids, attention_mask=attention, return_dict=True).pooler_output
    mask = attention.bool()
    enc = model.detr_encoder(vision_features=[levels[-1]], text_features=text, vision_pos_embeds=[pos], text_mask=mask)
    dec = model.detr_decoder(
        vision_features=enc.last_hidden_state,
        text_features=enc.text_features,
        vision_pos_encoding=enc.pos_embeds_flattened,
        text_mask=mask,
        spatial_shapes=enc.spatial_shapes,
    )
    hidden = dec.intermediate_hidden_states
    ref = dec.reference_boxes.clamp(1e-3, 1 - 1e-3)
    boxes = (torch.logit(ref.float()) + model.detr_decoder.box_head(hidden).float()).sigmoid()
    logits = model.dot_product_scoring(decoder_hidden_states=hidden, text_features=enc.text_features, text_mask=mask).squeeze(-1)
    md = model.mask_decoder
    normed = md.prompt_cross_attn_norm(enc.last_hidden_state)
    cross = create_bidirectional_mask(config=md.config, inputs_embeds=normed, encoder_hidden_states=text, attention_mask=mask)
    attended, _ = md.prompt_cross_attn(query=normed, key=text, value=text, attention_mask=cross)
    encoded = enc.last_hidden_state + attended
    pixel = md._embed_pixels(backbone_features=levels, encoder_hidden_states=encoded)
    # The 1x1 projections of the two mask heads are linear in the pixel features, so they are applied to the query
    # embeddings instead: one small matrix product makes the region and every matched mask (see ``masks_of``).
    weight = md.instance_projection.weight[:, :, 0, 0]
    embeds = md.mask_embedder(hidden[-1])
    return {
        "vision": vision,
        "levels": vision.fpn_hidden_states[:-1],
        "encoded": encoded,
        "pixel": pixel,
        "query": embeds @ weight,
        "bias": embeds @ md.instance_projection.bias,
        "region_query": md.semantic_projection.weight.reshape(1, 1, -1),
        "region_bias": md.semantic_projection.bias,
        "boxes": boxes,
        "logits": logits.float(),
        "presence": dec.presence_logits[..., 0].float(),
    }


def masks_of(out: dict[str, Any], chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Region logits (N,M,M) and mask logits (N,K,M,M) of the chosen queries (N,K)."""
    n, c, h, w = out["pixel"].shape
    query = torch.gather(out["query"], 1, chosen[..., None].expand(-1, -1, c))
    both = torch.cat([out["region_query"].expand(n, -1, -1).to(query.dtype), query], 1)
    product = torch.bmm(both, out["pixel"].flatten(2).to(query.dtype)).view(n, -1, h, w).float()
    bias = torch.gather(out["bias"], 1, chosen).float()
    return product[:, 0] + out["region_bias"].float(), product[:, 1:] + bias[..., None, None]


def initialise(model: torch.nn.Module) -> None:
    """Glorot's scale for every matrix: the library's fixed 0.02 leaves layers this narrow almost silent."""
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            torch.nn.init.xavier_normal_(module.weight)
        elif isinstance(module, torch.nn.ConvTranspose2d):  # of stride 2 and size 2: every output has in_channels inputs
            torch.nn.init.normal_(module.weight, std=module.in_channels**-0.5)


def init_local_attention(backbone: Any) -> None:
    """Let every head of a fresh vision encoder attend to one neighbour of each patch, as a convolution does.

    After d'Ascoli et al., "ConViT" (2021): a transformer that starts as a convolution learns from far fewer photos. The place is
    written into the biases of queries and keys: their product turns with the distance, by the rotary position encoding.
    """
    config = backbone.config
    size = config.hidden_size // config.num_attention_heads
    pairs = size // 4  # per axis; a pair of channels turns with one frequency, and the two fastest tell places apart
    frequency = 10_000.0 ** (-torch.arange(pairs) / pairs)
    falls = float((1 - frequency[:2].cos()).sum())
    with torch.no_grad():
        for number, layer in enumerate(backbone.layers):
            whole = number in config.global_attn_indexes
            # The library squeezes the positions of layers that see the whole photo into a window's range.
            squeeze = config.window_size / (config.image_size // config.patch_size)
            reach = GLOBAL_REACH * squeeze if whole else 1.0
            amplitude = ((GLOBAL_SHARE if whole else 1.0) * FIRMNESS / falls * size**0.5) ** 0.5
            query, key = layer.attention.q_proj, layer.attention.k_proj
            query.weight *= CONTENT
            key.weight *= CONTENT
            for head, offset in enumerate(NEIGHBOURS):
                for axis, distance in enumerate(offset):
                    for pair in range(2):
                        at = head * size + 2 * (axis * pairs + pair)
                        angle = torch.tensor(-float(frequency[pair]) * distance * reach)
                        query.bias[at : at + 2] = amplitude * torch.tensor([1.0, 0.0])
                        key.bias[at : at + 2] = amplitude * torch.stack([angle.cos(), angle.sin()])


def take_over(module: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load the weights that have the same name and shape; the others stay as they are. Learnt positions are stretched to the module's
    grid: a model that learnt from small photos sees large ones at once, and finer (measured: wall 0.88 at 320 pixels, 0.92 at 480)."""
    own = module.state_dict()
    fitting = {}
    for name, weight in weights.items():
        if name not in own:
            continue
        positions = name.endswith("position_embeddings") and own[name].shape != weight.shape
        same = _stretched(weight, own[name].shape[1]) if positions else weight
        if own[name].shape == same.shape:
            fitting[name] = same
    module.load_state_dict(fitting, strict=False)


def _stretched(table: torch.Tensor, tokens: int) -> torch.Tensor:
    """A square grid's table (1,n,D) for a square grid of ``tokens``."""
    before, after = round(table.shape[1] ** 0.5), round(tokens**0.5)
    grid = table.float().unflatten(1, (before, before)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (after, after), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).flatten(1, 2)


def load_vision_encoder(model: Any, weights: dict[str, torch.Tensor], pixels: torch.Tensor, trained: bool) -> None:
    """Put a trained backbone into a model. The neck's first layers are scaled to the size of its features on ``pixels``: to 1 for a
    fresh neck, to that of the backbone before for a ``trained`` one."""
    backbone = model.vision_encoder.backbone

    def size() -> torch.Tensor:
        deviation: torch.Tensor = backbone(pixels).last_hidden_state.std()
        return deviation

    with torch.no_grad():
        before = size() if trained else 1.0
        backbone.load_state_dict({n.removeprefix("backbone."): w for n, w in weights.items() if n.startswith("backbone.")}, strict=False)
        scale = before / size()
        for level in model.vision_encoder.neck.fpn_layers:
            first = level.scale_layers[0] if len(level.scale_layers) > 1 or level.scale_factor == 2.0 else level.proj1
            first.weight *= scale


def save_checkpoint(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a transformers checkpoint with float16 weights, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Sam3Model._from_config(demo_config(), attn_implementation="eager")
    model.load_state_dict(weights)
    model.half().save_pretrained(folder)
    # Stored in half precision, meant to run in full: without this transformers would load it as float16.
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(build_tokenizer(), folder)
