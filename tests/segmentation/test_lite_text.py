"""A `sam3_lite_text` checkpoint goes through the real export script, and its ONNX graphs give transformers' answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from respray.segmentation.export.checkpoints import find_checkpoint, load_model
from respray.segmentation.export.parity import drawn_photo
from respray.segmentation.export.transformers_reference import reference_outputs
from respray.segmentation.runner import Segmenter
from tests.segmentation.conftest import PROJECT
from tests.segmentation.test_graphs import lite

PROMPTS = ("floor", "white wall", "something else entirely")
WORDS = ("[PAD]", "[UNK]", "floor", "wall", "white", "window")
QUERIES = 12


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights and a tokenizer of six words, as they would lie in a folder from the hub."""
    folder = tmp_path_factory.mktemp("lite")
    lite(4, 8, layers=2).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `scripts/export_onnx.py` writes; its own comparison with PyTorch has passed."""
    out = tmp_path_factory.mktemp("exported") / "graphs"
    command = [sys.executable, str(PROJECT / "scripts" / "export_onnx.py"), "--checkpoint", str(checkpoint), "--out", str(out)]
    run = subprocess.run([*command, "--queries", str(QUERIES)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture(scope="module")
def expected(checkpoint: Path, exported: Path) -> Any:
    """transformers' outputs for a drawn photo and `PROMPTS`."""
    model = load_model(find_checkpoint(str(checkpoint)))
    assert model.config.model_type == "sam3_lite_text"
    segmenter = Segmenter(exported, threads=1)
    ids, mask = (torch.from_numpy(part) for part in segmenter.tokenizer(PROMPTS))
    return reference_outputs(model, torch.from_numpy(drawn_photo(segmenter.spec.image_size)[None]), ids, mask, "transformers")


def test_graphs_run_and_agree_with_pytorch(exported: Path, expected: Any) -> None:
    segmenter = Segmenter(exported, threads=1)
    features = segmenter.encode_images(drawn_photo(segmenter.spec.image_size)[None])
    text, mask = segmenter.encode_prompts(PROMPTS)
    assert text.shape == (3, 32, 32)
    decoded = segmenter.decode(features, text[None], mask[None])
    best = np.sort(expected.scores.numpy(), axis=1)[:, ::-1][:, :QUERIES]
    np.testing.assert_allclose(decoded.scores[0], best, atol=1e-4)
    np.testing.assert_allclose(decoded.presence[0], expected.presence.numpy(), atol=1e-4)
    assert np.abs(decoded.region[0] - expected.region.numpy() * 255).max() <= 1.0
    assert not np.allclose(decoded.scores[0, 0], decoded.scores[0, 1], atol=1e-4), "the words must matter, or this test shows nothing"


def test_the_spec_describes_the_smaller_text_encoder(exported: Path) -> None:
    spec = Segmenter(exported, threads=1).spec
    # The tower could take 77 tokens; SAM3's prompts have 32.
    assert (spec.text_length, spec.vocabulary, spec.queries, spec.is_demo) == (32, 99, QUERIES, False)
