"""Train the demo checkpoint, first part: its vision encoder alone, on naming every cell of a room.

    python -m training.train_vision --minutes 40
    python -m training.train_demo --vision .cache/demo-train/vision.pt

One pass over a photo teaches all concepts at all places at once, without text, queries and masks, so that a processor sees several
times as many rooms in an hour. Stops and resumes at any time. On a CPU without AMX one thread learns about 6 photos a second, two
learn 12, where nothing else runs.
"""

from __future__ import annotations

import argparse
import functools
import os
import queue
import threading
import time
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from transformers import Sam3Model
from transformers.models.sam3 import modeling_sam3

from training.arrays import Bytes
from training.augment import augment
from training.dataset import SHARD, Cache, start_rendering
from training.model import IMAGE, PATCH, demo_config, init_local_attention, initialise, normalise, rotate, take_over
from training.optimise import Average, Masters, Optimisers, fast_attention, fast_type, schedule, warm_up_heads
from training.scenes.scene_spec import CONCEPTS

ROOT = Path(__file__).resolve().parents[1]
# Photos as the encoder takes them, and the concepts in their cells.
Batches: TypeAlias = "queue.Queue[tuple[torch.Tensor, torch.Tensor]]"
CELLS = 4  # each way in a patch
CELL = PATCH // CELLS
BATCH = 12
# The first shards are not learnt from, to see how well it does.
HELD_BACK = 2
SHOWN = ("floor", "wall", "ceiling", "window", "bed", "sofa", "door", "rug", "curtain")


class Namer(torch.nn.Module):
    """The vision encoder with a linear layer that names the CELLS x CELLS cells of every patch; only the encoder is kept."""

    def __init__(self, attention: str) -> None:
        super().__init__()
        model = Sam3Model._from_config(demo_config(), attn_implementation=attention)
        initialise(model)
        self.backbone = model.vision_encoder.backbone.train()
        init_local_attention(self.backbone)
        width = self.backbone.config.hidden_size
        self.norm, self.head = torch.nn.LayerNorm(width), torch.nn.Linear(width, CELLS**2 * len(CONCEPTS))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Photos (B,3,S,S) -> logits (B,concepts,M,M)."""
        return self.name(self.see(pixels))

    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """Photos (B,3,S,S) -> the backbone's tokens (B,g*g,D) float32."""
        tokens: torch.Tensor = self.backbone(pixels.to(next(self.backbone.parameters()).dtype)).last_hidden_state
        return tokens.float()

    def name(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B,g*g,D) -> logits (B,concepts,M,M)."""
        grid = IMAGE // PATCH
        out: torch.Tensor = self.head(self.norm(tokens))
        out = out.view(-1, grid, grid, CELLS, CELLS, len(CONCEPTS)).permute(0, 5, 1, 3, 2, 4)
        return out.reshape(-1, len(CONCEPTS), grid * CELLS, grid * CELLS)


def names(examples: Bytes) -> torch.Tensor:
    """Concept in the middle of every cell, int64 (B,M,M), of examples (B,S,S,5)."""
    return torch.from_numpy(examples[:, CELL // 2 :: CELL, CELL // 2 :: CELL, 3].astype(np.int64))


def feed(cache: Cache, batches: Batches, seed: int, strength: float) -> None:
    """Put batches of photos and names into the queue, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        examples = np.stack([augment(cache.sample(rng), cache.sample(rng), rng, strength) for _ in range(BATCH)])
        batches.put((normalise(examples[..., :3]), names(examples)))


def head_loss(model: Namer, batches: Batches) -> torch.Tensor:
    """The next batch's loss, with gradients for the head alone."""
    pixels, truth = batches.get()
    with torch.no_grad():
        tokens = model.see(pixels)
    return F.cross_entropy(model.name(tokens), truth)


