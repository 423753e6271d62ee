"""What transformers' own model answers: the yardstick of the graphs. Needs torch and transformers."""

import functools
import importlib
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from respray.segmentation.export.graphs.image_encoder import PromptFree
from respray.segmentation.spec import NO_BOX, ClsToken

Boxes = Sequence[tuple[tuple[float, float, float, float], bool]]
"""Corners (x0, y0, x1, y1) in 0..1, and whether what is in them is meant."""


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
def reference_outputs(
    model: Any, image: Tensor, input_ids: Tensor, attention_mask: Tensor, cls_token: ClsToken, boxes: Sequence[Boxes] = ()
) -> Reference:
    """Run transformers' model on one photo.

    Args:
        model: a `Sam3Model` or `Sam3LiteTextModel`.
        image: uint8 [1, S, S, 3].
        input_ids, attention_mask: integers [N, T].
        cls_token: "meta" lets the geometry encoder add its CLS token by passing one box that is marked as padding.
        boxes: examples of each concept; empty: none of them has any.
    """
    vision = model.get_vision_features(normalise(image))
    finish = PromptFree(model, "explicit", first_layer=cls_token == "transformers").to(image.device)
    for name in ("sam3", "sam3_lite_text"):
        module: Any = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        if not hasattr(module, "torchvision"):
            module.torchvision = types.SimpleNamespace(ops=types.SimpleNamespace(roi_align=_roi_align))
    raw = [
        model(
            vision_embeds=vision, input_ids=ids[None].long(), attention_mask=mask[None].long(), **_geometry(shown, cls_token, image.device)
        )
        for ids, mask, shown in zip(input_ids, attention_mask, boxes or [()] * len(input_ids), strict=True)
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


def _geometry(boxes: Boxes, cls_token: ClsToken, device: torch.device) -> dict[str, Tensor]:
    """The inputs of `Sam3Model` that say one concept's boxes, as its processor makes them."""
    if not boxes:
        if cls_token == "transformers":
            return {}
        return {"input_boxes": torch.zeros(1, 1, 4, device=device), "input_boxes_labels": torch.full((1, 1), NO_BOX, device=device)}
    corners = torch.tensor([[box for box, _ in boxes]], device=device)
    centred = torch.cat((0.5 * (corners[..., :2] + corners[..., 2:]), corners[..., 2:] - corners[..., :2]), dim=-1)
    return {"input_boxes": centred, "input_boxes_labels": torch.tensor([[int(meant) for _, meant in boxes]], device=device)}


def _roi_align(features: Tensor, boxes: Sequence[Tensor], size: int) -> Tensor:
    """`torchvision.ops.roi_align`, which transformers wants and few have installed: ONNX Runtime's operator of the same origin."""
    values, corners = features.cpu().numpy(), torch.cat(list(boxes)).cpu().numpy()
    photos = np.repeat(np.arange(len(boxes)), [len(one) for one in boxes])
    pooled = _roi_session(size).run(None, {"features": values, "boxes": corners, "photos": photos})[0]
    return torch.from_numpy(pooled).to(features.device)


@functools.lru_cache
def _roi_session(size: int) -> onnxruntime.InferenceSession:
    attributes: dict[str, Any] = {
        "output_height": size,
        "output_width": size,
        "sampling_ratio": 0,
        "coordinate_transformation_mode": "output_half_pixel",
    }
    node = onnx.helper.make_node("RoiAlign", ["features", "boxes", "photos"], ["pooled"], mode="avg", **attributes)
    kinds = {"features": (onnx.TensorProto.FLOAT, 4), "boxes": (onnx.TensorProto.FLOAT, 2), "photos": (onnx.TensorProto.INT64, 1)}
    inputs = [onnx.helper.make_tensor_value_info(name, kind, [None] * axes) for name, (kind, axes) in kinds.items()]
    output = onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, [None] * 4)
    graph = onnx.helper.make_graph([node], "roi_align", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString())
