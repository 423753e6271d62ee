"""The layout of the published repository: one `sam3_video` checkpoint with detector and tracker, of which the detector is exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

from respray.segmentation.errors import CheckpointError
from respray.segmentation.export.checkpoints import find_checkpoint, load_model

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo" / "checkpoint"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The demo's weights as facebook/sam3 lays out its own: `detector_model.*` beside the tracker's, and a configuration of both."""
    import torch

    weights = {f"detector_model.{name}": tensor for name, tensor in load_file(DEMO / "model.safetensors").items()}
    weights |= {"tracker_model.mask_decoder.weight": torch.zeros(2, 2), "tracker_neck.fpn_layers.0.weight": torch.zeros(2, 2)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config | {"detector_config": json.loads((DEMO / "config.json").read_text())}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / name, tmp_path)
    return tmp_path


def test_the_detector_of_a_video_checkpoint_is_loaded_and_the_tracker_is_left(published: Path) -> None:
    import torch

    model, demo = load_model(find_checkpoint(str(published))), load_model(find_checkpoint(str(DEMO)))
    assert type(model).__name__ == "Sam3Model"
    given, expected = model.state_dict(), demo.state_dict()
    assert given.keys() == expected.keys()
    assert all(torch.equal(given[name], expected[name]) for name in expected)


def test_a_detector_that_is_not_whole_is_an_error(published: Path) -> None:
    weights = load_file(published / "model.safetensors")
    weights.pop(next(name for name in weights if name.startswith("detector_model.")))
    save_file(weights, published / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="1 are missing"):
        load_model(find_checkpoint(str(published)))
