"""What the demo model is trained with: cached scenes, prompts, tokens, and a forward pass equal to the library's."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training.augment import PASTED, REPAINTED, augment, paste, repaint, sunlight
from training.dataset import FIRST_HELD_OUT_SEED, SHARD, STRIDE, Cache, render_example, seed_showing
from training.scenes import CONCEPTS, sample_room
from training.scenes.sensor import srgb_decode
from training.vocabulary import ABSENT, MAX_TOKENS, SYNONYMS, build_tokenizer, encode, foreign_prompt, positive_prompt


def test_example_and_augmentation_keep_labels_whole() -> None:
    example = render_example(10_920_000, 80)
    assert example.shape == (80, 80, 5) and example.dtype == np.uint8
    rng = np.random.default_rng(0)
    own = {tuple(p) for p in example[..., 3:].reshape(-1, 2)}
    before = example.copy()
    for _ in range(12):
        out = augment(example, example, rng)
        assert out.shape == example.shape and out.dtype == np.uint8
        foreign = {tuple(p) for p in out[..., 3:].reshape(-1, 2)} - own
        # Of a thing that was pasted, which has a number that no other has.
        assert all(CONCEPTS[c] in PASTED and n > example[..., 4].max() for c, n in foreign)
        assert len({n for _, n in foreign}) == len(foreign) <= 2
    assert np.array_equal(example, before)


def test_a_pasted_thing_looks_as_in_its_own_photo_and_the_rest_stays() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for seed in range(10_920_000, 10_920_024, 2):
        room, other = render_example(seed, 80), render_example(seed + 1, 80)
        out = room.copy()
        paste(out, other, rng)
        new = out[..., 4] > room[..., 4].max()
        far = cv2.dilate(new.astype(np.uint8), np.ones((3, 3))) == 0
        assert np.array_equal(out[far], room[far])
        assert (out[new][:, 3] == other[new][:, 3]).all()
        inside = cv2.erode(new.astype(np.uint8), np.ones((3, 3))) > 0
        # Two things may overlap: the second one's soft edge lies within the first.
        assert not new.any() or (out[inside][:, :3] == other[inside][:, :3]).mean() > 0.9
        seen |= {CONCEPTS[c] for c in np.unique(out[new][:, 3])}
        for c in seen & {"rug"}:
            assert np.isin(room[new & (out[..., 3] == CONCEPTS.index(c))][:, 3], [CONCEPTS.index("floor"), CONCEPTS.index(c)]).all()
    assert len(seen) >= 4


def test_the_edge_of_a_pasted_thing_is_as_soft_as_if_the_whole_mask_had_been_blurred() -> None:
    room, other = (np.full((60, 60, 5), value, np.uint8) for value in (40, 200))
    room[..., 3:], other[..., 3:] = (CONCEPTS.index("wall"), 1), (CONCEPTS.index("wall"), 1)
    other[20:33, 25:35, 3:] = CONCEPTS.index("window"), 2
    out = room.copy()
    paste(out, other, np.random.default_rng(0))
    soft = cv2.blur((out[..., 4] == 2).astype(np.float32), (3, 3))[..., None]
    assert (out[..., 4] == 2).sum() == 130
    assert np.array_equal(out[..., :3], (room[..., :3] * (1 - soft) + other[..., :3] * soft + 0.5).astype(np.uint8))


def test_repainting_changes_the_albedo_of_one_concept_only() -> None:
    example = render_example(10_920_000, 80)
    concept = example[..., 3]
    painted = example[..., :3].copy()
    repaint(painted, concept, np.random.default_rng(1))
    changed = (painted != example[..., :3]).any(-1)
    c = int(concept[changed][0])
    assert c in REPAINTED and (concept[changed] == c).all() and changed[concept == c].mean() > 0.9
    # In linear light every channel is multiplied by one factor, up to rounding and clipping.
    before, after = (srgb_decode(image[concept == c].astype(float) / 255.0) for image in (example[..., :3], painted))
    usable = (painted[concept == c] < 250).all(-1) & (painted[concept == c] > 25).all(-1) & (example[..., :3][concept == c] > 25).all(-1)
    factor = after[usable] / before[usable]
    assert usable.sum() > 50 and (factor.std(0) < 0.06 * factor.mean(0)).all()


def test_sunlight_brightens_a_patch_and_leaves_the_rest_to_the_code() -> None:
    photo = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 256, axis=1).repeat(3, axis=2)
    shares, burnt = [], 0
    for seed in range(20):
        lit = photo.copy()
        sunlight(lit, np.random.default_rng(seed))
        assert (lit[..., 0] >= photo[..., 0]).all(), "red is never dimmed"
        shares.append(float((lit != photo).any(-1).mean()))
        burnt += bool((lit[:200] == 255).any())
    assert 0 < np.median(shares) < 0.5 and burnt > 5


def test_cache_finds_new_shards(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.refresh() == 0
    np.save(tmp_path / "000000.npy", np.zeros((SHARD, 8, 8, 5), np.uint8))
    assert cache.refresh() == SHARD and cache.sample(np.random.default_rng(0)).shape == (8, 8, 5)


def test_a_signal_to_the_process_group_leaves_the_feeders_to_the_trainer(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shard = np.zeros((SHARD, 480, 480, 5), np.uint8)
    shard[..., 240:, :, 3:] = CONCEPTS.index("floor"), 1
    np.save(tmp_path / "000000.npy", shard)
    code = """
