"""What transformers' own model answers: the yardstick of the graphs. Needs torch and transformers."""

import importlib
import types
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from respray.segmentation.export.graphs.build_graphs import ClsToken
from respray.segmentation.export.graphs.image_encoder import PromptFree


@dataclass(frozen=True)
class Reference:
    """`Sam3Model.forward` of one photo and N concepts, post-processed as transformers does, but for all Q queries.

    Attributes:
        scores: [N, Q] sigmoid(logit) x sigmoid(presence). boxes: [N, Q, 4]. presence: [N]. masks: [N, Q, h, w] and
        region: [N, h, w] probabilities.
        features: the graphs' three maps, made from transformers' own vision features.
        raw: the model's own outputs, one per concept, for transformers' post-processing.
    """

    scores: Tensor
    boxes: Tensor
    presence: Tensor
    masks: Tensor
    region: Tensor
    features: tuple[Tensor, Tensor, Tensor]
    raw: list[object]


def normalise(image: Tensor) -> Tensor:
    """uint8 [B, S, S, 3] to the `pixel_values` of SAM3's processor, float32 [B, 3, S, S] in -1..1."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1.0


@torch.no_grad()
def reference_outputs(model: Any, image: Tensor, input_ids: Tensor, attention_mask: Tensor, cls_token: ClsToken) -> Reference:
    """Run transformers' model on one photo.

    Args:
        model: a `Sam3Model` or `Sam3LiteTextModel`.
        image: uint8 [1, S, S, 3].
        input_ids, attention_mask: integers [N, T].
        cls_token: "meta" lets the geometry encoder add its CLS token by passing one box that is marked as padding.
    """
    vision = model.get_vision_features(normalise(image))
    finish = PromptFree(model, "explicit", first_layer=cls_token == "transformers").to(image.device)
    extra: dict[str, Tensor] = {}
    if cls_token == "meta":
        labels = torch.full((1, 1), -10, device=image.device)
        extra = {"input_boxes": torch.zeros(1, 1, 4, device=image.device), "input_boxes_labels": labels}
        for name in ("sam3", "sam3_lite_text"):
            module: Any = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
            if not hasattr(module, "torchvision"):
                # The padding box's pooled features are masked out, so without torchvision any value will do.
                module.torchvision = types.SimpleNamespace(ops=types.SimpleNamespace(roi_align=_zeros))
    raw = [
        model(vision_embeds=vision, input_ids=ids[None].long(), attention_mask=mask[None].long(), **extra)
        for ids, mask in zip(input_ids, attention_mask, strict=True)
    ]
    presence = torch.cat([out.presence_logits for out in raw]).sigmoid()
    return Reference(
        scores=torch.cat([out.pred_logits for out in raw]).sigmoid() * presence,
        boxes=torch.cat([out.pred_boxes for out in raw]),
        presence=presence.squeeze(-1),
        masks=torch.cat([out.pred_masks for out in raw]).sigmoid(),
        region=torch.cat([out.semantic_seg for out in raw]).sigmoid().squeeze(1),
        features=finish(*vision.fpn_hidden_states[:3]),
        raw=raw,
    )


def _zeros(features: Tensor, _boxes: object, size: int) -> Tensor:
    return torch.zeros(features.shape[0], features.shape[1], size, size)
