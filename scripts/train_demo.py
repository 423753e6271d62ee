"""Train the demo checkpoint: a small transformers Sam3Model, on rooms rendered by ``scenes``.

    python scripts/train_demo.py --minutes 100 --workers 1

Stops and resumes at any time: scenes are cached, the training state is written every few minutes, and the learning rate
follows the minutes of this thread's processor time, so that a busy machine costs no part of the schedule. Uses a GPU where there
is one, else a CPU with AMX; both in bfloat16. A CPU without AMX has no fast bfloat16 (measured: 13 s a step against 4.5 s in
float32), so it trains in float32.

On a shared machine one thread beats two (measured: 1.2 s a step against 1.6 s), and glibc must not hand large blocks back
after every step: MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import torch
from transformers import Sam3Model
from transformers.models.sam3 import modeling_sam3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scenes.batches import Feeder
from scenes.dataset import Cache, render_shards
from scenes.model import IMAGE, demo_config, forward, initialise, rotate, save_checkpoint
from scenes.objective import INSTANCE_LOSSES, DenseHeads, losses

ROOT = Path(__file__).resolve().parents[1]


class Masters:
    """float32 copies of the parameters of ``half`` for the optimiser; everything else is optimised in place.

    ``half`` becomes ``dtype``: bfloat16 where the hardware multiplies it faster, else float32.
    """

    def __init__(self, model: torch.nn.Module, half: torch.nn.Module, dtype: torch.dtype) -> None:
        half.to(dtype)
        self.pairs = [(p, torch.nn.Parameter(p.detach().float())) for p in half.parameters()]
        lookup = {id(p): m for p, m in self.pairs}
        self.named = [(n, lookup.get(id(p), p)) for n, p in model.named_parameters()]

    def take_gradients(self) -> None:
        """Hand the model's gradients to the masters."""
        for p, m in self.pairs:
            m.grad = None if p.grad is None else p.grad.float()
            p.grad = None

    @torch.no_grad()
    def give_weights(self) -> None:
        """Round the masters into the model."""
        for p, m in self.pairs:
            p.copy_(m)

    def state(self) -> dict[str, torch.Tensor]:
        """float32 weights of the whole model by name."""
        return {n: p.detach() for n, p in self.named}


def fast_type(device: torch.device) -> torch.dtype:
    """The type that matrix products are fastest in: bfloat16 on a GPU or a CPU with AMX, float32 on other CPUs."""
    if device.type == "cuda":
        return torch.bfloat16
    cpu = Path("/proc/cpuinfo")
    return torch.bfloat16 if cpu.exists() and "amx_bf16" in cpu.read_text() else torch.float32


def learning_rate(progress: float, step: int, peak: float) -> float:
    """Linear warm-up over 150 steps, then a cosine to 1 % of the peak."""
    return peak * min(1.0, (step + 1) / 150) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=Path, default=ROOT / ".cache/demo-train", help="folder for scenes and training state")
    p.add_argument("--out", type=Path, default=ROOT / "models/demo/checkpoint", help="where --export writes the checkpoint")
    p.add_argument("--minutes", type=float, default=100, help="processor time of the whole schedule, over all runs")
    p.add_argument("--workers", type=int, default=1, help="processes that render scenes meanwhile")
    p.add_argument("--scenes", type=int, default=20000, help="scenes to render at most")
    p.add_argument("--first", type=int, default=512, help="wait for this many scenes before the first step")
    p.add_argument("--images", type=int, default=8, help="photos per step")
    p.add_argument("--prompts", type=int, default=14, help="prompts per step")
    p.add_argument("--lr", type=float, default=1e-3, help="peak learning rate of the vision encoder")
    p.add_argument("--augment", type=float, default=0.5, help="how often photos are distorted")
    p.add_argument("--heads", type=float, default=2.5, help="learning rate of everything but the vision encoder, over --lr")
    p.add_argument("--dense", type=float, default=2.0, help="weight of the dense training aid")
    p.add_argument("--instances", type=float, default=0.3, help="weight of the instance losses, noisy while regions are not learnt")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--feeders", type=int, default=1, help="threads that prepare batches; a GPU needs about 8")
    p.add_argument("--start", type=Path, help="checkpoint to begin from where there is no saved state, for instance the committed one")
    p.add_argument("--export", action="store_true", help="only write the averaged weights of the saved state to --out")
    return p.parse_args()


