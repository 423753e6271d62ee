"""The demo checkpoint as transformers' model and as exported graphs, loaded once per session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from respray.imaging.arrays import UInt8Array
from respray.segmentation.export.checkpoints import find_checkpoint, load_model
from respray.segmentation.export.parity import drawn_photo
from respray.segmentation.prepare import to_square
from respray.segmentation.runner import Segmenter

PROJECT = Path(__file__).resolve().parents[2]
CHECKPOINT = PROJECT / "models" / "demo" / "checkpoint"
GRAPHS = PROJECT / "respray" / "weights" / "demo" / "graphs"


# These models are small: several threads that wait for each other cost more than they bring, most of all on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model() -> Any:
    """The demo checkpoint in transformers, eager attention."""
    return load_model(find_checkpoint("demo", demo=CHECKPOINT))


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """The committed graphs of the demo checkpoint."""
    return Segmenter(GRAPHS, threads=1)


@pytest.fixture(scope="session")
def square(segmenter: Segmenter) -> UInt8Array:
    """A demo photo, or a drawn one where there is none, as the encoder takes it."""
    import cv2

    photos = sorted((PROJECT / "respray" / "demo" / "photos").glob("*.jpg"))
    if not photos:
        return drawn_photo(segmenter.spec.image_size)
    return to_square(np.ascontiguousarray(cv2.imread(str(photos[0]))[..., ::-1]), segmenter.spec.image_size)
