"""Values that FP16 cannot hold are found at export: a CPU runs the FP16 graphs as if nothing had happened."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch

from respray.imaging.arrays import UInt8Array
from respray.segmentation.errors import ParityError
from respray.segmentation.export.graphs import build_graphs
from respray.segmentation.export.half_range import check_half_range, peaks
from respray.segmentation.export.parity import check_parity
from respray.segmentation.runner import Segmenter
from tests.segmentation.conftest import GRAPHS


def spiked(model: Any, weight: float = 0.0, bias: float = 0.0) -> Any:
    """A copy with a large hidden value that nothing reads: the answers are the same."""
    changed = copy.deepcopy(model)
    mlp = changed.vision_encoder.backbone.layers[1].mlp
    mlp.fc1.weight[5] = 0.0
    mlp.fc1.weight[5, 0] = weight
    mlp.fc1.bias[5] = bias
    mlp.fc2.weight[:, 5] = 0.0
    return changed


def check(model: Any, segmenter: Segmenter, square: UInt8Array) -> None:
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(["floor"]))
    check_half_range(build_graphs(model, "fp32", "explicit", 4, "transformers"), torch.from_numpy(square[None]), ids, mask)


def test_the_check_of_an_fp16_export_names_what_would_overflow(model: Any, segmenter: Segmenter) -> None:
    spec = segmenter.spec.model_copy(update={"precision": "fp16"})
    with pytest.raises(ParityError, match=r"65,504: image_encoder\.layers\.1\.mlp\.fc1 \([\d,]{6,}\).*--precision fp32"):
        # The weight itself fits FP16.
        check_parity(spiked(model, weight=5e4), spec, GRAPHS, threads=1)


def test_large_values_are_a_warning_and_usual_ones_are_none(
    model: Any, segmenter: Segmenter, square: UInt8Array, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check(model, segmenter, square)
        assert not caplog.messages
        check(spiked(model, bias=2e4), segmenter, square)
    assert len(caplog.messages) == 1 and "image_encoder.layers.1.mlp" in caplog.messages[0]


def test_scores_inside_attention_are_seen(model: Any, segmenter: Segmenter, square: UInt8Array) -> None:
    """They are products within a module; queries and keys that are harmless on their own can make large ones."""
    changed = copy.deepcopy(model)
    attention = changed.vision_encoder.backbone.layers[1].attention
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight *= 300.0
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(["floor"]))
    found = peaks(build_graphs(changed, "fp32", "explicit", 4, "transformers"), torch.from_numpy(square[None]), ids, mask)
    assert found["image_encoder.layers.1.query_key"] < 1e4 < found["image_encoder.layers.1"]
    assert not any(module._forward_hooks for module in changed.modules()), "the model must be left as it was"
