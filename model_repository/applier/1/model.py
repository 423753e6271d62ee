"""Photo at full resolution, low-resolution masks and a request in; encoded files and a report out. The work is `editing`'s."""

from __future__ import annotations

import json
import os

import triton_python_backend_utils as pb_utils

from respray.contract import parameters
from respray.editing.fill.inpaint_onnx import find_inpainter
from respray.imaging.isolated import DecoderProcess, decoding_in
from respray.triton.models import bls
from respray.triton.models.applier import apply, warm_up
from respray.volumes import models_root


class TritonPythonModel:
    """Edits one photo per request."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read where objects' masks come from, load an inpainting network where the volume of models has one, and warm up."""
        self.object_source = json.loads(args["model_config"])["parameters"][parameters.OBJECTS]["string_value"]
        self.network = find_inpainter(models_root(os.environ))
        warm_up()
        self.decoder = DecoderProcess()  # started with the first mask or texture

    def finalize(self) -> None:
        """End the process that decodes."""
        self.decoder.close()

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """One answer per request; an error is the answer of its own request only."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        try:
            with decoding_in(self.decoder):
                return bls.response(apply(bls.arrays(request), self.object_source, self.network))
        except Exception as error:
            return bls.failure(error)
