"""Train the demo checkpoint: a small transformers Sam3Model, on rooms rendered by ``scenes``.

    python scripts/train_demo.py --minutes 100 --workers 1

Stops and resumes at any time: scenes are cached, the training state is written every few minutes, and the learning rate
follows the minutes really trained. Made for CPUs with AMX (bf16 autocast); uses a GPU where there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import queue
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, Sam3Config, Sam3Model
from transformers.masking_utils import create_bidirectional_mask, eager_mask
from transformers.models.sam3 import modeling_sam3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scenes import CONCEPTS
from scenes.dataset import REGIONS, Cache, augment, render_shards
from scenes.vocabulary import build_tokenizer, encode, foreign_prompt, positive_prompt, save_tokenizer

ROOT = Path(__file__).resolve().parents[1]
IMAGE, PATCH, WIDTH, QUERIES = 320, 16, 96, 32
MASK = IMAGE // PATCH * 4
COARSE = MASK // 4
MAX_INSTANCES = 8
INSTANCE_LOSSES = ("score", "box", "mask_bce", "mask_dice")


def demo_config() -> Sam3Config:
    """Sam3Config of the demo model: about 8 M parameters, 320 x 320 input, 80 x 80 masks."""
    grid = IMAGE // PATCH
    layers = 9
    return Sam3Config(
        vision_config={
            "model_type": "sam3_vision_model", "fpn_hidden_size": WIDTH,
            "backbone_feature_sizes": [[grid * 4] * 2, [grid * 2] * 2, [grid] * 2],
            "backbone_config": {
                "model_type": "sam3_vit_model", "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": layers,
                "num_attention_heads": 8, "image_size": IMAGE, "pretrain_image_size": IMAGE, "patch_size": PATCH,
                "window_size": grid // 2, "global_attn_indexes": list(range(2, layers, 3)),
            },
        },
        text_config={
            "model_type": "clip_text_model", "vocab_size": 1024, "hidden_size": 128, "intermediate_size": 256,
            "projection_dim": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 32,
            "hidden_act": "gelu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
        geometry_encoder_config={"hidden_size": WIDTH, "num_layers": 1, "num_attention_heads": 4, "intermediate_size": WIDTH,
                                 "roi_size": 1, "dropout": 0.0},
        detr_encoder_config={"hidden_size": WIDTH, "num_layers": 2, "num_attention_heads": 4, "intermediate_size": 384,
                             "dropout": 0.0},
        detr_decoder_config={"hidden_size": WIDTH, "num_layers": 2, "num_queries": QUERIES, "num_attention_heads": 4,
                             "intermediate_size": 384, "dropout": 0.0},
        mask_decoder_config={"hidden_size": WIDTH, "num_upsampling_stages": 2, "num_attention_heads": 4},
    )


def matmul_attention(module, query, key, value, attention_mask=None, scaling=None, dropout=0.0, **kwargs):
    """Attention as two plain matrix products. torch's fused CPU kernel takes a third of a training step in its backward
    pass and does not use AMX; these products do, and the softmax stays in the autocast type instead of float32."""
    with torch.autocast(query.device.type, enabled=False):
        scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(-1, -2))
        if attention_mask is not None:
            scores = scores + attention_mask.to(scores.dtype)
        out = torch.matmul(scores.softmax(-1), value.to(scores.dtype))
    return out.transpose(1, 2).contiguous(), None


def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``apply_rotary_pos_emb_2d`` in the type of q and k: (a, b) -> (a cos - b sin, b cos + a sin) per pair of channels.

    The library's version works in float32 and through five temporaries, a quarter of the vision encoder's time here.
    """
    signed = sin.view(*sin.shape[:-1], -1, 2) * torch.tensor([-1.0, 1.0], device=sin.device)
    cos, signed = cos.to(q.dtype), signed.flatten(-2).to(q.dtype)

    def turn(x: torch.Tensor) -> torch.Tensor:
        return x * cos + x.view(*x.shape[:-1], -1, 2).flip(-1).flatten(-2) * signed

    return turn(q), turn(k)


