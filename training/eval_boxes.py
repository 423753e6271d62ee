"""Measure what a box does for the demo checkpoint, which never saw one in training: IoU with and without, on rooms training never saw.

    python -m training.eval_boxes [--rooms 20]

The box is around the concept's largest visible part. IoU is total intersection over total union of all concepts that cover at least 0.5 %
of their room, regions and presence as in `eval_demo`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from respray.contract.request import MAX_BOXES
from respray.segmentation.export.checkpoints import find_checkpoint, load_model
from respray.segmentation.export.graphs import build_graphs
from respray.segmentation.prepare import to_square
from respray.segmentation.spec import NO_BOX
from respray.segmentation.tokenizer import PromptTokenizer
from training.arrays import Bytes
from training.dataset import FIRST_HELD_OUT_SEED
from training.eval_demo import ROOT, VISIBLE
from training.scenes import CONCEPTS, render, sample_room

CHECKPOINT = ROOT / "models" / "demo" / "checkpoint"
SIZE = 480


def largest_part(truth: Any) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1 in 0..1) of a mask's largest connected part, bool (H,W)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8))
    x, y, w, h, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    height, width = truth.shape
    return x / width, y / height, (x + w) / width, (y + h) / height


@torch.no_grad()
def measure(checkpoint: Path, rooms: int) -> dict[str, dict[str, float]]:
    """IoU over all concepts of so many rooms: without a box, with one of what is meant, with the same box as what is not."""
    model = load_model(find_checkpoint(str(checkpoint)))
    graphs = build_graphs(model, "fp32", "torch", 8, "transformers", boxes=True)
    assert graphs.geometry_encoder is not None
    tokenizer = PromptTokenizer(checkpoint / "tokenizer.json", 32, 0)
    names = [name for name in CONCEPTS if name != "other"]
    ways = {"text alone": None, "and a box": 1, "and a box of what is not meant": 0}
    totals = {way: np.zeros(2) for way in ways}
    for number in range(rooms):
        room = sample_room(FIRST_HELD_OUT_SEED + number)
        scene = render(room, round(SIZE * room.aspect**0.5), round(SIZE / room.aspect**0.5))
        shown = [name for name in names if scene.masks[name].mean() >= VISIBLE]
        ids, mask = (torch.from_numpy(part) for part in tokenizer(shown))
        photo: Bytes = to_square(scene.photo, model.config.image_size)
        features = graphs.image_encoder(torch.from_numpy(photo[None]))
        text = graphs.text_encoder(ids, mask)[None]
        boxes = torch.zeros(1, len(shown), MAX_BOXES, 4)
        boxes[0, :, 0] = torch.tensor([largest_part(scene.masks[name]) for name in shown])
        for way, label in ways.items():
            prompts = (text, mask[None])
            if label is not None:
                labels = torch.full((1, len(shown), MAX_BOXES), NO_BOX, dtype=torch.int32)
                labels[:, :, 0] = label
                prompts = graphs.geometry_encoder(features[-1], boxes, labels, *prompts)
            _, _, _, presence, region = graphs.concept_decoder(*features[:3], *prompts)
            for row, name in enumerate(shown):
                truth = scene.masks[name]
                full = cv2.resize(region[0, row].numpy(), truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
                found = (full > 127) & bool(presence[0, row] > 0.5)
                totals[way] += (found & truth).sum(), (found | truth).sum()
    return {way: {"iou": float(inter / union)} for way, (inter, union) in totals.items()}


def main() -> None:
    """Print the IoU of each way to ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--rooms", type=int, default=20)
    options = parser.parse_args()
    for way, figures in measure(options.checkpoint, options.rooms).items():
        print(f"{way}: IoU {figures['iou']:.3f} over {options.rooms} rooms")


if __name__ == "__main__":
    main()
