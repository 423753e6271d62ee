"""The embedded target's stand-in for Triton's ONNX Runtime backend: an exported graph behind a Python model; what such models share."""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from respray.contract import parameters
from respray.segmentation.device import Device
from respray.segmentation.runner import GraphRunner
from respray.triton.models import bls


def load_graph(path: Path, given: Mapping[str, str]) -> GraphRunner:
    """A graph on the threads and the device that a configuration's parameters name.

    Raises:
        RuntimeError: a GPU was asked for, and ONNX Runtime would run the graph on the CPU.
    """
    device = Device.named(given[parameters.DEVICE], int(given.get(parameters.GPU_MEMORY, 0)))
    runner = GraphRunner(path, int(given[parameters.THREADS]) or None, device)
    if device.kind != "cpu" and not runner.on_gpu:
        raise RuntimeError(f"{device} was asked for and ONNX Runtime took the CPU: respray doctor says why; RESPRAY_DEVICE=cpu accepts it")
    return runner


class BatchModel(ABC):
    """Triton's Python model interface over graphs. A batch of requests is one run."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the configuration."""
        config: dict[str, Any] = json.loads(args["model_config"])
        given = {name: entry["string_value"] for name, entry in config["parameters"].items()}
        self.prepare(Path(args["model_repository"]) / args["model_version"], given)

    @abstractmethod
    def prepare(self, folder: Path, given: Mapping[str, str]) -> None:
        """Load the graphs that the configuration's parameters name, from the model's version folder."""

    @abstractmethod
    def run(self, batch: dict[str, Any], wanted: set[str]) -> bls.Arrays:
        """Outputs for a whole batch, among them those `wanted` that there are."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests as one batch. Triton's scheduler has seen to it that their shapes are equal."""
        try:
            return self._run(requests)
        except Exception as error:  # an exception must not leave `execute`: the backend would fail requests that have nothing to do with it
            return [bls.failure(error) for _ in requests]

    def _run(self, requests: list[Any]) -> list[Any]:
        given = [bls.arrays(request) for request in requests]
        sizes = [len(next(iter(arrays.values()))) for arrays in given]
        batch = given[0] if len(given) == 1 else {name: np.concatenate([arrays[name] for arrays in given]) for name in given[0]}
        wanted = [set(request.requested_output_names()) for request in requests]
        outputs = self.run(batch, set().union(*wanted))
        ends = np.cumsum(sizes)
        return [
            bls.response({name: value[end - size : end] for name, value in outputs.items() if name in names})
            for size, end, names in zip(sizes, ends, wanted, strict=True)
        ]


class GraphModel(BatchModel):
    """One ONNX graph."""

    def prepare(self, folder: Path, given: Mapping[str, str]) -> None:
        """Load the graph: now, or for the first request."""
        self.load = functools.partial(load_graph, folder / given[parameters.GRAPH], given)
        self.runner = None if given.get(parameters.LATE) == "true" else self.load()

    def run(self, batch: dict[str, Any], wanted: set[str]) -> bls.Arrays:
        """All outputs of the graph."""
        self.runner = self.runner or self.load()
        return self.runner(batch)
