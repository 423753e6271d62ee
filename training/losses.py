"""What the demo model is trained towards: regions, presence and instances, and two training aids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from transformers import Sam3Model

from training.model import MASK, WIDTH, masks_of
from training.scenes.scene_spec import CONCEPTS

COARSE = MASK // 4
INSTANCE_LOSSES = ("score", "box", "mask_bce", "mask_dice")


class DenseHeads(torch.nn.Module):
    """Training aid, not part of the checkpoint: plain concept classification on the vision encoder's feature maps.

    One vision pass teaches all concepts at once this way, at a small part of the cost of a prompt each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads = torch.nn.ModuleList(torch.nn.Conv2d(WIDTH, len(CONCEPTS), 1) for _ in range(3))
        self.asked = torch.nn.Linear(WIDTH, 1)
        self.word = torch.nn.Linear(WIDTH, len(CONCEPTS))
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def align(
        self, model: Sam3Model, vision: Any, texts: torch.Tensor, attention: torch.Tensor, kinds: torch.Tensor, dense: torch.Tensor
    ) -> torch.Tensor:
        """Words and surfaces that belong together: concept classification of the words, and of every coarse cell by its
        match with one phrase per concept, in the very projections that the first text attention compares them with."""
        text = model.get_text_features(input_ids=texts, attention_mask=attention, return_dict=True).pooler_output
        inner = attention.clone()
        inner[:, 0] = 0
        inner.scatter_(1, attention.sum(1, keepdim=True) - 1, 0)
        weight = inner[..., None] / inner.sum(1).clamp(min=1)[:, None, None]
        loss = F.cross_entropy(self.word((text * weight).sum(1)).float(), kinds)
        layer: Any = model.detr_encoder.layers[0]
        x = vision.fpn_hidden_states[2].flatten(2).transpose(1, 2)
        pos = vision.fpn_position_encoding[2].flatten(2).transpose(1, 2)
        normed = layer.layer_norm1(x)
        x = x + layer.self_attn(query=normed + pos, key=normed + pos, value=normed)[0]
        q = layer.cross_attn.q_proj(layer.layer_norm2(x))
        n = len(CONCEPTS) - 1
        k = (layer.cross_attn.k_proj(text[:n]) * weight[:n]).sum(1)
        logits = (q @ k.T).float() * layer.cross_attn.scaling
        logits = torch.cat([self.nothing.expand(*logits.shape[:2], 1), logits], 2)
        share = F.avg_pool2d(F.one_hot(dense, len(CONCEPTS)).permute(0, 3, 1, 2).float(), 4).flatten(2).transpose(1, 2)
        return loss - (share * F.log_softmax(logits, -1)).sum(-1).mean()

    def answer(self, encoded: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
        """Coarse region loss on the text-conditioned features (N, COARSE**2, WIDTH): teaches the words early."""
        logit = self.asked(encoded).float().view(-1, COARSE, COARSE)
        target = F.avg_pool2d(region[:, None], 4)[:, 0]
        return F.binary_cross_entropy_with_logits(logit, target) * 3 + dice(logit, target).mean()

    def forward(self, levels: Sequence[torch.Tensor], dense: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the finest level, and of the coarser ones against the most frequent concept of a cell."""
        loss = F.cross_entropy(self.heads[0](levels[0]).float(), dense)
        one_hot = F.one_hot(dense, len(CONCEPTS)).permute(0, 3, 1, 2).float()
        for head, level, k in ((self.heads[1], levels[1], 2), (self.heads[2], levels[2], 4)):
            share = F.avg_pool2d(one_hot, k)
            loss = loss + 0.5 * -(share * F.log_softmax(head(level).float(), 1)).sum(1).mean()
        return loss


def giou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Generalised IoU (Rezatofighi 2019) of xyxy boxes, broadcast over leading dimensions."""
    inter = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=1e-6).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inter
    return inter / union.clamp(min=1e-6) - (hull - union) / hull


def dice(logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft dice loss per mask (N,)."""
    p = logit.sigmoid().flatten(1)
    t = target.flatten(1)
    return 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)


def xyxy(boxes: torch.Tensor) -> torch.Tensor:
    """cxcywh to xyxy."""
    c, s = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([c - s, c + s], -1)


def losses(out: dict[str, Any], batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Region, presence, score, box and mask losses; instances are matched to queries prompt by prompt."""
    there = batch["presence"] > 0
    of, slot = batch["inst_of"], batch["inst_slot"]
    chosen = torch.zeros(len(there), int(slot.max()) + 1 if len(slot) else 1, dtype=torch.long, device=of.device)
    if len(of):
        with torch.no_grad():
            chosen[of, slot] = match(out, batch)
    region, masks = masks_of(out, chosen)
    bce = F.binary_cross_entropy_with_logits(region, batch["region"], reduction="none").mean((1, 2))
    weight = batch["presence_weight"].expand_as(out["presence"])
    seen = F.binary_cross_entropy_with_logits(out["presence"], batch["presence"].expand_as(out["presence"]), reduction="none")
    result = {
        "region_bce": (bce * torch.where(there, 1.0, 0.3)).mean() * 4,
        "region_dice": (dice(region, batch["region"]) * there).sum() / there.sum().clamp(min=1) * 1.5,
        "presence": (seen * weight).sum() / weight.sum(),
    }
    if not len(of):
        return result
    query = chosen[of, slot]
    score = torch.zeros_like(out["logits"][-1])
    score[of, query] = 1.0
    rows = torch.unique(of)
    logit = out["logits"][:, rows]
    p, t = logit.sigmoid(), score[rows].expand_as(logit)
    focal = F.binary_cross_entropy_with_logits(logit, t, reduction="none") * torch.where(t > 0, 2 * (1 - p), 2 * p**2)
    result["score"] = focal.sum() / len(of) / len(logit) * 0.5
    pb = xyxy(out["boxes"][:, of, query])
    result["box"] = (pb - batch["inst_boxes"]).abs().sum(-1).mean() * 1.5 + (1 - giou(pb, batch["inst_boxes"][None])).mean()
    masks = masks[of, slot]
    result["mask_bce"] = F.binary_cross_entropy_with_logits(masks, batch["inst_masks"]) * 3
    result["mask_dice"] = dice(masks, batch["inst_masks"]).mean() * 1.5
    return result


def match(out: dict[str, Any], batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Query of every instance (I,): the assignment of least cost in coarse mask overlap, box and score."""
    of = batch["inst_of"]
    small = F.avg_pool2d(out["pixel"].float(), 4)[of].flatten(2)
    mask = (torch.einsum("mqc,mcp->mqp", out["query"].float()[of], small) + out["bias"].float()[of][..., None]).sigmoid()
    target = F.avg_pool2d(batch["inst_masks"][:, None], 4).flatten(1)
    inter = torch.einsum("mqp,mp->mq", mask, target)
    boxes = xyxy(out["boxes"][-1][of])
    cost = -2 * (2 * inter + 1) / (mask.sum(-1) + target.sum(-1)[:, None] + 1)
    cost = cost + 3 * (boxes - batch["inst_boxes"][:, None]).abs().sum(-1) - 2 * giou(boxes, batch["inst_boxes"][:, None])
    costs = (cost - out["logits"][-1][of].sigmoid()).cpu().numpy()
    query, of_np = np.zeros(len(of), int), of.cpu().numpy()
    for n in np.unique(of_np):
        rows = np.flatnonzero(of_np == n)
        query[rows] = linear_sum_assignment(costs[rows])[1]
    return torch.from_numpy(query).to(of.device)