class Masters:
    """float32 copies of bfloat16 parameters for the optimiser; everything else is optimised in place."""

    def __init__(self, model: torch.nn.Module, half: torch.nn.Module) -> None:
        half.to(torch.bfloat16)
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


AttentionInterface.register("matmul", matmul_attention)
AttentionMaskInterface.register("matmul", eager_mask)


def shrink(mask: np.ndarray) -> np.ndarray:
    """Bool (S,S) to the share of each mask cell that it covers, float32 (MASK, MASK)."""
    return cv2.resize(mask.astype(np.float32), (MASK, MASK), interpolation=cv2.INTER_AREA)


def normalise(photos: np.ndarray) -> torch.Tensor:
    """uint8 (B,S,S,3) to float (B,3,S,S) in [-1, 1], as facebook/sam3's processor does."""
    return torch.from_numpy(np.ascontiguousarray(photos.transpose(0, 3, 1, 2))).float() / 127.5 - 1.0


# How eagerly a concept that is in the photo is asked for; the ones people edit most come first.
EAGERNESS = {"floor": 1.2, "wall": 1.2, "ceiling": 1.1, "window": 1.6, "door": 1.6, "curtain": 1.6, "sofa": 1.5, "bed": 1.5,
             "rug": 1.5, "picture": 0.8, "plant": 0.6, "lamp": 0.6, "baseboard": 0.7}


