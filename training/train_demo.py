"""Train the demo checkpoint, second part: a small transformers Sam3Model, on rooms rendered by ``scenes``.

    python -m training.train_vision
    python -m training.train_demo --vision .cache/demo-train/vision.pt --minutes 100

Stops and resumes at any time: scenes are cached, the training state is written every few minutes, and the learning rate
follows the minutes of this thread's processor time, so that a busy machine costs no part of the schedule (on a GPU, which is rented
by the minute, those of the clock). Uses a GPU where there is one, in bfloat16, as a CPU with AMX or AVX-512 BF16 does. Other CPUs have
no fast bfloat16 (measured: 13 s a step against 4.5 s in float32), so they train in float32.

On a shared machine one thread beats two (measured: 1.2 s a step against 1.6 s), and glibc must not hand large blocks back
after every step: MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456 MALLOC_MMAP_MAX_=0. (Without the last one every block over
128 KB was mapped anew: 40,000 page faults a second, 3.4 s a step against 2.8 s.)
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from transformers import Sam3Model
from transformers.models.sam3 import modeling_sam3

from training.batches import feed
from training.dataset import Cache, start_rendering
from training.losses import INSTANCE_LOSSES, DenseHeads, losses
from training.model import (
    IMAGE,
    demo_config,
    forward,
    init_local_attention,
    initialise,
    load_vision_encoder,
    normalise,
    rotate,
    save_checkpoint,
    take_over,
)
from training.optimise import Average, Masters, Optimisers, fast_attention, fast_type, schedule, warm_up_heads

ROOT = Path(__file__).resolve().parents[1]


def ask(model: Sam3Model, aid: DenseHeads, batch: dict[str, torch.Tensor], dense: float) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """One forward pass: the model's answers, and the losses of the training aids on them."""
    out = forward(model, normalise(batch["photos"]), batch["ids"], batch["attention"], batch["index"])
    return out, {
        "dense": dense * aid(out["levels"], batch["dense"]),
        "answer": aid.answer(out["encoded"], batch["region"]),
        "align": aid.align(model, out["vision"], batch["phrases"], batch["phrase_attention"], batch["kinds"], batch["dense"]),
    }