def overlap(model: Namer, shards: list[Bytes]) -> dict[str, float]:
    """IoU per concept on shards."""
    both, either = np.zeros(len(CONCEPTS)), np.zeros(len(CONCEPTS))
    with torch.no_grad():
        for shard in shards:
            for i in range(0, SHARD, BATCH):
                truth = names(shard[i : i + BATCH]).numpy()
                found = model(normalise(shard[i : i + BATCH, ..., :3])).argmax(1).numpy()
                for c in range(len(CONCEPTS)):
                    both[c] += ((found == c) & (truth == c)).sum()
                    either[c] += ((found == c) | (truth == c)).sum()
    return {name: round(both[i] / max(either[i], 1), 3) for i, name in enumerate(CONCEPTS) if name in SHOWN}


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=Path, default=ROOT / ".cache/demo-train", help="folder for scenes and training state")
    p.add_argument("--minutes", type=float, default=40, help="processor time of the whole schedule, over all runs")
    p.add_argument("--start", type=Path, help="checkpoint whose backbone to begin from; with --muon 0.004 --lr 4e-4: higher rates undo it")
    p.add_argument("--scenes", type=int, default=9600, help="scenes to have before the first step: 2,560 were known by heart")
    p.add_argument("--seed", type=int, default=0, help="the first of them: a checkpoint that is trained on learns most from new ones")
    p.add_argument(
        "--showing",
        choices=CONCEPTS[1:],
        help="render only rooms with this concept, and learn from them beside the others; "
        "the second part goes on with the others alone, which show every concept as often as rooms do",
    )
    p.add_argument("--lr", type=float, default=2e-3, help="peak rate of AdamW")
    p.add_argument("--muon", type=float, default=0.02, help="peak rate of Muon")
    p.add_argument("--augment", type=float, default=0.5, help="how often photos are distorted")
    p.add_argument("--threads", type=int, default=1)
    return p.parse_args()


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    everything = args.cache / str(IMAGE)
    folder = args.cache / f"{IMAGE}-{args.showing}" if args.showing else everything
    for renderer in start_rendering(folder, IMAGE, os.cpu_count() or 1, args.scenes, args.seed, args.showing):
        renderer.join()
    cache = Cache(*dict.fromkeys((everything, folder)))
    cache.refresh()
    held_back = [cache.shards[name] for name in cache.names[:HELD_BACK]]
    cache.names = cache.names[HELD_BACK:]
    modeling_sam3.apply_rotary_pos_emb_2d = rotate
    fast = fast_type(torch.device("cpu"))
    model = Namer(fast_attention(torch.device("cpu"), fast))
    if args.start:
        take_over(model.backbone, Sam3Model.from_pretrained(args.start).float().vision_encoder.backbone.state_dict())
    step, minutes, path = 0, 0.0, args.cache / "vision.pt"
    saved = torch.load(path, weights_only=True) if path.exists() else None
    if saved:
        model.load_state_dict(saved["model"], strict=False)
        step, minutes = saved["step"], saved["minutes"]
    batches: Batches = queue.Queue(4)
    threading.Thread(target=feed, args=(cache, batches, step, args.augment), daemon=True).start()
    masters = Masters(model, model.backbone, fast)
    if args.start and not saved:
        warm_up_heads([*model.norm.parameters(), *model.head.parameters()], functools.partial(head_loss, model, batches))
    optimisers, average = Optimisers([(1.0, masters.named)], args.lr, args.muon), Average(masters.state())
    if saved:
        optimisers.load_state_dict(saved["opt"])
        average.weights = saved["average"]
    model.backbone.compile()
    used, last, losses = time.thread_time(), time.time(), []
    while minutes < args.minutes:
        pixels, truth = batches.get()
        loss = F.cross_entropy(model(pixels), truth)
        optimisers.zero_grad()
        loss.backward()
        masters.take_gradients()
        torch.nn.utils.clip_grad_norm_([p for _, p in masters.named], 1.0)
        optimisers.step(schedule(minutes / args.minutes, step))
        masters.give_weights()
        step += 1
        average.update(masters.state(), step)
        losses.append(float(loss.detach()))
        minutes += (time.thread_time() - used) / 60
        used = time.thread_time()
        if time.time() - last > 180 or minutes >= args.minutes:
            print(f"step {step}, {minutes:.1f} min, loss {np.mean(losses):.3f}, {overlap(model, held_back)}", flush=True)
            torch.save(
                {"model": masters.state(), "opt": optimisers.state_dict(), "average": average.weights, "step": step, "minutes": minutes},
                path.with_suffix(".tmp"),
            )
            os.replace(path.with_suffix(".tmp"), path)
            used, last, losses = time.thread_time(), time.time(), []


if __name__ == "__main__":
    main()