def make_batch(cache: Cache, tok, rng: np.random.Generator, images: int, prompts: int) -> dict:
    """One training step's data: photos, prompts with the photo they ask about, region and instance targets.

    Every photo gets at least one prompt; about a third of all prompts ask for something that is not there.
    """
    photos, dense, ids, index, region, presence = [], [], [], [], [], []
    inst_masks, inst_boxes, inst_of = [], [], []
    step = PATCH // 4
    for b in range(images):
        ex = augment(cache.sample(rng), rng)
        photos.append(ex[..., :3])
        concept, inst = ex[..., 3], ex[..., 4]
        dense.append(concept[step // 2::step, step // 2::step].astype(np.int64))
        counts = np.bincount(concept.ravel(), minlength=len(CONCEPTS))
        there = [c for c in range(1, len(CONCEPTS)) if counts[c] >= 60]
        gone = [c for c in range(1, len(CONCEPTS)) if counts[c] == 0]
        total = (prompts * (b + 1)) // images - (prompts * b) // images
        n_neg = int(rng.binomial(total, 0.32))
        weight = np.array([EAGERNESS.get(CONCEPTS[c], 1.0) for c in there])
        n_pos = min(total - n_neg, len(there))
        chosen = rng.choice(there, n_pos, replace=False, p=weight / weight.sum()) if n_pos else []
        asked: list[tuple[int, str]] = [(int(c), positive_prompt(CONCEPTS[c], rng)) for c in chosen]
        while len(asked) < total:
            if gone and rng.random() < 0.75:
                asked.append((0, positive_prompt(CONCEPTS[int(rng.choice(gone))], rng)))
            else:
                asked.append((0, foreign_prompt(rng)))
        for c, text in asked:
            n = len(ids)
            ids.append(text)
            index.append(b)
            presence.append(float(c > 0))
            if not c:
                region.append(np.zeros((MASK, MASK), np.float32))
                continue
            mask = concept == c
            region.append(shrink(mask))
            numbers, sizes = np.unique(inst[mask], return_counts=True)
            for i in np.argsort(-sizes)[:MAX_INSTANCES]:
                if sizes[i] < 40:
                    continue
                m = mask & (inst == numbers[i]) if CONCEPTS[c] not in REGIONS else mask
                ys, xs = np.flatnonzero(m.any(1)), np.flatnonzero(m.any(0))
                inst_boxes.append([xs[0] / IMAGE, ys[0] / IMAGE, (xs[-1] + 1) / IMAGE, (ys[-1] + 1) / IMAGE])
                inst_masks.append(shrink(m))
                inst_of.append(n)
                if CONCEPTS[c] in REGIONS:
                    break
    token_ids, attention = encode(tok, ids)
    return {
        "pixels": normalise(np.stack(photos)), "dense": torch.from_numpy(np.stack(dense)),
        "ids": torch.from_numpy(token_ids), "attention": torch.from_numpy(attention),
        "index": torch.tensor(index), "region": torch.from_numpy(np.stack(region)), "presence": torch.tensor(presence),
        "inst_masks": torch.from_numpy(np.stack(inst_masks)) if inst_masks else torch.zeros(0, MASK, MASK),
        "inst_boxes": torch.tensor(inst_boxes).reshape(-1, 4), "inst_of": torch.tensor(inst_of, dtype=torch.long),
        "inst_slot": torch.tensor([inst_of[:i].count(n) for i, n in enumerate(inst_of)], dtype=torch.long),
    }


def forward(model: Sam3Model, pixels: torch.Tensor, ids: torch.Tensor, attention: torch.Tensor, index: torch.Tensor) -> dict:
    """Sam3Model.forward with one vision pass per photo for all its prompts, and masks left as embeddings.

    Line by line what ``Sam3Model.forward`` does; tests compare the two.
    """
    vision = model.vision_encoder(pixels.to(next(model.vision_encoder.parameters()).dtype))
    levels = [f[index] for f in vision.fpn_hidden_states[:-1]]
    pos = vision.fpn_position_encoding[-2].expand(len(pixels), -1, -1, -1)[index]
    text = model.get_text_features(input_ids=ids, attention_mask=attention, return_dict=True).pooler_output
    mask = attention.bool()
    enc = model.detr_encoder(vision_features=[levels[-1]], text_features=text, vision_pos_embeds=[pos], text_mask=mask)
    dec = model.detr_decoder(vision_features=enc.last_hidden_state, text_features=enc.text_features,
                             vision_pos_encoding=enc.pos_embeds_flattened, text_mask=mask, spatial_shapes=enc.spatial_shapes)
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
    return {"levels": vision.fpn_hidden_states[:-1], "encoded": encoded, "pixel": pixel, "query": embeds @ weight,
            "bias": embeds @ md.instance_projection.bias, "region_query": md.semantic_projection.weight.reshape(1, 1, -1),
            "region_bias": md.semantic_projection.bias, "boxes": boxes, "logits": logits.float(),
            "presence": dec.presence_logits[..., 0].float()}


def masks_of(out: dict, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Region logits (N,M,M) and mask logits (N,K,M,M) of the chosen queries (N,K)."""
    n, c, h, w = out["pixel"].shape
    query = torch.gather(out["query"], 1, chosen[..., None].expand(-1, -1, c))
    both = torch.cat([out["region_query"].expand(n, -1, -1).to(query.dtype), query], 1)
    product = torch.bmm(both, out["pixel"].flatten(2).to(query.dtype)).view(n, -1, h, w).float()
    bias = torch.gather(out["bias"], 1, chosen).float()
    return product[:, 0] + out["region_bias"].float(), product[:, 1:] + bias[..., None, None]


class DenseHeads(torch.nn.Module):
    """Training aid, not part of the checkpoint: plain concept classification on the vision encoder's feature maps.

    One vision pass teaches all concepts at once this way, at a small part of the cost of a prompt each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads = torch.nn.ModuleList(torch.nn.Conv2d(WIDTH, len(CONCEPTS), 1) for _ in range(3))
        self.asked = torch.nn.Linear(WIDTH, 1)

    def answer(self, encoded: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
        """Coarse region loss on the text-conditioned features (N, COARSE**2, WIDTH): teaches the words early."""
        logit = self.asked(encoded).float().view(-1, COARSE, COARSE)
        target = F.avg_pool2d(region[:, None], 4)[:, 0]
        return F.binary_cross_entropy_with_logits(logit, target) * 3 + dice(logit, target).mean()

    def forward(self, levels, dense: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the finest level, and of the coarser ones against the most frequent concept of a cell."""
        loss = F.cross_entropy(self.heads[0](levels[0]).float(), dense)
        one_hot = F.one_hot(dense, len(CONCEPTS)).permute(0, 3, 1, 2).float()
        for head, level, k in ((self.heads[1], levels[1], 2), (self.heads[2], levels[2], 4)):
            share = F.avg_pool2d(one_hot, k)
            loss = loss + 0.5 * -(share * F.log_softmax(head(level).float(), 1)).sum(1).mean()
        return loss


def assign(cost: np.ndarray) -> np.ndarray:
    """Query (column) of least total cost for every row of cost (n, m), n <= m: the Hungarian method with potentials."""
    n, m = cost.shape
    u, v, p, way = np.zeros(n + 1), np.zeros(m + 1), np.zeros(m + 1, int), np.zeros(m + 1, int)
    for i in range(1, n + 1):
        p[0], j0 = i, 0
        least, used = np.full(m + 1, np.inf), np.zeros(m + 1, bool)
        while True:
            used[j0] = True
            cur = cost[p[j0] - 1] - u[p[j0]] - v[1:]
            better = ~used[1:] & (cur < least[1:])
            least[1:][better] = cur[better]
            way[1:][better] = j0
            j1 = int(np.argmin(np.where(used[1:], np.inf, least[1:]))) + 1
            delta = least[j1]
            u[p[used]] += delta
            v[used] -= delta
            least[~used] -= delta
            j0 = j1
            if p[j0] == 0:
                break
        while j0:
            p[j0], j0 = p[way[j0]], int(way[j0])
    out = np.zeros(n, int)
    out[p[1:][p[1:] > 0] - 1] = np.flatnonzero(p[1:] > 0)
    return out


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


def losses(out: dict, batch: dict) -> dict[str, torch.Tensor]:
    """Region, presence, score, box and mask losses; instances are matched to queries prompt by prompt."""
    there = batch["presence"] > 0
    of, slot = batch["inst_of"], batch["inst_slot"]
    chosen = torch.zeros(len(there), int(slot.max()) + 1 if len(slot) else 1, dtype=torch.long, device=of.device)
    if len(of):
        with torch.no_grad():
            chosen[of, slot] = match(out, batch)
    region, masks = masks_of(out, chosen)
    bce = F.binary_cross_entropy_with_logits(region, batch["region"], reduction="none").mean((1, 2))
    result = {
        "region_bce": (bce * torch.where(there, 1.0, 0.3)).mean() * 4,
        "region_dice": (dice(region, batch["region"]) * there).sum() / there.sum().clamp(min=1) * 1.5,
        "presence": F.binary_cross_entropy_with_logits(out["presence"], batch["presence"].expand_as(out["presence"])),
    }
    if not len(of):
        return result
    query = chosen[of, slot]
    score = torch.zeros_like(out["logits"][-1])
    score[of, query] = 1.0
    rows = torch.unique(of)
    logit = out["logits"][:, rows]
    p, t = logit.sigmoid(), score[rows].expand_as(logit)
    focal = F.binary_cross_entropy_with_logits(logit, t, reduction="none") * torch.where(t > 0, 2 * (1 - p), 2 * p ** 2)
    result["score"] = focal.sum() / len(of) / len(logit) * 0.5
    pb = xyxy(out["boxes"][:, of, query])
    result["box"] = (pb - batch["inst_boxes"]).abs().sum(-1).mean() * 1.5 + (1 - giou(pb, batch["inst_boxes"][None])).mean()
    masks = masks[of, slot]
    result["mask_bce"] = F.binary_cross_entropy_with_logits(masks, batch["inst_masks"]) * 3
    result["mask_dice"] = dice(masks, batch["inst_masks"]).mean() * 1.5
    return result


def match(out: dict, batch: dict) -> torch.Tensor:
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
        query[rows] = assign(costs[rows])
    return torch.from_numpy(query).to(of.device)


class Feeder:
    """Prepares batches in threads (OpenCV and NumPy release the interpreter lock)."""

    def __init__(self, cache: Cache, images: int, prompts: int, threads: int, seed: int) -> None:
        self.queue: queue.Queue = queue.Queue(maxsize=4)
        self.stop = False
        tok = build_tokenizer()
        for t in range(threads):
            rng = np.random.default_rng([seed, t])
            threading.Thread(target=self._run, args=(cache, tok, rng, images, prompts), daemon=True).start()

    def _run(self, cache: Cache, tok, rng: np.random.Generator, images: int, prompts: int) -> None:
        while not self.stop:
            self.queue.put(make_batch(cache, tok, rng, images, prompts))


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


def learning_rate(progress: float, step: int, peak: float) -> float:
    """Linear warm-up over 150 steps, then a cosine to 1 % of the peak."""
    return peak * min(1.0, (step + 1) / 150) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=Path, default=ROOT / ".cache/demo-train", help="folder for scenes and training state")
    p.add_argument("--out", type=Path, default=ROOT / "models/demo/checkpoint", help="where --export writes the checkpoint")
    p.add_argument("--minutes", type=float, default=100, help="training time of the whole schedule, over all runs")
    p.add_argument("--workers", type=int, default=1, help="processes that render scenes meanwhile")
    p.add_argument("--scenes", type=int, default=20000, help="scenes to render at most")
    p.add_argument("--first", type=int, default=512, help="wait for this many scenes before the first step")
    p.add_argument("--images", type=int, default=8, help="photos per step")
    p.add_argument("--prompts", type=int, default=14, help="prompts per step")
    p.add_argument("--lr", type=float, default=7e-4)
    p.add_argument("--dense", type=float, default=2.0, help="weight of the dense training aid")
    p.add_argument("--instances", type=float, default=0.2, help="weight of the instance losses, noisy while regions are not learnt")
    p.add_argument("--threads", type=int, default=2)
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
    ema = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
    saved = torch.load(state_path, map_location=device, weights_only=True) if state_path.exists() else None
    if saved:
        model.load_state_dict(saved["model"], strict=False)
    masters = Masters(model, model.vision_encoder)
    modeling_sam3.apply_rotary_pos_emb_2d = rotate
    aid = DenseHeads().to(device)
    everything = [*(p for _, p in masters.named), *aid.parameters()]
    decay = [p for p in everything if p.ndim > 1]
    plain = [p for p in everything if p.ndim <= 1]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=args.lr,
                            betas=(0.9, 0.98), fused=True)
    step, minutes = 0, 0.0
    if saved:
        aid.load_state_dict(saved["aid"])
        if len(saved["opt"]["param_groups"][0]["params"]) == len(decay):
            opt.load_state_dict(saved["opt"])
        ema, step, minutes = saved["ema"], saved["step"], saved["minutes"]
    feeder = Feeder(cache, args.images, args.prompts, 1, seed=step)
    log = (args.cache / "log.jsonl").open("a")
    sums: dict[str, float] = {}
    last_save = last = time.time()
    params = [*decay, *plain]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    while minutes < args.minutes and not stop.is_set():
        batch = {k: v.to(device) for k, v in feeder.queue.get().items()}
        lr = learning_rate(minutes / args.minutes, step, args.lr)
        for g in opt.param_groups:
            g["lr"] = lr
        with torch.autocast(device.type, dtype=torch.bfloat16):
            out = forward(model, batch["pixels"], batch["ids"], batch["attention"], batch["index"])
            aids = {"dense": args.dense * aid(out["levels"], batch["dense"]), "answer": aid.answer(out["encoded"], batch["region"])}
        parts = {**aids, **losses(out, batch)}
        total = sum(v * args.instances if n in INSTANCE_LOSSES else v for n, v in parts.items())
        opt.zero_grad(set_to_none=True)
        total.backward()
        masters.take_gradients()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        masters.give_weights()
        step += 1
        k = min(0.998, 1 - 10 / (step + 20))
        for name, value in masters.state().items():
            ema[name].lerp_(value, 1 - k)
        for name, v in parts.items():
            sums[name] = sums.get(name, 0.0) + float(v.detach())
        minutes += min(time.time() - last, 60) / 60
        last = time.time()
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
