"""The embedded target's `sam3` where features are to stay on the device: both graphs in one Python model, in place of the ensemble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from respray.contract import parameters, tensors
from respray.segmentation.joined import JoinedGraphs
from respray.triton.models import bls
from respray.triton.models.graph_model import load_graph


class JoinedModel:
    """Triton's Python model interface over encoder and decoder. A batch of requests is one run of the encoder."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graphs that the configuration names, from the model's version folder."""
        config: dict[str, Any] = json.loads(args["model_config"])
        given = {name: entry["string_value"] for name, entry in config["parameters"].items()}
        folder = Path(args["model_repository"]) / args["model_version"]
        encoder, decoder = (load_graph(folder / file, given) for file in given[parameters.GRAPH].split(","))
        self.graphs = JoinedGraphs(encoder, decoder, int(given[parameters.MAX_DECODED]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests as one batch. Triton's scheduler has seen to it that their shapes are equal."""
        try:
            return self._run(requests)
        except Exception as error:  # an exception must not leave `execute`: the backend would fail requests that have nothing to do with it
            return [bls.failure(error) for _ in requests]

    def _run(self, requests: list[Any]) -> list[Any]:
        given = [bls.arrays(request) for request in requests]
        sizes = [len(arrays[tensors.IMAGE]) for arrays in given]
        batch: Any = given[0] if len(given) == 1 else {name: np.concatenate([arrays[name] for arrays in given]) for name in given[0]}
        wanted = [set(request.requested_output_names()) for request in requests]
        # Only the probe asks for them.
        features = any(not names.isdisjoint(tensors.FEATURES) for names in wanted)
        found = self.graphs(batch[tensors.IMAGE], batch[tensors.TEXT_FEATURES], batch[tensors.TEXT_MASK], features)
        ends = np.cumsum(sizes)
        return [
            bls.response({name: value[end - size : end] for name, value in found.items() if name in names})
            for size, end, names in zip(sizes, ends, wanted, strict=True)
        ]
