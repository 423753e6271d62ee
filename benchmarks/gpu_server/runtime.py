"""The graphs on ONNX Runtime in this process: where nodes went, whether the probe is answered, seconds and memory."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO", "1")  # each attention node then says once which kernel it took

import collections
import ctypes
import functools
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baseline import median_seconds
from benchmarks.gpu_server.plan import Findings, Plan, gpu_mib
from benchmarks.work import CONCEPTS
from respray.contract import tensors
from respray.segmentation.arrays import Float32Array, Int32Array, NamedArrays, UInt8Array
from respray.segmentation.device import CPU, Device, DeviceArray
from respray.segmentation.joined import JoinedGraphs
from respray.segmentation.probe import PROBE_FILE, Probe, compare
from respray.segmentation.runner import GraphRunner
from respray.segmentation.spec import GraphName, ModelSpec, load_spec
from respray.segmentation.tokenizer import PromptTokenizer

# What must not run on the CPU. Shapes, and indices made of them, belong there.
COMPUTE = {
    "MatMul", "Gemm", "FusedMatMul", "Conv", "FusedConv", "MultiHeadAttention", "Attention", "RotaryEmbedding", "Softmax",
    "LayerNormalization", "SkipLayerNormalization", "InstanceNormalization", "GroupNormalization", "Gelu", "BiasGelu", "FastGelu",
    "Relu", "Erf", "Sigmoid", "TopK", "Resize",
}  # fmt: skip
WORDS = (*CONCEPTS, *(f"{name} {part}" for name in CONCEPTS for part in ("edge", "top")))


class Loaded:
    """Encoder and decoder on the device, text features from the CPU, one photo."""

    def __init__(self, plan: Plan, memory: int = 0, placement: bool = False) -> None:
        self.spec: ModelSpec = load_spec(plan.graphs)
        encoder, decoder = (Device(plan.place.kind, plan.place.index, share) for share in (memory // 3, memory - memory // 3))
        began = time.monotonic()
        self.encoder = self._runner(plan.graphs, "sam3_image_encoder", encoder, placement)
        self.decoder = self._runner(plan.graphs, "sam3_concept_decoder", decoder, placement)
        self.load_seconds = time.monotonic() - began
        # Everything in one run: what that costs is the question.
        self.joined = JoinedGraphs(self.encoder, self.decoder, 1 << 30)
        # Without boxes: only encoder and decoder are loaded here.
        self.probe = replace(Probe.load(plan.graphs / PROBE_FILE, self.spec), shown=None)
        texts = self._runner(plan.graphs, "sam3_text_encoder", CPU, False)
        tokenizer = PromptTokenizer.from_spec(self.spec, plan.graphs)
        ids, self.mask = tokenizer(WORDS[: max(plan.concepts)])
        self.text = texts({tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: self.mask})[tensors.TEXT_FEATURES]
        asked = {tensors.INPUT_IDS: self.probe.input_ids, tensors.ATTENTION_MASK: self.probe.attention_mask}
        self.asked = texts(asked)[tensors.TEXT_FEATURES]

    def _runner(self, folder: Path, name: GraphName, device: Device, placement: bool) -> GraphRunner:
        runner = GraphRunner(folder / self.spec.graphs[name].model.file, device=device, placement=placement)
        if device.kind != "cpu" and not runner.on_gpu:
            raise RuntimeError(f"{name} runs on the CPU: ONNX Runtime did not take {device}")
        return runner

    def images(self, photos: int) -> UInt8Array:
        """The probe's photo so many times, each time moved a little."""
        return np.stack([np.roll(self.probe.image, 8 * index, axis=1) for index in range(photos)])

    def prompts(self, photos: int, concepts: int) -> tuple[Float32Array, Int32Array]:
        """Text and mask of the same concepts for each photo."""
        return np.repeat(self.text[None, :concepts], photos, axis=0), np.repeat(self.mask[None, :concepts], photos, axis=0)

    def encode(self, photos: int) -> dict[str, DeviceArray]:
        """One run of the encoder; its maps stay on the device."""
        return self.encoder.bound({tensors.IMAGE: self.images(photos)}, set(self.encoder.outputs))[1]

    def segment(self, photos: int, concepts: int) -> NamedArrays:
        """Photos to segments."""
        return self.joined(self.images(photos), *self.prompts(photos, concepts))

    def parity(self) -> dict[str, Any]:
        """The probe's question, and how near the answers are to PyTorch's in FP32."""
        found = self.joined(self.probe.image[None], self.asked[None], self.probe.attention_mask[None], features=True)
        result = compare(self.probe, {name: values[0] for name, values in found.items()})
        return {
            "score_error": result.score_error, "mask_iou": result.mask_iou, "cosine": result.cosine, "problems": result.problems,
        }  # fmt: skip


