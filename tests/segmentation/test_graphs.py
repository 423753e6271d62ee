"""The rewritten graphs equal transformers' forward for other architectures than the demo's: tiny random models of odd sizes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from transformers import Sam3Config, Sam3LiteTextConfig, Sam3LiteTextModel

from respray.segmentation.errors import CheckpointError
from respray.segmentation.export.graphs import build_graphs
from respray.segmentation.export.graphs.build_graphs import prompt_length
from respray.segmentation.export.random_model import random_sam3
from respray.segmentation.export.transformers_reference import reference_outputs

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}


def parts(window: int, grid: int, scales: tuple[float, ...] = (4.0, 2.0, 1.0, 0.5), layers: int = 3) -> dict[str, Any]:
    """Configurations of everything but the text tower, each transformer of so many layers."""
    vit = {
        "num_hidden_layers": layers,
        "global_attn_indexes": [1],
        "window_size": window,
        "image_size": 14 * grid,
        "pretrain_image_size": 56,
    }
    backbone = {"model_type": "sam3_vit_model", **SMALL, "hidden_size": 48, **vit}
    return {
        "vision_config": {"backbone_config": backbone, "fpn_hidden_size": 32, "scale_factors": list(scales)},
        "geometry_encoder_config": {**SMALL, "num_layers": 2},
        "detr_encoder_config": {**SMALL, "num_layers": layers},
        "detr_decoder_config": {**SMALL, "num_layers": layers, "num_queries": 20},
        "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 4},
    }


def sam3(window: int, grid: int, **changes: Any) -> Any:
    text = {
        "model_type": "clip_text_model",
        **SMALL,
        "num_hidden_layers": 2,
        "vocab_size": 99,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
    }
    return stirred(
        random_sam3(config=Sam3Config(text_config={**text, "bos_token_id": 0, "eos_token_id": 1}, **{**parts(window, grid), **changes}))
    )


def lite(window: int, grid: int, layers: int = 3) -> Any:
    text = {**SMALL, "num_hidden_layers": layers, "vocab_size": 99, "projection_dim": 32, "max_position_embeddings": 77}
    torch.manual_seed(0)
    config = Sam3LiteTextConfig(text_config={"model_type": "sam3_lite_text_text_model", **text}, **parts(window, grid, layers=layers))
    return stirred(Sam3LiteTextModel._from_config(config, attn_implementation="eager").eval().requires_grad_(False))


def stirred(model: Any) -> Any:
    """Away from the initial weights, whose zeros and ones would hide mistakes."""
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


CASES = {
    "windows-tile-the-grid": lambda: sam3(4, 8),
    "windows-are-padded": lambda: sam3(5, 8),
    "one-window-is-the-grid": lambda: sam3(8, 8),
    "sam3-lite-text": lambda: lite(4, 8),
}


@pytest.mark.parametrize("cls_token", ["transformers", "meta"])
@pytest.mark.parametrize("case", CASES)
def test_graphs_equal_the_model(case: str, cls_token: Literal["transformers", "meta"]) -> None:
    model = CASES[case]()
    graphs = build_graphs(model, "fp32", "explicit", 12, cls_token)
    length = prompt_length(model)
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8))
    ids = torch.from_numpy(rng.integers(2, 99, (3, length), dtype=np.int32))
    mask = (torch.arange(length) < torch.tensor([[3], [9], [length]])).int()
    with torch.no_grad():
        text = graphs.text_encoder(ids, mask).expand(2, -1, -1, -1)
        features = graphs.image_encoder(image)
        masks, scores, boxes, presence, region = graphs.concept_decoder(*features, text, mask.expand(2, -1, -1))
    assert masks.dtype == region.dtype == torch.uint8 and masks.shape == (2, 3, 12, 32, 32)
    for photo in range(2):
        expected = reference_outputs(model, image[photo : photo + 1], ids, mask, cls_token)
        best, order = expected.scores.topk(12, dim=1)
        assert torch.allclose(scores[photo], best, atol=1e-5) and torch.allclose(presence[photo], expected.presence, atol=1e-5)
        assert (region[photo].float() - expected.region * 255).abs().max() <= 0.6
        # Exchanged queries of nearly equal scores would compare different boxes: look at the clear ones.
        clear = (best[:, :-1] - best[:, 1:]) > 1e-5
        clear = torch.nn.functional.pad(clear, (1, 0), value=True) & torch.nn.functional.pad(clear, (0, 1), value=True)
        assert clear.float().mean() > 0.5
        corners = expected.boxes.gather(1, order[..., None].expand(-1, -1, 4))
        pixels = expected.masks.gather(1, order[..., None, None].expand(-1, -1, 32, 32)) * 255
        assert (boxes[photo] - corners)[clear].abs().max() < 1e-4
        assert (masks[photo].float() - pixels)[clear].abs().max() <= 0.6


def test_what_half_precision_keeps_in_fp32_is_never_rounded() -> None:
    model = sam3(4, 8)
    whole, half = (build_graphs(model, precision, "explicit", 12, "transformers") for precision in ("fp32", "fp16"))
    kept: list[str] = []
    for mine, theirs in ((half.image_encoder, whole.image_encoder), (half.concept_decoder, whole.concept_decoder)):
        exact = dict((*theirs.named_parameters(), *theirs.named_buffers()))
        for name, value in (*mine.named_parameters(), *mine.named_buffers()):
            if value.dtype == torch.float32:
                assert torch.equal(value, exact[name]), name
                kept.append(name)
    for name in ("box_head.layer1.weight", "box_bias.coordinates", "box_bias.embed_x.layer1.weight", "first_boxes", "dim_t"):
        assert f"query_decoder.{name}" in kept
    assert sum(name.endswith(("rotation.cos", "rotation.sin")) for name in kept) == 4  # tables of windows and of the whole grid


def test_architectures_that_are_not_covered_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"scale factors are \[2\.0, 1\.0, 0\.5\]"):
        build_graphs(sam3(4, 8, vision_config=parts(4, 8, (2.0, 1.0, 0.5))["vision_config"]), "fp32", "explicit", 12, "transformers")
    uneven = sam3(4, 8)
    uneven.config.vision_config.backbone_config.image_size = 113
    with pytest.raises(CheckpointError, match="image_size is 113"):
        build_graphs(uneven, "fp32", "explicit", 12, "transformers")