import os, signal, sys
from pathlib import Path
from training.batches import feed
told = []
batches = feed((Path(sys.argv[1]),), 1, 2, 0.5, seed=0, processes=2, pinned=False)
next(batches)
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
os.killpg(0, signal.SIGTERM)
for _ in range(8):
    next(batches)
print("told" if told else "not told")
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
        timeout=120,
    )
    assert run.stdout.strip() == "told", run.stderr


def test_cache_reads_several_folders_whose_shards_have_the_same_names(tmp_path: Path) -> None:
    for number, name in enumerate(("all", "rugs")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "000000.npy", np.full((SHARD, 8, 8, 5), number, np.uint8))
    cache = Cache(tmp_path / "all", tmp_path / "rugs")
    rng = np.random.default_rng(0)
    assert cache.refresh() == 2 * SHARD and {int(cache.sample(rng)[0, 0, 0]) for _ in range(40)} == {0, 1}


def test_rooms_for_a_concept_show_it_and_never_are_the_held_out_ones() -> None:
    rug = CONCEPTS.index("rug")
    seeds = [seed_showing(s, "rug") for s in range(20)]
    assert all((sample_room(s).concept_of == rug).any() for s in seeds)
    assert len(set(seeds)) == 20 and max(seeds) < FIRST_HELD_OUT_SEED and all(s % STRIDE == i for i, s in enumerate(seeds))


def test_any_text_has_tokens() -> None:
    tok = build_tokenizer()
    for text in ("Sofa", "größe 壁紙 🙂", "x" * 500, ""):
        ids, mask = encode(tok, [text])
        assert ids.shape == mask.shape == (1, MAX_TOKENS)
        assert ids[0, 0] == 1 and ids.max() < 1024 and 3 not in ids
    assert np.array_equal(encode(tok, ["SOFA"])[0], encode(tok, [" sofa "])[0])


def test_prompts() -> None:
    rng = np.random.default_rng(0)
    assert set(SYNONYMS) == set(CONCEPTS) - {"other"}
    words = {w for phrases in SYNONYMS.values() for p in phrases for w in p.split()}
    for _ in range(300):
        assert not set(foreign_prompt(rng).split()) & words
    assert any(w in positive_prompt("door", rng) for w in ("door",))
    assert len(ABSENT) > 100


@pytest.fixture(scope="module")
def model() -> Any:
    pytest.importorskip("transformers")
    from training import model

    return model


def test_training_forward_is_the_models_own(model: Any) -> None:
    import torch
    from transformers import Sam3Model

    from training.losses import xyxy

    torch.manual_seed(0)
    net = Sam3Model._from_config(model.demo_config(), attn_implementation="eager").eval()
    pixels = torch.rand(1, 3, model.IMAGE, model.IMAGE) * 2 - 1
    ids, attention = (torch.from_numpy(a) for a in encode(build_tokenizer(), ["floor", "a xyzzy"]))
    with torch.no_grad():
        own = net(pixel_values=pixels.repeat(2, 1, 1, 1), input_ids=ids, attention_mask=attention)
        out = model.forward(net, pixels, ids, attention, torch.zeros(2, dtype=torch.long))
        region, masks = model.masks_of(out, torch.arange(model.QUERIES)[None].repeat(2, 1))
    assert torch.allclose(own.semantic_seg[:, 0], region, atol=1e-5)
    assert torch.allclose(own.pred_masks, masks, atol=1e-5)
    assert torch.allclose(own.pred_boxes, xyxy(out["boxes"][-1]), atol=1e-5)
    assert torch.allclose(own.pred_logits, out["logits"][-1], atol=1e-5)
    assert torch.allclose(own.presence_logits[:, 0], out["presence"][-1], atol=1e-5)