def main() -> None:
    args = parse()
    state_path = args.cache / "state.pt"
    if args.export:
        state = torch.load(state_path, map_location="cpu", weights_only=True)
        save_checkpoint(state["ema"], args.out)
        print(f"wrote {args.out} (step {state['step']}, {state['minutes']:.1f} minutes)")
        return
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = [multiprocessing.get_context("spawn").Process(target=render_shards, daemon=True,
               args=(args.cache / str(IMAGE), IMAGE, i, args.workers, args.scenes)) for i in range(args.workers)]
    for w in workers:
        w.start()
    cache = Cache(args.cache / str(IMAGE))
    while cache.refresh() < args.first:
        time.sleep(2)
    model = Sam3Model._from_config(demo_config(), attn_implementation="matmul").to(device).train()
    initialise(model)
    if args.start:
        model.load_state_dict(Sam3Model.from_pretrained(args.start).state_dict())
    ema = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
    saved = torch.load(state_path, map_location=device, weights_only=True) if state_path.exists() else None
    if saved:
        model.load_state_dict(saved["model"], strict=False)
    fast = fast_type(device)
    masters = Masters(model, model.vision_encoder, fast)
    modeling_sam3.apply_rotary_pos_emb_2d = rotate
    aid = DenseHeads().to(device)
    everything = [*(p for _, p in masters.named), *aid.parameters()]
    seeing = {id(m) for _, m in masters.pairs}
    groups = []
    for rate, members in ((1.0, [p for p in everything if id(p) in seeing]), (args.heads, [p for p in everything if id(p) not in seeing])):
        groups += [{"params": [p for p in members if p.ndim > 1], "weight_decay": 0.05, "rate": rate},
                   {"params": [p for p in members if p.ndim <= 1], "weight_decay": 0.0, "rate": rate}]
    opt = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True)
    step, minutes = 0, 0.0
    if saved:
        aid.load_state_dict(saved["aid"], strict=False)
        if saved["opt"]:
            opt.load_state_dict(saved["opt"])
        ema, step, minutes = saved["ema"], saved["step"], saved["minutes"]
    feeder = Feeder(cache, args.images, args.prompts, args.augment, seed=step, threads=args.feeders)
    log = (args.cache / "log.jsonl").open("a")
    sums: dict[str, float] = {}
    last_save, used = time.time(), time.thread_time()
    first = step - 150 if saved and saved["opt"] else step  # Warm up anew where the optimiser starts anew.
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    while minutes < args.minutes and not stop.is_set():
        batch = {k: v.to(device) for k, v in feeder.queue.get().items()}
        lr = learning_rate(minutes / args.minutes, step - first, args.lr)
        for g in opt.param_groups:
            g["lr"] = lr * g["rate"]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast == torch.bfloat16):
            out = forward(model, batch["pixels"], batch["ids"], batch["attention"], batch["index"])
            aids = {"dense": args.dense * aid(out["levels"], batch["dense"]), "answer": aid.answer(out["encoded"], batch["region"]),
                    "align": aid.align(model, out["vision"], batch["phrases"], batch["phrase_attention"], batch["kinds"],
                                       batch["dense"])}
        parts = {**aids, **losses(out, batch)}
        total = sum(v * args.instances if n in INSTANCE_LOSSES else v for n, v in parts.items())
        opt.zero_grad(set_to_none=True)
        total.backward()
        masters.take_gradients()
        torch.nn.utils.clip_grad_norm_(everything, 1.0)
        opt.step()
        masters.give_weights()
        step += 1
        k = min(0.998, 1 - 10 / (step + 20))
        for name, value in masters.state().items():
            ema[name].lerp_(value, 1 - k)
        for name, v in parts.items():
            sums[name] = sums.get(name, 0.0) + float(v.detach())
        minutes += (time.thread_time() - used) / 60
        used = time.thread_time()
        if step % 20 == 0:
            row = {"step": step, "minutes": round(minutes, 2), "lr": round(lr, 6), "scenes": cache.refresh(),
                   **{n: round(v / 20, 4) for n, v in sums.items()}}
            log.write(json.dumps(row) + "\n")
            log.flush()
            sums = {}
        if time.time() - last_save > 180 or minutes >= args.minutes or stop.is_set():
            tmp = state_path.with_suffix(".tmp")
            torch.save({"model": masters.state(), "aid": aid.state_dict(), "opt": opt.state_dict(), "ema": ema, "step": step,
                        "minutes": minutes}, tmp)
            tmp.rename(state_path)
            last_save = time.time()
    for w in workers:
        w.terminate()


if __name__ == "__main__":
    main()
