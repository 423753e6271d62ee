"""Measure the demo checkpoint: IoU per concept on rooms training never saw, presence accuracy, and two real photos.

    python -m training.eval_demo [--checkpoint models/demo/checkpoint] [--rooms 200] [--json FILE]

A concept's region is sigmoid(semantic_seg) > 0.5, empty where presence <= 0.5, resized bilinearly to the photo, as in the
product. IoU of a concept is total intersection over total union of the rooms that show it (at least 0.5 % of the photo), and
beside it the mean of the rooms' own IoUs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Sam3Model

from respray.segmentation.prepare import to_square
from training.arrays import Bytes, Floats
from training.dataset import FIRST_HELD_OUT_SEED
from training.scenes import CONCEPTS, render, sample_room
from training.vocabulary import encode, foreign_prompt

ROOT = Path(__file__).resolve().parents[1]

TARGETS = {
    "floor": 0.90,
    "wall": 0.90,
    "ceiling": 0.90,
    "sofa": 0.75,
    "bed": 0.75,
    "window": 0.75,
    "door": 0.75,
    "rug": 0.75,
    "curtain": 0.75,
}
PRESENCE_TARGET = 0.95
VISIBLE = 0.005


class Predictor:
    """The checkpoint as the product uses it: one vision pass per photo, regions and presence per prompt."""

    def __init__(self, checkpoint: Path) -> None:
        self.model = Sam3Model.from_pretrained(checkpoint, attn_implementation="eager").float().eval()
        self.tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        self.size = self.model.config.image_size

    @torch.no_grad()
    def __call__(self, photo: Bytes, prompts: list[str]) -> tuple[Floats, Floats]:
        """Photo (H,W,3) uint8 sRGB -> region probabilities (N,H,W) float32 and presence (N,)."""
        h, w = photo.shape[:2]
        pixels = torch.from_numpy(to_square(photo, self.size).transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
        vision = self.model.vision_encoder(pixels)
        ids, attention = (torch.from_numpy(a) for a in encode(self.tokenizer, prompts))
        n = len(prompts)
        vision.fpn_hidden_states = tuple(f.expand(n, -1, -1, -1) for f in vision.fpn_hidden_states)
        vision.fpn_position_encoding = tuple(f.expand(n, -1, -1, -1) for f in vision.fpn_position_encoding)
        out = self.model(vision_embeds=vision, input_ids=ids, attention_mask=attention)
        region = out.semantic_seg[:, 0].sigmoid().numpy()
        full = np.stack([cv2.resize(r, (w, h), interpolation=cv2.INTER_LINEAR) for r in region])
        return full, out.presence_logits.sigmoid().numpy().ravel()


def evaluate_rooms(predictor: Predictor, rooms: int, size: int = 480) -> dict[str, Any]:
    """IoU and presence on ``rooms`` held-out rooms, asked for every concept and for two foreign words each."""
    names = [c for c in CONCEPTS if c != "other"]
    inter, union, single, shown = (dict.fromkeys(names, 0.0) for _ in range(4))
    right = asked = foreign_right = foreign_asked = 0
    per_concept = {c: [0, 0] for c in names}
    for i in range(rooms):
        room = sample_room(FIRST_HELD_OUT_SEED + i)
        w, h = round(size * room.aspect**0.5), round(size / room.aspect**0.5)
        scene = render(room, w, h)
        rng = np.random.default_rng(i)
        probs, presence = predictor(scene.photo, [*names, foreign_prompt(rng), foreign_prompt(rng)])
        for k, c in enumerate(names):
            truth = scene.masks[c]
            share = truth.mean()
            if share >= VISIBLE:
                mask = (probs[k] > 0.5) if presence[k] > 0.5 else np.zeros_like(truth)
                a, u = float((mask & truth).sum()), float((mask | truth).sum())
                inter[c] += a
                union[c] += u
                single[c] += a / u
                shown[c] += 1
            # A sliver at the picture's edge is neither there nor not there.
            if share == 0 or share >= VISIBLE:
                good = (presence[k] > 0.5) == (share > 0)
                per_concept[c][0] += good
                per_concept[c][1] += 1
                right += good
                asked += 1
        foreign_right += int((presence[len(names) :] <= 0.5).sum())
        foreign_asked += 2
        if sys.stderr.isatty():
            print(f"\r{i + 1}/{rooms} rooms", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return {
        "rooms": rooms,
        "iou": {c: inter[c] / max(union[c], 1) for c in names},
        "mean_iou": {c: single[c] / max(shown[c], 1) for c in names},
        "shown": {c: int(shown[c]) for c in names},
        "presence": (right + foreign_right) / max(asked + foreign_asked, 1),
        "presence_known": right / max(asked, 1),
        "presence_foreign": foreign_right / max(foreign_asked, 1),
        "presence_by_concept": {c: a / max(n, 1) for c, (a, n) in per_concept.items()},
    }


def evaluate_photos(predictor: Predictor, folder: Path) -> dict[str, Any] | None:
    """IoU on the hand-drawn polygons of real photos; None where the folder is not there.

    The polygons of "accent wall" cover a part of the wall only, so that one is given as recall, not as IoU.
    """
    if not (folder / "masks.json").exists():
        return None
    result = {}
    for name, polygons in json.loads((folder / "masks.json").read_text()).items():
        if not isinstance(polygons, dict):
            continue
        bgr = cv2.imread(str(folder / name))
        known = [c for c in polygons if c in CONCEPTS or c == "accent wall"]
        probs, presence = predictor(np.ascontiguousarray(bgr[..., ::-1]), ["wall" if c == "accent wall" else c for c in known])
        for k, c in enumerate(known):
            truth = np.zeros(bgr.shape[:2], np.uint8)
            cv2.fillPoly(truth, [np.array(p, np.int32) for p in polygons[c]], (1,))
            t = truth > 0
            mask = (probs[k] > 0.5) & (presence[k] > 0.5)
            score = (mask & t).sum() / (t.sum() if c == "accent wall" else (mask | t).sum())
            result[f"{name} {c}" + (" (recall)" if c == "accent wall" else "")] = {"score": float(score), "presence": float(presence[k])}
    return result


def table(rooms: dict[str, Any], photos: dict[str, Any] | None) -> str:
    """The report that is printed."""
    lines = [
        f"{rooms['rooms']} rooms of seeds training never used",
        "",
        f"{'concept':<12}{'rooms':>6}{'IoU':>8}{'mean':>8}{'target':>8}{'presence':>10}",
    ]
    order = sorted(rooms["iou"], key=lambda c: (c not in TARGETS, -TARGETS.get(c, 0), c))
    for c in order:
        target = TARGETS.get(c)
        verdict = "" if target is None else ("  reached" if rooms["iou"][c] >= target else "  missed")
        lines.append(
            f"{c:<12}{rooms['shown'][c]:>6}{rooms['iou'][c]:>8.3f}{rooms['mean_iou'][c]:>8.3f}"
            f"{'' if target is None else f'{target:.2f}':>8}{rooms['presence_by_concept'][c]:>10.3f}{verdict}"
        )
    p = rooms["presence"]
    lines += [
        "",
        f"presence accuracy {p:.3f} (target {PRESENCE_TARGET:.2f}, {'reached' if p >= PRESENCE_TARGET else 'missed'}); "
        f"known concepts {rooms['presence_known']:.3f}, foreign words {rooms['presence_foreign']:.3f}",
        "",
    ]
    if photos is None:
        lines.append("real photos: ../shared/photos is not there, skipped")
    else:
        lines.append("real photos (rendered rooms are all the model ever saw)")
        lines += [f"  {k:<36}{v['score']:.3f}   presence {v['presence']:.2f}" for k, v in photos.items()]
    return "\n".join(lines)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", type=Path, default=ROOT / "models/demo/checkpoint")
    p.add_argument("--rooms", type=int, default=200)
    p.add_argument("--photos", type=Path, default=ROOT.parent / "shared/photos", help="folder with photos and masks.json")
    p.add_argument("--json", type=Path, help="also write the numbers here")
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    if not (args.checkpoint / "model.safetensors").exists():
        sys.exit(f"no checkpoint in {args.checkpoint}: expected model.safetensors there (training/train_demo.py --export writes it)")
    start = time.time()
    predictor = Predictor(args.checkpoint)
    rooms, photos = evaluate_rooms(predictor, args.rooms), evaluate_photos(predictor, args.photos)
    print(table(rooms, photos))
    print(f"\n{time.time() - start:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"rooms": rooms, "photos": photos}, indent=2) + "\n")


if __name__ == "__main__":
    main()