def test_a_model_takes_over_what_one_for_smaller_photos_knows(model: Any) -> None:
    import torch

    small, large = (torch.nn.ModuleDict({"embeddings": torch.nn.Module(), "other": torch.nn.Linear(n, 2)}) for n in (2, 3))
    rows = torch.arange(16.0).repeat_interleave(16)
    small["embeddings"].position_embeddings = torch.nn.Parameter(torch.stack([rows, rows.view(16, 16).T.flatten()], 1)[None])
    large["embeddings"].position_embeddings = torch.nn.Parameter(torch.zeros(1, 32 * 32, 2))
    before = large.state_dict()["other.weight"].clone()
    model.take_over(large, small.state_dict())
    after = large.state_dict()
    table = after["embeddings.position_embeddings"].view(32, 32, 2)
    inner = (torch.arange(32.0) + 0.5) / 2 - 0.5  # where the finer cells' middles lie among the coarse ones'
    assert torch.allclose(table[4:28, 16, 0], inner[4:28], atol=0.1) and torch.allclose(table[16, 4:28, 1], inner[4:28], atol=0.1)
    assert torch.equal(after["other.weight"], before)
    assert torch.equal(after["other.bias"], small.state_dict()["other.bias"])


def test_heads_warm_up_without_moving_the_model(model: Any) -> None:
    import torch

    from training.optimise import warm_up_heads

    torch.manual_seed(0)
    body, head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 1)
    x, before = torch.randn(256, 8), body.weight.clone()
    losses: list[torch.Tensor] = []

    def loss() -> torch.Tensor:
        with torch.no_grad():
            seen = body(x)
        losses.append((head(seen) - 0.2 * x[:, :1]).square().mean())
        return losses[-1]

    warm_up_heads(head.parameters(), loss)
    assert losses[-1].item() < 0.5 * losses[0].item()
    assert torch.equal(body.weight, before) and body.weight.grad is None


def test_faster_rotation_is_the_same(model: Any) -> None:
    import torch
    from transformers.models.sam3.modeling_sam3 import apply_rotary_pos_emb_2d

    q, k, cos, sin = torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(9, 8), torch.randn(9, 8)
    for a, b in zip(model.rotate(q, k, cos, sin), apply_rotary_pos_emb_2d(q, k, cos, sin), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_fresh_heads_look_at_their_neighbours(model: Any) -> None:
    import torch
    from transformers import Sam3Model

    backbone = Sam3Model._from_config(model.demo_config(), attn_implementation="eager").vision_encoder.backbone.eval()
    model.initialise(backbone)
    model.init_local_attention(backbone)
    seen = []
    backbone.layers[0].attention.register_forward_hook(lambda module, given, out: seen.append(out[1]))
    with torch.no_grad():
        backbone(torch.rand(1, 3, model.IMAGE, model.IMAGE) * 2 - 1)
    grid = backbone.config.window_size
    middle = grid // 2 * grid + grid // 2
    places = [divmod(int(seen[0][0, head, middle].argmax()), grid) for head in range(len(model.NEIGHBOURS))]
    assert [(x - grid // 2, y - grid // 2) for y, x in places] == list(model.NEIGHBOURS)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_muon_steps_as_torchs_does(model: Any, shape: tuple[int, int]) -> None:
    import torch

    from training.optimise import Muon

    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    both = [Muon([{"params": [ours]}], lr=0.1), torch.optim.Muon([theirs], lr=0.1, weight_decay=0.05)]
    for _ in range(3):
        gradient = torch.randn(shape)
        for p, optimiser in zip((ours, theirs), both, strict=True):
            p.grad = gradient.clone()
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=0.02)  # that one multiplies in bfloat16
    assert (ours - start).abs().max().item() > 0.05


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_matrices_made_orthogonal_together_are_those_made_alone(model: Any, shape: tuple[int, int]) -> None:
    """A GPU does all of one shape at once, a CPU one after the other."""
    import torch

    from training.optimise import orthogonal

    torch.manual_seed(0)
    matrices = torch.randn(5, *shape) * torch.logspace(-2, 2, 5)[:, None, None]
    together = orthogonal(matrices, 5)
    assert torch.allclose(together, torch.cat([orthogonal(m[None], 5) for m in matrices]), atol=1e-5)