def run(plan: Plan, findings: Findings) -> None:
    """Load, look where nodes are, ask the probe, measure."""
    findings.note({"gpu_mib_before": gpu_mib()})
    loaded = Loaded(plan, placement=True)
    findings.note({"load_seconds": round(loaded.load_seconds, 2), "gpu_mib_loaded": gpu_mib(), "precision": loaded.spec.precision})
    findings.note({"placement": {name: placement(runner) for name, runner in (("encoder", loaded.encoder), ("decoder", loaded.decoder))}})
    findings.note({"parity": loaded.parity()})
    findings.note({"attention_kernels": attention_kernels(plan.folder / "runtime.log")})
    measure(loaded, plan, findings)


def measure(loaded: Loaded, plan: Plan, findings: Findings) -> None:
    """Milliseconds of the image pass and of whole runs by photos and concepts, and the GPU's memory after each; what fails says why."""
    times: dict[str, float] = {}
    memory: dict[str, int | None] = {}
    errors: dict[str, str] = {}
    ways: dict[str, Callable[[], object]] = {
        f"image pass, {photos} photos": functools.partial(loaded.encode, photos) for photos in plan.photos
    }
    ways |= {f"1 photo, {concepts} concepts": functools.partial(loaded.segment, 1, concepts) for concepts in plan.concepts}
    few = min(3, max(plan.concepts))
    ways |= {f"{photos} photos, {few} concepts": functools.partial(loaded.segment, photos, few) for photos in plan.photos if photos > 1}
    for name, work in ways.items():
        try:
            times[name] = round(1000 * median_seconds({name: work}, plan.repeat)[name], 3)
        except Exception as error:  # out of memory is an answer: ONNX Runtime's own classes
            errors[name] = str(error)[:300]
        memory[name] = gpu_mib()
        findings.note({"milliseconds": times, "gpu_mib": memory, "errors": errors})
    findings.note({"milliseconds_per_concept": per_concept(times, plan)})


def per_concept(times: dict[str, float], plan: Plan) -> float | None:
    """What one more concept costs: the slope between the fewest and the most that were measured."""
    there = [concepts for concepts in plan.concepts if f"1 photo, {concepts} concepts" in times]
    if len(there) < 2:
        return None
    first, last = (times[f"1 photo, {concepts} concepts"] for concepts in (there[0], there[-1]))
    return round((last - first) / (there[-1] - there[0]), 3)


def placement(runner: GraphRunner) -> dict[str, Any]:
    """Nodes by provider, and which of them compute on the CPU although the graph is on a GPU."""
    nodes: dict[str, collections.Counter[str]] = {}
    for part in runner.session.get_provider_graph_assignment_info():
        counter = nodes.setdefault(part.ep_name, collections.Counter())
        counter.update(node.op_type for node in part.get_nodes())
    on_cpu = nodes.get("CPUExecutionProvider", collections.Counter())
    attention = sum(counter["MultiHeadAttention"] for counter in nodes.values())
    return {
        "nodes": {name: sum(counter.values()) for name, counter in nodes.items()},
        "compute_on_cpu": {op: on_cpu[op] for op in sorted(COMPUTE & set(on_cpu))} if runner.on_gpu else {},
        "on_cpu": dict(on_cpu.most_common()) if runner.on_gpu else {},
        "fused_attention_nodes": attention,
    }  # fmt: skip


def attention_kernels(log: Path) -> dict[str, int]:
    """Which kernels attention took, by how many nodes said so (their words are in this step's log)."""
    ctypes.CDLL(None).fflush(None)
    text = log.read_text(errors="replace") if log.is_file() else ""
    return dict(collections.Counter(re.findall(r"SdpaKernel=(\w+)", text)))
