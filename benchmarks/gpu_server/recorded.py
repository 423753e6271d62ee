"""ONNX Runtime's CUDA graphs: inputs and outputs keep their place, and a run is one replay.

https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#using-cuda-graphs-preview
A graph is recorded for one shape, so this is the encoder of one photo and the decoder of some numbers of concepts, each with an id of
its own (`gpu_graph_id`). On a CPU the same bound runs are made without recording.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.baseline import median_seconds
from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.gpu_server.runtime import Loaded
from respray.contract import tensors
from respray.segmentation.arrays import NamedArrays
from respray.segmentation.device import Device
from respray.segmentation.runner import GraphRunner


class Fixed:
    """A graph whose tensors keep their place on the device."""

    def __init__(self, runner: GraphRunner, given: NamedArrays, shapes: dict[str, Any], number: int) -> None:
        """`shapes`: what a plain run answered, for its shapes and types. `number` tells recordings of one session apart."""
        storage = runner.device.storage
        self.runner, self.binding = runner, runner.session.io_binding()
        self.inputs = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value), *storage) for name, value in given.items()
        }
        self.outputs = {
            name: onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(value.shape), value.dtype.type, *storage)
            for name, value in shapes.items()
        }
        for name, value in self.inputs.items():
            self.binding.bind_ortvalue_input(name, value)
        for name, value in self.outputs.items():
            self.binding.bind_ortvalue_output(name, value)
        self.options = onnxruntime.RunOptions()
        if runner.device.recorded:
            self.options.add_run_config_entry("gpu_graph_id", str(number))

    def __call__(self) -> None:
        """One run, until the device has finished it."""
        self.runner.session.run_with_iobinding(self.binding, self.options)
        self.binding.synchronize_outputs()


def run(plan: Plan, findings: Findings) -> None:
    """Plain bound runs against recorded ones, and whether they answer alike."""
    loaded = Loaded(plan)
    place = Device(plan.place.kind, plan.place.index, recorded=plan.place.kind == "cuda")
    files = [plan.graphs / loaded.spec.graphs[name].model.file for name in ("sam3_image_encoder", "sam3_concept_decoder")]
    image = {tensors.IMAGE: loaded.images(1)}
    plain = loaded.encoder(image)
    encoder, decoder = (_recorder(file, place, findings) for file in files)
    if encoder is not None:
        _compare("image pass", loaded.encoder, encoder, image, plain, 1, plan, findings)
    maps = {name: plain[name] for name in tensors.FEATURES}
    if decoder is None:
        return
    for number, concepts in enumerate(plan.concepts, start=1):
        text, mask = loaded.prompts(1, concepts)
        given = {**maps, tensors.TEXT_FEATURES: text, tensors.TEXT_MASK: mask}
        _compare(f"{concepts} concepts, decoder", loaded.decoder, decoder, given, loaded.decoder(given), number, plan, findings)


def _recorder(file: Path, place: Device, findings: Findings) -> GraphRunner | None:
    """ONNX Runtime records no graph that copies between CPU and GPU: an answer, too, and the other graph has its turn."""
    try:
        return GraphRunner(file, device=place)
    except Exception as error:  # its own classes
        findings.note({file.stem: {"error": str(error)[:400]}})
        return None


def _compare(
    name: str,
    plain: GraphRunner,
    recorder: GraphRunner,
    given: NamedArrays,
    answers: NamedArrays,
    number: int,
    plan: Plan,
    findings: Findings,
) -> None:
    try:
        ways = {"bound": Fixed(plain, given, answers, number), "recorded": Fixed(recorder, given, answers, number)}
        times = {way: round(1000 * seconds, 3) for way, seconds in median_seconds(ways, plan.repeat).items()}
        worst = 0.0
        for output, value in ways["recorded"].outputs.items():
            expected = answers[output].astype(np.float64)
            error = float(np.abs(value.numpy().astype(np.float64) - expected).max())
            worst = max(worst, error / max(1.0, float(np.abs(expected).max())))
        findings.note({name: {"milliseconds": times, "recorded": recorder.device.recorded, "relative_error": worst}})
    except Exception as error:  # ONNX Runtime's own classes: what cannot be recorded is an answer
        findings.note({name: {"error": str(error)[:400]}})
