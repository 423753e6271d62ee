"""The gate in front of every server: the pipeline is loaded when the graphs have answered the probe, whatever runs them.

Triton starts with the models that segment (`--model-control-mode=explicit`). They are asked the question that lies beside the graphs, and
their answers are compared with PyTorch's (`segmentation.probe`). Then the pipeline is loaded, which makes the server ready for photos.
The interface that loads models answers to a key that only this gate has.
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_management.html#model-control-mode-explicit
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/customization_guide/inference_protocols.html#limit-endpoint-access-beta
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, model_config_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from respray.contract import parameters
from respray.contract.report import ProbeMeasure, ProbeReport
from respray.segmentation.arrays import NamedArrays
from respray.segmentation.errors import SpecError
from respray.segmentation.probe import Probe, compare
from respray.segmentation.question import answers
from respray.segmentation.spec import SPEC_FILE, ModelSpec
from respray.triton.client import CHANNEL_OPTIONS, MODEL
from respray.triton.errors import ProbeFailed, ServerStartError
from respray.triton.hardening import GRPC_KEY
from respray.triton.repository.build_repository import VERSION

ASK_SECONDS = 600.0
"""An engine's first run on a cold GPU; the full-size graphs take a minute on two cores."""
_log = logging.getLogger(__name__)


def loaded_first(repository: Path) -> list[str]:
    """The models that a server loads at its start: all of a built repository but the pipeline."""
    return sorted({path.parent.name for path in repository.glob("*/config.pbtxt")} - {MODEL})


@dataclass(frozen=True)
class Served:
    """Who answers: the target, what runs the graphs there (`ONNX Runtime 1.31`), where (`CPU`, `NVIDIA L4`), and what was wrong with the
    target that this one takes over from.
    """

    target: str
    engine: str
    device: str
    fallback_from: str = ""

    def __str__(self) -> str:
        return f"{self.engine} on {self.device} (target {self.target})"


class ProbeGate:
    """Asks one server, and opens it."""

    def __init__(self, repository: Path, key: str, served: Served) -> None:
        """Prepare for a built `repository`; `key` is what the server's `restriction_flags` were made with."""
        self._folder, self._key, self._served = repository / MODEL, key, served
        # A model of its own, which answers the features too, in place of an ensemble.
        self._joined = (repository / "sam3" / "1" / "model.py").is_file()

    def open(self, grpc_url: str, load_seconds: float) -> ProbeReport:
        """Ask, compare, and load the pipeline, which tells the report to who asks for it.

        Args:
            grpc_url: `host:port` of a server that has the segmenting models loaded.
            load_seconds: how long the pipeline may take to load.

        Returns:
            How near the answers are; nothing is compared where the graphs came without a probe.

        Raises:
            ProbeFailed: an answer is not PyTorch's.
            ServerStartError: the server gives no answer, or the pipeline cannot be loaded.
        """
        client = InferenceServerClient(grpc_url, channel_args=list(CHANNEL_OPTIONS.items()))
        try:
            report = self._ask(client)
            client.load_model(MODEL, headers={GRPC_KEY: self._key}, config=self._config_with(report), client_timeout=load_seconds)
            return report
        except InferenceServerException as error:
            raise ServerStartError(f"Triton does not answer the probe, or load its pipeline: {error.message()}") from error
        finally:
            client.close()

    def _ask(self, client: InferenceServerClient) -> ProbeReport:
        spec = ModelSpec.model_validate_json((self._folder / VERSION / SPEC_FILE).read_text())
        measures: list[ProbeMeasure] = []
        if spec.probe is None:
            _log.warning("the graphs of %s have no probe, so nothing tells whether they are served right; export them again", spec.name)
        else:
            try:
                probe = Probe.load(self._folder / VERSION / spec.probe.file, spec)
            except SpecError as error:
                raise ServerStartError(str(error)) from error
            began = time.monotonic()
            result = compare(probe, answers(partial(_infer, client), probe, spec, self._joined))
            if result.problems:
                wrong = "; ".join(result.problems)
                raise ProbeFailed(f"{spec.name} is not served right by {self._served}: {wrong}, against PyTorch in FP32")
            _log.info("probe of %s: %s, in %.1f s", spec.name, result, time.monotonic() - began)
            measures = result.measures
        served, now = self._served, datetime.now(UTC).replace(microsecond=0)
        return ProbeReport(
            model=spec.name,
            target=served.target,
            engine=served.engine,
            device=served.device,
            at=now,
            measures=measures,
            fallback_from=served.fallback_from,
        )

    def _config_with(self, report: ProbeReport) -> str:
        """The pipeline's configuration with the report as a parameter, as JSON."""
        config = text_format.Parse((self._folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        config.parameters[parameters.PROBE].string_value = report.model_dump_json()
        return str(json_format.MessageToJson(config, preserving_proto_field_name=True))


def _infer(client: InferenceServerClient, model: str, arrays: NamedArrays, outputs: Sequence[str]) -> NamedArrays:
    inputs = []
    for name, values in arrays.items():
        given = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        given.set_data_from_numpy(values)
        inputs.append(given)
    answer = client.infer(model, inputs, outputs=[InferRequestedOutput(name) for name in outputs], client_timeout=ASK_SECONDS)
    found = {name: answer.as_numpy(name) for name in outputs}
    return {name: values for name, values in found.items() if values is not None}
