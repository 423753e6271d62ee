"""Boxes as examples: the geometry encoder's graph gives transformers' answers, and prompts without boxes are what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from respray.contract.request import MAX_BOXES
from respray.imaging.arrays import UInt8Array
from respray.segmentation.errors import CheckpointError
from respray.segmentation.export.graphs import Graphs, build_graphs
from respray.segmentation.export.graphs.build_graphs import prompt_length
from respray.segmentation.export.graphs.geometry_encoder import RoiWeights
from respray.segmentation.export.parity import SHOWN
from respray.segmentation.export.transformers_reference import Boxes, _roi_align, reference_outputs
from respray.segmentation.spec import NO_BOX, ClsToken
from tests.segmentation.test_graphs import lite, sam3

# float32 in another order of operations.
CLOSE = 1e-4
QUERIES = 12


def padded(shown: tuple[Boxes, ...]) -> tuple[Tensor, Tensor]:
    boxes, labels = torch.zeros(1, len(shown), MAX_BOXES, 4), torch.full((1, len(shown), MAX_BOXES), NO_BOX, dtype=torch.int32)
    for row, given in enumerate(shown):
        for column, (box, meant) in enumerate(given):
            boxes[0, row, column], labels[0, row, column] = torch.tensor(box), int(meant)
    return boxes, labels


def answers(graphs: Graphs, image: Tensor, ids: Tensor, mask: Tensor, shown: tuple[Boxes, ...] | None) -> tuple[Tensor, ...]:
    """The decoder's outputs for one photo; `shown` None: without the geometry encoder."""
    features, text = graphs.image_encoder(image), graphs.text_encoder(ids, mask)[None]
    prompts = (text, mask[None])
    if shown is not None:
        assert graphs.geometry_encoder is not None
        prompts = graphs.geometry_encoder(features[-1], *padded(shown), *prompts)
    return tuple(graphs.concept_decoder(*features[:3], *prompts))


def words(length: int) -> tuple[Tensor, Tensor]:
    ids = torch.from_numpy(np.random.default_rng(0).integers(2, 99, (3, length), dtype=np.int32))
    return ids, (torch.arange(length) < torch.tensor([[3], [9], [length]])).int()


def photo(side: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("grid", [8, 30, 72])
def test_two_products_are_roi_align(grid: int) -> None:
    """Against ONNX Runtime's operator, boxes of less than a cell and of the whole photo among them."""
    rng = np.random.default_rng(grid)
    corners = np.sort(rng.uniform(0, 1, (30, 2, 2)), axis=1).reshape(30, 4)
    boxes = torch.from_numpy(np.concatenate([corners, [[0, 0, 1, 1], [0.5, 0.5, 0.501, 0.501], [0.99, 0.99, 1, 1]]]).astype(np.float32))
    features = torch.from_numpy(rng.normal(size=(1, 4, grid, grid)).astype(np.float32))
    weights = RoiWeights(grid, 7)
    rows, columns = weights(boxes[:, 1], boxes[:, 3]), weights(boxes[:, 0], boxes[:, 2])
    mine = torch.einsum("niy,cyx,njx->ncij", rows, features[0], columns)
    assert (mine - _roi_align(features, [boxes * grid], 7)).abs().max() < CLOSE


@pytest.mark.parametrize("cls_token", ["transformers", "meta"])
@pytest.mark.parametrize("make", [lambda: sam3(4, 8), lambda: lite(4, 8)], ids=["sam3", "sam3-lite-text"])
@torch.no_grad()
def test_none_one_and_four_boxes_equal_transformers(make: Callable[[], Any], cls_token: ClsToken) -> None:
    model = make()
    ids, mask = words(prompt_length(model))
    image = photo(112)
    _, scores, _, presence, region = answers(build_graphs(model, "fp32", "explicit", QUERIES, cls_token, True), image, ids, mask, SHOWN)
    expected = reference_outputs(model, image, ids, mask, cls_token, SHOWN)
    assert torch.allclose(scores[0], expected.scores.topk(QUERIES, dim=1).values, atol=CLOSE)
    assert torch.allclose(presence[0], expected.presence, atol=CLOSE)
    assert (region[0].float() - expected.region * 255).abs().max() <= 0.6
    without = reference_outputs(model, image, ids, mask, cls_token)
    changed = (expected.region - without.region).abs().amax(dim=(1, 2)) > 10 * CLOSE
    assert changed.tolist() == [False, True, True], "the boxes must matter, or this test shows nothing"


@torch.no_grad()
def test_the_demo_checkpoints_boxes_equal_transformers(model: Any, segmenter: Any, square: UInt8Array) -> None:
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(("floor", "wall", "window")))
    image = torch.from_numpy(square[None])
    graphs = build_graphs(model, "fp32", "explicit", QUERIES, "transformers", True)
    _, scores, _, _, region = answers(graphs, image, ids, mask, SHOWN)
    expected = reference_outputs(model, image, ids, mask, "transformers", SHOWN)
    assert torch.allclose(scores[0], expected.scores.topk(QUERIES, dim=1).values, atol=CLOSE)
    assert (region[0].float() - expected.region * 255).abs().max() <= 0.6


