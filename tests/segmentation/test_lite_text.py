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

from respray.contract import tensors
from respray.segmentation.device import CPU
from respray.segmentation.export.check_graph import check_folder
from respray.segmentation.export.checkpoints import find_checkpoint, load_model
from respray.segmentation.export.parity import SHOWN, drawn_photo, geometry_inputs
from respray.segmentation.export.transformers_reference import reference_outputs
from respray.segmentation.runner import GraphRunner, Segmenter
from respray.segmentation.spec import GRAPH_NAMES
from respray.triton.repository.configs import configs
from respray.triton.repository.targets import target
from tests.segmentation.conftest import PROJECT
from tests.segmentation.test_graphs import lite

pytestmark = pytest.mark.slow
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


def test_the_configurations_join_the_graphs_for_boxes(checkpoint: Path, exported: Path) -> None:
    """`sam3_boxes` as it is configured, step by step through the exported graphs, gives transformers' answers."""
    segmenter = Segmenter(exported, threads=1)
    built = configs(segmenter.spec, target("embedded"))
    image = drawn_photo(segmenter.spec.image_size)[None]
    ids, mask = segmenter.tokenizer(PROMPTS)
    shown = geometry_inputs(segmenter.spec, segmenter.encode_images(image), SHOWN)
    tokens = {tensors.TEXT_FEATURES: segmenter.encode_prompts(PROMPTS)[0][None], tensors.TEXT_MASK: mask[None]}
    known = {tensors.IMAGE: image, tensors.BOX_PROMPTS: shown[tensors.BOX_PROMPTS], tensors.BOX_LABELS: shown[tensors.BOX_LABELS], **tokens}
    assert set(known) == {given.name for given in built["sam3_boxes"].input}
    for step in built["sam3_boxes"].ensemble_scheduling.step:
        run = GraphRunner(exported / f"{step.model_name}.onnx", 1, CPU)
        assert {tensor.name for tensor in built[step.model_name].output} == set(run.outputs)
        answers = run({name: known[source] for name, source in step.input_map.items()})
        known |= {source: answers[name] for name, source in step.output_map.items()}
    model = load_model(find_checkpoint(str(checkpoint)))
    words = (torch.from_numpy(ids), torch.from_numpy(mask))
    expected = reference_outputs(model, torch.from_numpy(image), *words, "transformers", SHOWN)
    best = np.sort(expected.scores.numpy(), axis=1)[:, ::-1][:, :QUERIES]
    np.testing.assert_allclose(known[tensors.SCORES][0], best, atol=1e-4)
    assert np.abs(known[tensors.REGION][0] - expected.region.numpy() * 255).max() <= 1.0


def test_the_graphs_for_boxes_are_fit_for_tensorrt(exported: Path) -> None:
    assert graphs_in(exported) == {"sam3_geometry_encoder", *GRAPH_NAMES}
    assert [finding for finding in check_folder(exported) if finding.severity == "error"] == []


def graphs_in(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.onnx")}


def test_the_spec_describes_the_smaller_text_encoder(exported: Path) -> None:
    spec = Segmenter(exported, threads=1).spec
    # The tower could take 77 tokens; SAM3's prompts have 32.
    assert (spec.text_length, spec.vocabulary, spec.queries, spec.is_demo) == (32, 99, QUERIES, False)