def on_device(batches: Iterator[dict[str, torch.Tensor]], device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
    """The same batches on a device."""
    return ({name: value.to(device, non_blocking=True) for name, value in batch.items()} for batch in batches)


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=Path, default=ROOT / ".cache/demo-train", help="folder for scenes and training state")
    p.add_argument("--out", type=Path, default=ROOT / "models/demo/checkpoint", help="where --export writes the checkpoint")
    p.add_argument("--minutes", type=float, default=100, help="processor time (on a GPU: time) of the whole schedule, over all runs")
    p.add_argument("--workers", type=int, default=1, help="processes that render scenes meanwhile")
    p.add_argument("--scenes", type=int, default=20000, help="scenes to render at most")
    p.add_argument("--seed", type=int, default=0, help="first scene to render: a checkpoint that is trained on learns most from new ones")
    p.add_argument("--first", type=int, default=512, help="wait for this many scenes before the first step")
    p.add_argument("--images", type=int, default=8, help="photos per step")
    p.add_argument("--prompts", type=int, default=14, help="prompts per step")
    p.add_argument("--lr", type=float, default=8e-4, help="peak rate of AdamW")
    p.add_argument("--muon", type=float, default=0.006, help="peak rate of Muon; 0.02 undoes trained heads")
    p.add_argument("--seeing", type=float, default=0.4, help="rates of the vision encoder's backbone over those")
    p.add_argument("--augment", type=float, default=0.5, help="how often photos are distorted")
    p.add_argument("--dense", type=float, default=2.0, help="weight of the dense training aid")
    p.add_argument("--instances", type=float, default=0.3, help="weight of the instance losses, noisy while regions are not learnt")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--feeders", type=int, default=1, help="processes that prepare batches; a GPU needs as many as there are cores")
    p.add_argument("--vision", type=Path, help="what training/train_vision.py saved, to begin from")
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
    workers = start_rendering(args.cache / str(IMAGE), IMAGE, args.workers, args.scenes, args.seed)
    cache = Cache(args.cache / str(IMAGE))
    while cache.refresh() < args.first:
        time.sleep(2)
    fast = fast_type(device)
    model = Sam3Model._from_config(demo_config(), attn_implementation=fast_attention(device, fast)).train()
    initialise(model)
    init_local_attention(model.vision_encoder.backbone)
    if args.start:
        take_over(model, Sam3Model.from_pretrained(args.start).float().state_dict())
    model.to(device)
    if args.vision:
        seen = torch.load(args.vision, map_location="cpu", weights_only=True)["average"]
        photos = np.stack([cache.sample(np.random.default_rng(i))[..., :3] for i in range(8)])
        load_vision_encoder(model, seen, normalise(photos).to(device), trained=args.start is not None)
    saved = torch.load(state_path, map_location=device, weights_only=True) if state_path.exists() else None
    if saved:
        model.load_state_dict(saved["model"], strict=False)
    masters = Masters(model, model.vision_encoder, fast)
    modeling_sam3.apply_rotary_pos_emb_2d = rotate
    aid = DenseHeads().to(device)
    backbone = [(n, p) for n, p in masters.named if ".backbone." in n]
    rest = [(n, p) for n, p in masters.named if ".backbone." not in n]
    everything = [*(p for _, p in masters.named), *aid.parameters()]
    opt = Optimisers([(args.seeing, backbone), (1.0, [*rest, *(("aid." + n, p) for n, p in aid.named_parameters())])], args.lr, args.muon)
    average = Average(masters.state())
    if device.type == "cpu":  # a GPU would wait a minute for its kernels and win it back in no lease
        model.vision_encoder.backbone.compile()
    step, minutes = 0, 0.0
    if saved:
        aid.load_state_dict(saved["aid"], strict=False)
        opt.load_state_dict(saved["opt"])
        average.weights, step, minutes = saved["ema"], saved["step"], saved["minutes"]
    batches = on_device(
        feed(cache.folders, args.images, args.prompts, args.augment, seed=step, processes=args.feeders, pinned=device.type == "cuda"),
        device,
    )
    autocast = functools.partial(torch.autocast, device.type, dtype=torch.bfloat16, enabled=fast == torch.bfloat16)
    if args.start and not saved:

        def aids_loss() -> torch.Tensor:
            with autocast():
                return sum(ask(model, aid, next(batches), 1.0)[1].values(), torch.zeros((), device=device))

        model.requires_grad_(False)
        warm_up_heads(aid.parameters(), aids_loss)
        model.requires_grad_(True)
    log = (args.cache / "log.jsonl").open("a")
    sums: dict[str, torch.Tensor] = {}
    clock = time.monotonic if device.type == "cuda" else time.thread_time
    last_save, used = time.time(), clock()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    while minutes < args.minutes and not stop.is_set():
        batch = next(batches)
        with autocast():
            out, aids = ask(model, aid, batch, args.dense)
        parts = {**aids, **losses(out, batch)}
        total = sum(v * args.instances if n in INSTANCE_LOSSES else v for n, v in parts.items())
        opt.zero_grad()
        assert isinstance(total, torch.Tensor)
        total.backward()
        masters.take_gradients()
        torch.nn.utils.clip_grad_norm_(everything, 1.0)
        scale = schedule(minutes / args.minutes, step)
        opt.step(scale)
        masters.give_weights()
        step += 1
        average.update(masters.state(), step)
        for name, v in parts.items():
            sums[name] = sums.get(name, 0.0) + v.detach()  # read every 20 steps: a GPU would be waited for
        minutes, used = minutes + (clock() - used) / 60, clock()
        if step % 20 == 0:
            row = {
                "step": step,
                "minutes": round(minutes, 2),
                "rate": round(scale, 4),
                "scenes": cache.refresh(),
                **{n: round(float(v) / 20, 4) for n, v in sums.items()},
            }
            log.write(json.dumps(row) + "\n")
            log.flush()
            sums = {}
        if time.time() - last_save > 180 or minutes >= args.minutes or stop.is_set():
            tmp = state_path.with_suffix(".tmp")
            torch.save(
                {
                    "model": masters.state(),
                    "aid": aid.state_dict(),
                    "opt": opt.state_dict(),
                    "ema": average.weights,
                    "step": step,
                    "minutes": minutes,
                },
                tmp,
            )
            tmp.rename(state_path)
            last_save = time.time()
    for w in workers:
        w.terminate()


if __name__ == "__main__":
    main()
