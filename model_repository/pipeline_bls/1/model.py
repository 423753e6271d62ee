"""Encoded photo and request in; encoded results and a report out. Calls the other models through BLS."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import triton_python_backend_utils as pb_utils

from respray.contract import parameters, tensors
from respray.contract.report import ProbeReport
from respray.segmentation.spec import SPEC_FILE, ModelSpec
from respray.segmentation.tokenizer import PromptTokenizer
from respray.triton.models import bls
from respray.triton.models.pipeline import KeptFormat, Pipeline


class TritonPythonModel:
    """Takes one photo per request through `Pipeline`. Several instances run, so a photo that waits for the GPU blocks no other."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the graphs' spec and tokenizer, which lie beside this file, and the buckets of this target."""
        folder = Path(args["model_repository"]) / args["model_version"]
        spec = ModelSpec.model_validate_json((folder / SPEC_FILE).read_text())
        given = {name: entry["string_value"] for name, entry in json.loads(args["model_config"])["parameters"].items()}
        self.pipeline = Pipeline(
            infer=partial(bls.infer, None),
            tokenizer=PromptTokenizer.from_spec(spec, folder),
            image_size=spec.image_size,
            buckets=[int(size) for size in given[parameters.BUCKETS].split(",")],
            box_map=(tensors.FEATURES_PLAIN if spec.plain_features else tensors.FEATURES_LOW) if spec.boxes else None,
            probe=ProbeReport.model_validate_json(given[parameters.PROBE]) if parameters.PROBE in given else None,
            kept=KeptFormat(model=given[parameters.MODEL], size=spec.mask_size, queries=spec.queries),
        )
        self.pipeline.decoder.start()

    def finalize(self) -> None:
        """End the process that decodes."""
        self.pipeline.decoder.close()

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """One answer per request; an error is the answer of its own request only."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        try:
            # Each photo's calls join its own trace.
            pipeline = replace(self.pipeline, infer=partial(bls.infer, request.trace()))
            return bls.response(pipeline.run(bls.held_arrays(request), request.is_cancelled))
        except Exception as error:
            return bls.failure(error)
