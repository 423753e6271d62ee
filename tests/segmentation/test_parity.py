"""The exported graphs give transformers' answers, post-processed by transformers' own functions, on the demo checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from respray.contract import tensors
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove
from respray.editing.mask.find import find_mattes
from respray.editing.mask.select import Segments
from respray.imaging.arrays import FloatArray, UInt8Array
from respray.segmentation.export.graphs import build_graphs
from respray.segmentation.export.transformers_reference import reference_outputs
from respray.segmentation.runner import Segmenter
from respray.segmentation.spec import verify_files
from tests.segmentation.conftest import CHECKPOINT, GRAPHS
from tests.segmentation.transformers_postprocessing import instance_segmentation, semantic_segmentation

PROMPTS = ("floor", "wall", "window", "sofa", "ceiling", "a zebra", "rug", "picture frame")
TWENTY_MEGABYTES = 20_000_000
# float32 in another order of operations: what is on the threshold may fall on either side of it.
CLOSE = 1e-4
# A byte b stands for the probability b / 255, and the graphs round: 128 is the first one above one half.
MASK_LEVEL = 128


def decode(segmenter: Segmenter, squares: UInt8Array, prompts: tuple[str, ...]) -> Any:
    text, mask = segmenter.encode_prompts(prompts)
    batch = len(squares)
    return segmenter.decode(segmenter.encode_images(squares), np.stack([text] * batch), np.stack([mask] * batch))


def reference(segmenter: Segmenter, model: Any, square: UInt8Array, prompts: tuple[str, ...], cls_token: Any = "transformers") -> Any:
    ids, mask = segmenter.tokenizer(prompts)
    return reference_outputs(model, torch.from_numpy(square[None]), torch.from_numpy(ids), torch.from_numpy(mask), cls_token)


def clear_threshold(scores: FloatArray) -> float:
    """A threshold that keeps about half of the queries and has no score next to it."""
    levels = np.sort(scores.ravel())[::-1]
    middle = len(levels) // 2
    gaps = levels[middle - 8 : middle + 7] - levels[middle - 7 : middle + 8]
    at = middle - 8 + int(gaps.argmax())
    return float((levels[at] + levels[at + 1]) / 2)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_answers_equal_transformers(segmenter: Segmenter, model: Any, square: UInt8Array, count: int) -> None:
    """Chosen by the rule that serves (`find_mattes`), instances and regions are those of transformers' post-processing."""
    prompts = PROMPTS[:count]
    decoded = decode(segmenter, square[None], prompts)
    expected = reference(segmenter, model, square, prompts)
    threshold = clear_threshold(expected.scores.numpy())
    concepts = [ConceptQuery(name=prompt, prompts=[prompt], kind="object", threshold=threshold) for prompt in prompts]
    outputs = [Output(name="out", edits=[Edit(concept=prompts[0], rule=Remove(mode="transparent"))])]
    segments = Segments(**{name: getattr(decoded, name)[0] for name in tensors.SEGMENTS})
    found = find_mattes(square, PhotoRequest(concepts=concepts, outputs=outputs), segments, []).concepts
    for index, prompt in enumerate(prompts):
        theirs = instance_segmentation(expected.raw[index], threshold, None)
        order = torch.argsort(theirs["scores"], descending=True, stable=True).numpy()
        np.testing.assert_allclose(decoded.scores[0, index][: len(order)], theirs["scores"].numpy()[order], atol=CLOSE)
        np.testing.assert_allclose(decoded.boxes[0, index][: len(order)], theirs["boxes"].numpy()[order], atol=CLOSE)
        region = decoded.region[0, index] >= MASK_LEVEL
        # Bytes instead of floats: only pixels whose probability lies within 1/510 of one half may differ.
        assert (region != (semantic_segmentation(expected.raw[index], None).numpy() > 0)).mean() <= 2e-3
        masks_there = (theirs["masks"].numpy() > 0)[order] if len(order) else np.zeros((0, *region.shape), bool)
        if not found[prompt].report.found:  # covers next to nothing of the photo
            assert masks_there.any(axis=0).mean() <= 2e-3
            continue
        masks = np.stack(found[prompt].instances) >= MASK_LEVEL
        assert masks.shape == masks_there.shape
        assert (masks != masks_there).mean() <= 2e-3


def test_region_and_masks_are_the_rounded_probabilities(segmenter: Segmenter, model: Any, square: UInt8Array) -> None:
    decoded = decode(segmenter, square[None], PROMPTS[:3])
    expected = reference(segmenter, model, square, PROMPTS[:3])
    assert np.abs(decoded.region[0] - expected.region.numpy() * 255).max() <= 0.6
    best = expected.scores.argsort(dim=1, descending=True)[:, : segmenter.spec.queries].numpy()
    clear = np.abs(np.diff(np.take_along_axis(expected.scores.numpy(), best, 1), axis=1)).min(axis=1) > CLOSE
    masks = np.take_along_axis(expected.masks.numpy(), best[..., None, None], 1) * 255
    for concept in np.flatnonzero(clear):
        assert np.abs(decoded.masks[0, concept] - masks[concept]).max() <= 0.6


