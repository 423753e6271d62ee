"""The embedded target's `sam3` where features are to stay on the device: both graphs in one Python model, in place of the ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from respray.contract import parameters, tensors
from respray.segmentation.joined import JoinedGraphs
from respray.triton.models import bls
from respray.triton.models.graph_model import BatchModel, load_graph


class JoinedModel(BatchModel):
    """Encoder and decoder. A batch of requests is one run of the encoder."""

    def prepare(self, folder: Path, given: Mapping[str, str]) -> None:
        """Load both."""
        encoder, decoder = (load_graph(folder / file, given) for file in given[parameters.GRAPH].split(","))
        self.graphs = JoinedGraphs(encoder, decoder, int(given[parameters.MAX_DECODED]))

    def run(self, batch: dict[str, Any], wanted: set[str]) -> bls.Arrays:
        """What was found; the features too where they are wanted, as by the probe."""
        features = not wanted.isdisjoint((*tensors.FEATURES, tensors.FEATURES_PLAIN))
        return self.graphs(batch[tensors.IMAGE], batch[tensors.TEXT_FEATURES], batch[tensors.TEXT_MASK], features)
