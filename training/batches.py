"""Training batches: cached scenes, augmented, with prompts and the targets they ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.arrays import Bools, Bytes, Floats
from training.augment import augment
from training.dataset import REGIONS, Cache
from training.model import IMAGE, MASK, PATCH
from training.scenes.scene_spec import CONCEPTS
from training.vocabulary import build_tokenizer, encode, foreign_prompt, positive_prompt

MAX_INSTANCES = 8
# Share of prompts that ask for something else, and of those that ask for a concept that other rooms show.
ABSENT, KNOWN = 0.45, 0.75
# Share of the concepts that a room does not show (192 rooms: 8.5 of 16). Prompts ask less often for them, since they teach no mask, and
# more often for some of the others. Presence would learn those odds and say yes too often (measured: a logit 0.5 too high), so that in its
# loss a prompt weighs as much more or less.
MISSING = 0.53
ABSENT_WEIGHT = MISSING / (1 - MISSING) * (1 - ABSENT) / (ABSENT * KNOWN)
# Share of the photo from which on a concept counts as shown. A smaller sliver is neither there nor not there, and not asked for.
MIN_SHOWN_SHARE = 0.002
# How eagerly a concept that is in the photo is asked for; the ones people edit most come first.
EAGERNESS = {
    "floor": 1.6,
    "wall": 1.2,
    "ceiling": 1.1,
    "window": 1.6,
    "door": 1.6,
    "curtain": 1.6,
    "sofa": 1.5,
    "bed": 1.5,
    "rug": 2.5,
    "picture": 0.8,
    "plant": 0.6,
    "lamp": 0.6,
    "baseboard": 0.7,
}


def shrink(mask: Bools) -> Floats:
    """Bool (S,S) to the share of each mask cell that it covers, float32 (MASK, MASK)."""
    return cv2.resize(mask.astype(np.float32), (MASK, MASK), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)


def make_batch(
    cache: Cache, tok: Tokenizer, rng: np.random.Generator, images: int, prompts: int, strength: float = 1.0
) -> dict[str, torch.Tensor]:
    """One training step's data: photos, prompts with the photo they ask about, region and instance targets.

    Every photo gets at least one prompt; ``ABSENT`` of all prompts ask for something that is not there.
    """
    photos: list[Bytes] = []
    dense: list[Bytes] = []
    region: list[Floats] = []
    inst_masks: list[Floats] = []
    ids: list[str] = []
    index: list[int] = []
    presence: list[float] = []
    weight: list[float] = []
    inst_boxes: list[list[float]] = []
    inst_of: list[int] = []
    step = PATCH // 4
    for b in range(images):
        ex = augment(cache.sample(rng), cache.sample(rng), rng, strength)
        photos.append(ex[..., :3])
        concept, inst = ex[..., 3], ex[..., 4]
        dense.append(concept[step // 2 :: step, step // 2 :: step].astype(np.int64))
        counts = np.bincount(concept.ravel(), minlength=len(CONCEPTS))
        there = [c for c in range(1, len(CONCEPTS)) if counts[c] >= MIN_SHOWN_SHARE * concept.size]
        gone = [c for c in range(1, len(CONCEPTS)) if counts[c] == 0]
        total = (prompts * (b + 1)) // images - (prompts * b) // images
        n_neg = int(rng.binomial(total, ABSENT))
        eager = np.array([EAGERNESS.get(CONCEPTS[c], 1.0) for c in there])
        n_pos = min(total - n_neg, len(there))
        chosen = rng.choice(there, n_pos, replace=False, p=eager / eager.sum()).tolist() if n_pos else []
        asked: list[tuple[int, str]] = [(c, positive_prompt(CONCEPTS[c], rng)) for c in chosen]
        while len(asked) < total:
            if gone and rng.random() < KNOWN:
                asked.append((0, positive_prompt(CONCEPTS[int(rng.choice(gone))], rng)))
            else:
                asked.append((0, foreign_prompt(rng)))
        for c, text in asked:
            n = len(ids)
            ids.append(text)
            index.append(b)
            presence.append(float(c > 0))
            weight.append(float(eager.mean() / eager[there.index(c)]) if c else ABSENT_WEIGHT)
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
    phrases = [positive_prompt(c, rng) for c in CONCEPTS[1:]] + [foreign_prompt(rng) for _ in range(8)]
    phrase_ids, phrase_attention = encode(tok, phrases)
    return {
        "phrases": torch.from_numpy(phrase_ids),
        "phrase_attention": torch.from_numpy(phrase_attention),
        "kinds": torch.tensor([*range(1, len(CONCEPTS)), *[0] * 8]),
        "photos": torch.from_numpy(np.stack(photos)),
        "dense": torch.from_numpy(np.stack(dense)),
        "ids": torch.from_numpy(token_ids),
        "attention": torch.from_numpy(attention),
        "index": torch.tensor(index),
        "region": torch.from_numpy(np.stack(region)),
        "presence": torch.tensor(presence),
        "presence_weight": torch.tensor(weight),
        "inst_masks": torch.from_numpy(np.stack(inst_masks)) if inst_masks else torch.zeros(0, MASK, MASK),
        "inst_boxes": torch.tensor(inst_boxes).reshape(-1, 4),
        "inst_of": torch.tensor(inst_of, dtype=torch.long),
        "inst_slot": torch.tensor([inst_of[:i].count(n) for i, n in enumerate(inst_of)], dtype=torch.long),
    }


class Batches(IterableDataset[dict[str, torch.Tensor]]):
    """Endless batches of the rooms in some folders; every process that reads them draws its own, and looks for new shards now and then."""

    LOOK_AGAIN = 50

    def __init__(self, folders: tuple[Path, ...], images: int, prompts: int, strength: float, seed: int) -> None:
        super().__init__()
        self.folders, self.what, self.seed = folders, (images, prompts, strength), seed

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        if worker:
            # A signal to the whole process group is for the trainer, who saves first and then ends its workers.
            os.setpgrp()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        cache, tok = Cache(*self.folders), build_tokenizer()
        while True:
            cache.refresh()
            for _ in range(self.LOOK_AGAIN):
                yield make_batch(cache, tok, rng, *self.what)


def feed(
    folders: tuple[Path, ...], images: int, prompts: int, strength: float, *, seed: int, processes: int, pinned: bool
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches that ``processes`` prepare ahead: one keeps up with a CPU; a GPU wants as many as it has cores, and ``pinned`` memory, from
    which it copies while it computes."""
    loader = DataLoader(Batches(folders, images, prompts, strength, seed), batch_size=None, num_workers=processes, pin_memory=pinned)
    return iter(loader)