def test_batches_of_photos_and_padding_concepts_change_nothing(segmenter: Segmenter, square: UInt8Array) -> None:
    squares = np.stack([square, square[:, ::-1]])
    together = decode(segmenter, squares, PROMPTS[:3])
    for photo in range(2):
        alone = decode(segmenter, squares[photo : photo + 1], PROMPTS[:3])
        np.testing.assert_allclose(together.scores[photo], alone.scores[0], atol=CLOSE)
        assert np.abs(together.region[photo].astype(int) - alone.region[0]).max() <= 1
    # A bucket's padding: zero features, nothing valid in the mask. It must neither disturb the others nor give NaN.
    text, mask = segmenter.encode_prompts(PROMPTS[:3])
    text, mask = np.concatenate([text, np.zeros_like(text[:1])]), np.concatenate([mask, np.zeros_like(mask[:1])])
    padded = segmenter.decode(segmenter.encode_images(squares[:1]), text[None], mask[None])
    np.testing.assert_allclose(padded.scores[0, :3], together.scores[0], atol=CLOSE)
    assert np.isfinite(padded.scores).all() and np.isfinite(padded.boxes).all()


def test_meta_cls_token_follows_the_geometry_encoder(segmenter: Segmenter, model: Any, square: UInt8Array) -> None:
    prompts = PROMPTS[:2]
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(prompts))
    graphs = build_graphs(model, "fp32", "explicit", segmenter.spec.queries, "meta")
    with torch.no_grad():
        features = graphs.image_encoder(torch.from_numpy(square[None]))
        _, scores, _, presence, region = graphs.concept_decoder(*features, graphs.text_encoder(ids, mask)[None], mask[None])
    meta = reference(segmenter, model, square, prompts, "meta")
    plain = reference(segmenter, model, square, prompts)
    best = meta.scores.sort(dim=1, descending=True).values[:, : segmenter.spec.queries]
    np.testing.assert_allclose(scores[0].numpy(), best.numpy(), atol=CLOSE)
    np.testing.assert_allclose(presence[0].numpy(), meta.presence.numpy(), atol=CLOSE)
    assert np.abs(region[0].numpy() - meta.region.numpy() * 255).max() <= 0.6
    assert not torch.allclose(meta.scores, plain.scores, atol=1e-7), "the CLS token must matter, or this test shows nothing"


def test_half_precision_keeps_the_answers(model: Any, segmenter: Segmenter, square: UInt8Array) -> None:
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(PROMPTS[:2]))
    graphs = build_graphs(model, "fp16", "explicit", segmenter.spec.queries, "transformers")
    with torch.no_grad():
        features = graphs.image_encoder(torch.from_numpy(square[None]))
        assert all(feature.dtype == torch.float16 for feature in features)
        _, scores, boxes, _, region = graphs.concept_decoder(*features, graphs.text_encoder(ids, mask)[None], mask[None])
    assert scores.dtype == torch.float32 and boxes.dtype == torch.float32
    expected = reference(segmenter, model, square, PROMPTS[:2])
    there = (expected.region.numpy() * 255).ravel()
    here = region[0].numpy().astype(np.float64).ravel()
    assert here @ there / np.linalg.norm(here) / np.linalg.norm(there) > 0.999
    assert next(model.parameters()).dtype == torch.float32, "building FP16 graphs must not change the model"


def test_graphs_belong_to_the_checkpoint_and_both_are_small() -> None:
    """Checkpoint and graphs ship twice; neither may exceed 20 MB, and the files must be those that spec.json describes."""
    for folder in (CHECKPOINT, GRAPHS):
        assert sum(file.stat().st_size for file in folder.iterdir()) <= TWENTY_MEGABYTES, folder
    segmenter = Segmenter(GRAPHS)
    verify_files(segmenter.spec, GRAPHS)
    assert segmenter.spec.is_demo and segmenter.spec.name == "demo"
    assert (CHECKPOINT / "tokenizer.json").read_bytes() == (GRAPHS / "tokenizer.json").read_bytes()


def test_graph_files_hold_no_paths_of_the_machine_that_made_them() -> None:
    home = str(Path(__file__).resolve().parents[2]).encode()
    for file in GRAPHS.iterdir():
        data = file.read_bytes()
        assert home not in data and b"site-packages" not in data, file