@pytest.mark.parametrize("cls_token", ["transformers", "meta"])
@torch.no_grad()
def test_without_boxes_the_answers_are_the_same_to_the_bit(cls_token: ClsToken) -> None:
    model = sam3(4, 8)
    ids, mask = words(prompt_length(model))
    taking, plain = (build_graphs(model, "fp32", "explicit", QUERIES, cls_token, boxes) for boxes in (True, False))
    for mine, theirs in zip(answers(taking, photo(112), ids, mask, None), answers(plain, photo(112), ids, mask, None), strict=True):
        assert torch.equal(mine, theirs)


@torch.no_grad()
def test_what_is_and_what_is_not_meant_differ_and_padding_does_nothing() -> None:
    model = sam3(4, 8)
    ids, mask = words(prompt_length(model))
    graphs = build_graphs(model, "fp32", "explicit", QUERIES, "transformers", True)
    assert graphs.geometry_encoder is not None
    features, text = graphs.image_encoder(photo(112)), graphs.text_encoder(ids, mask)[None]
    box = (0.1, 0.2, 0.6, 0.7)
    prompts, valid = graphs.geometry_encoder(features[-1], *padded((((box, True),), ((box, False),), ())), text, mask[None])
    length = mask.shape[1]
    assert valid[0, :, length:].sum(dim=1).tolist() == [2, 2, 0]  # a box, and the encoder's own token
    assert torch.equal(prompts[:, :, :length], text)
    assert (prompts[0, 0, length] - prompts[0, 1, length]).abs().max() > 0.01
    boxes, labels = padded((((box, True),),) * 3)
    boxes[:, :, 1:] = torch.rand(1, 3, MAX_BOXES - 1, 4)
    noisy, _ = graphs.geometry_encoder(features[-1], boxes, labels, text, mask[None])
    clean, _ = graphs.geometry_encoder(features[-1], *padded((((box, True),),) * 3), text, mask[None])
    for token in (length, -1):
        assert torch.allclose(noisy[:, :, token], clean[:, :, token], atol=1e-5)


def test_half_precision_keeps_places_of_boxes() -> None:
    model = sam3(4, 8)
    half = build_graphs(model, "fp16", "explicit", QUERIES, "transformers", True).geometry_encoder
    assert half is not None
    kept = {name for name, value in (*half.named_parameters(), *half.named_buffers()) if value.dtype == torch.float32}
    assert {"direct.weight", "placed.weight", "dim_t", "weights.cells"} <= kept and "pooled.weight" not in kept


def test_a_geometry_encoder_of_another_width_is_named() -> None:
    model = sam3(4, 8)
    model.config.geometry_encoder_config.hidden_size = 48
    with pytest.raises(CheckpointError, match="geometry encoder has the width 48 and the rest 32; export without boxes"):
        build_graphs(model, "fp32", "explicit", QUERIES, "transformers", True)
